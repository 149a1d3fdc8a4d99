// The configuration in force: what the file sets and warns of, and reading it again.
import { html, useState } from '../lib/html.js';
import { get, post } from '../lib/api.js';
import { count, relative, when, zone } from '../lib/format.js';
import { useLoad } from '../lib/load.js';
import { href } from '../lib/route.js';
import { useSearch } from '../parts/records.js';
import { Icon } from '../parts/icons.js';
import { Head } from '../parts/shell.js';
import { Empty, Loaded, Notice, Problem } from '../parts/states.js';

const CHANGES = { deployments_added: 'Added', deployments_changed: 'Changed', deployments_removed: 'Removed', options_changed: 'Options', needs_restart: 'After a restart only' };

function Outcome({ done }) {
  if (done.unchanged) return html`<${Notice} kind="good">The file was read again. Nothing has changed.<//>`;
  const changes = Object.entries(CHANGES).filter(([name]) => done.changes?.[name]?.length);
  return html`<${Notice} kind="good">The file was read again and is in force.
    ${changes.map(([name, title]) => html`<small key=${name}>${title}: ${done.changes[name].map((one) => (typeof one === 'string' ? one : one.id ?? JSON.stringify(one))).join(', ')}</small>`)}<//>`;
}

/** Options by their section; those of no section first. */
function Sections({ options }) {
  const sections = new Map();
  for (const { name: option, value } of options) {
    const at = option.indexOf('.');
    const [section, name] = at < 0 ? ['', option] : [option.slice(0, at), option.slice(at + 1)];
    sections.set(section, [...(sections.get(section) ?? []), { name, value }]);
  }
  return html`<div class="options-list">${[...sections].sort(([one], [other]) => one.localeCompare(other)).map(([section, of]) => html`<section key=${section}>
    <h3><code>${section || 'Top level'}</code></h3>
    <dl aria-label=${`Options of ${section || 'the top level'}`}>${of.map(({ name, value }) => html`<div key=${name}><dt><code>${name}</code></dt>
      <dd>${value === null ? html`<span class="faint">set in the file</span>` : html`<code>${value}</code>`}</dd></div>`)}</dl></section>`)}</div>`;
}

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
        const options = found.options.filter((one) => one.name.toLowerCase().includes(text));
        return html`
        <section class="card"><header><h2>In force</h2></header><div class="body"><dl class="facts">
          <dt>File</dt><dd><code>${found.file ?? 'None'}</code></dd>
          <dt>Version</dt><dd>${found.version}</dd>
          <dt>Started</dt><dd>${when(found.started)} (${relative(found.started)}), ${zone}</dd>
          <dt>Last reload</dt><dd>${found.last_reload ? html`<span class=${found.last_reload.result === 'failure' ? 'bad' : 'good'}>${found.last_reload.result === 'failure' ? 'Failed' : 'Succeeded'}</span>, ${when(found.last_reload.at)} (${relative(found.last_reload.at)})` : 'Not since the start'}</dd>
          <dt>Models</dt><dd><span class="chips">${found.groups.map((one) => html`<a class="chip" key=${one.name} href=${href('/models', { q: one.name })}>${one.name} · ${count(one.deployments)}</a>`)}</span></dd>
        </dl></div></section>
        <section class="card"><header><h2>Warnings</h2><span class="note">${found.warnings.length ? count(found.warnings.length) : 'none'}</span></header>
          <div class="body">${found.warnings.length ? html`<ul class="stack warnings">${found.warnings.map((one) => html`<li key=${one}><${Notice} kind="warn">${one}<//></li>`)}</ul>` : html`<p class="soft">The file has nothing to warn of.</p>`}</div></section>
        <section class="card"><header><h2>Options of the file</h2><span class="note">as they are written there; secrets are not shown</span>
            <input class="input small search last" type="search" aria-label="Search options" placeholder="Option" value=${typed} onInput=${(event) => setTyped(event.target.value)} /></header>
          <div class="body">${options.length ? html`<${Sections} options=${options} />` : html`<${Empty} title="No option fits">${found.options.length ? 'Nothing found for this search.' : 'The file sets none beside its models.'}<//>`}</div></section>`;
      }}<//>
    </div>`;
}
