// The configuration in force: what the file sets, what it warns of, and reading it again.
import { html, useState } from '../lib/html.js';
import { get, post } from '../lib/api.js';
import { count, relative, when, zone } from '../lib/format.js';
import { useLoad } from '../lib/load.js';
import { href } from '../lib/route.js';
import { useSearch } from '../parts/records.js';
import { Icon } from '../parts/icons.js';
import { Head } from '../parts/shell.js';
import { Empty, Loaded, Notice, Problem } from '../parts/states.js';
import { Table } from '../parts/table.js';

const CHANGES = { deployments_added: 'Added', deployments_changed: 'Changed', deployments_removed: 'Removed', options_changed: 'Options', needs_restart: 'After a restart only' };

function Outcome({ done }) {
  if (done.unchanged) return html`<${Notice} kind="good">The file was read again. Nothing has changed.<//>`;
  const changes = Object.entries(CHANGES).filter(([name]) => done.changes?.[name]?.length);
  return html`<${Notice} kind="good">The file was read again and is in force.
    ${changes.map(([name, title]) => html`<small key=${name}>${title}: ${done.changes[name].map((one) => (typeof one === 'string' ? one : one.id ?? JSON.stringify(one))).join(', ')}</small>`)}<//>`;
}

const shown = (value) => (value !== null && typeof value === 'object' ? JSON.stringify(value, null, 1).replace(/\n\s*/g, ' ') : String(value));

/** Long names may go on in the next line after a dot or an underscore. */
const breakable = (name) => name.split(/(?<=[._])/).map((part) => html`${part}<wbr />`);

export function Configuration({ session, query, change }) {
  const data = useLoad((signal) => get('/ui/api/config', {}, signal), []);
  const [state, setState] = useState({});
  const [typed, setTyped] = useSearch(query, change);

  async function reload() {
    setState({ busy: true });
    try {
      setState({ done: await post('/config/reload') });
    } catch (error) {
      setState({ error });
    }
    data.reload();
  }
  const text = (query.q ?? '').toLowerCase();
  return html`
    <${Head} title="Configuration" lead="What is in force on this gateway." tools=${session.changes_all && html`
      <button type="button" class="button primary" disabled=${state.busy} onClick=${reload}><${Icon} name="refresh" />${state.busy ? 'Reading…' : 'Read the file again'}</button>`} />
    <div class="stack">
      <div aria-live="polite">${state.error && html`<${Problem} error=${state.error} />`}${state.done && html`<${Outcome} done=${state.done} />`}</div>
      <${Loaded} of=${data} height=${320}>${(found) => {
        const settings = found.settings.filter((one) => `${one.option} ${shown(one.value)}`.toLowerCase().includes(text));
        return html`
        <section class="card"><header><h2>In force</h2></header><div class="body"><dl class="facts">
          <dt>File</dt><dd><code>${found.file ?? 'None'}</code></dd>
          <dt>Version</dt><dd>${found.version}</dd>
          <dt>Started</dt><dd>${when(found.started)} (${relative(found.started)}), ${zone}</dd>
          <dt>Last reload</dt><dd>${found.last_reload ? html`<span class=${/fail|reject|error/.test(found.last_reload.result) ? 'bad' : ''}>${found.last_reload.result}</span>, ${when(found.last_reload.at)} (${relative(found.last_reload.at)})` : 'Not since the start'}</dd>
          <dt>Models</dt><dd><span class="chips">${found.groups.map((one) => html`<a class="chip" key=${one.name} href=${href('/models', { q: one.name })}>${one.name} · ${count(one.deployments)}</a>`)}</span></dd>
        </dl></div></section>
        <section class="card"><header><h2>Warnings</h2><span class="note">${found.warnings.length ? count(found.warnings.length) : 'none'}</span></header>
          <div class="body">${found.warnings.length ? html`<ul class="stack warnings">${found.warnings.map((one) => html`<li key=${one}><${Notice} kind="warn">${one}<//></li>`)}</ul>` : html`<p class="soft">The file has nothing to warn of.</p>`}</div></section>
        <section class="card"><header><h2>Options of the file</h2><input class="input small search" type="search" aria-label="Search options" placeholder="Option or value" value=${typed} onInput=${(event) => setTyped(event.target.value)} /></header>
          <div class="body flush">${settings.length ? html`<${Table} caption="Options" rows=${settings} keyOf=${(one) => one.option} columns=${[
            { name: 'option', title: 'Option', head: true, cell: (one) => html`<code>${breakable(one.option)}</code>` },
            { name: 'value', title: 'Value', cell: (one) => html`<code class="value">${shown(one.value)}</code>` },
          ]} />` : html`<${Empty} title="No option fits">${found.settings.length ? 'Nothing found for this search.' : 'The file sets none beside its models.'}<//>`}</div></section>`;
      }}<//>
    </div>`;
}
