// What can be called: every deployment with its state now, how long it rests, and why a request would go where.
import { html, useRef, useState } from '../lib/html.js';
import { get } from '../lib/api.js';
import { NONE, count, money, relative, short, when } from '../lib/format.js';
import { useClock, useLoad } from '../lib/load.js';
import { href } from '../lib/route.js';
import { Dialog } from '../parts/dialog.js';
import { Icon } from '../parts/icons.js';
import { Segments } from '../parts/fields.js';
import { useSearch } from '../parts/records.js';
import { Head } from '../parts/shell.js';
import { Empty, Loaded } from '../parts/states.js';
import { Table } from '../parts/table.js';
import { tell } from '../parts/toast.js';
import { Kind, STATES } from './overview/deployments.js';
import { EditModel, NewModel } from './models/edit.js';
import { Explain } from './models/explain.js';

const EVERY = 3000;

/** The gateway's clock and the reader's differ: what is left is measured from when the answer came. */
function leftOf(one, asked, came, now) {
  if (one.cooldown_until === null) return null;
  return Math.max(0, Math.ceil((one.cooldown_until - asked - (now - came)) / 1000));
}

export function State({ one, left }) {
  const [kind, name] = STATES[one.state] ?? ['', one.state];
  return html`<span class="state"><span class="badge ${kind}">${name}</span>${left !== null && html`<span class="countdown" role="timer" aria-live="off">${left > 0 ? `${left} s left` : 'tried next'}</span>`}</span>`;
}

const well = (one) => (one.well === null ? html`<span class="faint">Not checked</span>` : one.well ? html`<span class="good">Passed</span>` : html`<span class="bad">Failed</span>`);

function Details({ one, left, onClose, onEdit, session }) {
  const info = useLoad((signal) => get('/model/info', { litellm_model_id: one.id }, signal).then((answer) => answer.data[0]), [one.id]);
  const of = info.data?.model_info ?? {};
  const price = (name) => (of[name] ? `${money(of[name] * 1e6)} a million` : NONE);
  const can = Object.entries(of).filter(([name, value]) => name.startsWith('supports_') && value === true).map(([name]) => name.slice(9).replace(/_/g, ' '));
  return html`<${Dialog} title=${one.group} lead=${`${one.provider} · ${one.model}`} onClose=${onClose}
    footer=${html`${session.changes_all && of.db_model && html`<span class="left"><button type="button" class="button" onClick=${() => onEdit(info.data)}>Change</button></span>`}
      <button type="button" class="button" onClick=${onClose}>Close</button>`}>
    <div class="stack">
      <${State} one=${one} left=${left} />
      <dl class="facts">
        <dt>Id</dt><dd><code>${one.id}</code></dd>
        ${one.api_base && html`<dt>Address</dt><dd><code>${one.api_base}</code></dd>`}
        <dt>Last health check</dt><dd>${well(one)}</dd>
        <dt>Last failure</dt><dd>${one.last_failure ? `${one.last_failure.class.replace(/_/g, ' ')}${one.last_failure.status ? ` (${one.last_failure.status})` : ''}, ${relative(one.last_failure.at)}` : 'None'}</dd>
        <dt>Failures in a row</dt><dd>${count(one.consecutive_failures)}</dd>
        <dt>Last minute</dt><dd>${count(one.recent_attempts)} attempts, ${count(one.recent_failures)} failed</dd>
        <dt>Since the start</dt><dd>${count(one.successes)} succeeded, ${count(one.failures)} failed, rested ${count(one.cooldowns)} times</dd>
        <dt>Weight</dt><dd>${one.weight ?? NONE}${one.order === null ? '' : `, order ${one.order}`}</dd>
        <dt>Limits</dt><dd>${[one.rpm && `${short(one.rpm)} requests/min`, one.tpm && `${short(one.tpm)} tokens/min`, one.max_parallel_requests && `${short(one.max_parallel_requests)} at one time`].filter(Boolean).join(', ') || 'None'}</dd>
        ${one.tags.length > 0 && html`<dt>Tags</dt><dd>${one.tags.join(', ')}</dd>`}
      </dl>
      <${Loaded} of=${info} lines=${4}>${() => html`<div class="group"><h3>Model</h3><dl class="facts">
        <dt>Input</dt><dd>${price('input_cost_per_token')}</dd>
        <dt>Output</dt><dd>${price('output_cost_per_token')}</dd>
        ${of.cache_read_input_token_cost && html`<dt>Cached input</dt><dd>${price('cache_read_input_token_cost')}</dd>`}
        <dt>Context</dt><dd>${of.max_input_tokens ? `${short(of.max_input_tokens)} tokens in, ${short(of.max_output_tokens)} out` : NONE}</dd>
        <dt>Can</dt><dd>${can.join(', ') || NONE}</dd>
        <dt>From</dt><dd>${of.db_model ? 'The database' : 'The configuration file'}</dd>
      </dl></div>`}<//>
      ${session.sees_all && html`<p><a href=${href('/requests', { deployment: one.id })}>Its requests</a> · <a href=${href('/', { deployment: one.id })}>Its charts</a></p>`}
    </div>
  <//>`;
}

export function Models({ session, query, change }) {
  const [typed, setTyped] = useSearch(query, change);
  const came = useRef(0);
  const data = useLoad((signal) => get('/ui/api/deployments', {}, signal).then((answer) => { came.current = Date.now(); return answer; }), [], { every: EVERY });
  const all = data.data?.deployments ?? [];
  const now = useClock(all.some((one) => one.cooldown_until !== null));
  const left = (one) => leftOf(one, data.data.at, came.current, now);
  const counts = (state) => all.filter((one) => one.state === state).length;
  const text = (query.q ?? '').toLowerCase();
  const rows = all.filter((one) => (!query.state || one.state === query.state)
    && [one.group, one.model, one.provider, one.id].some((value) => value.toLowerCase().includes(text)));
  const open = all.find((one) => one.id === query.open);
  const [edited, setEdited] = useState(null);
  const isNew = query.new !== undefined && session.changes_all;
  const close = () => {
    setEdited(null);
    change({ open: '', new: '' });
  };
  const done = (words) => {
    tell(words);
    close();
    data.reload();
  };

  return html`
    <${Head} title="Models" lead="Deployments by the names that clients ask for, and their state now." tools=${session.changes_all && html`
      <button type="button" class="button primary" onClick=${() => change({ new: '1' }, {})}><${Icon} name="plus" />New model</button>`} />
    <div class="stack">
      <section class="card"><header>
          <input class="input small search" type="search" aria-label="Search models" placeholder="Model, provider or id" value=${typed} onInput=${(event) => setTyped(event.target.value)} />
          <${Segments} label="State" value=${query.state ?? ''} onChange=${(state) => change({ state })}
            options=${[['', `All ${all.length}`], ...Object.entries(STATES).map(([name, [, title]]) => [name, `${title} ${counts(name)}`])]} /></header>
        <div class="body flush"><${Loaded} of=${data} height=${260}>${() => (rows.length ? html`<${Table} caption="Deployments" rows=${rows} keyOf=${(one) => one.id} columns=${[
          { name: 'group', title: 'Model', head: true, cell: (one) => html`<a class="rowlink" href=${href('/models', { ...query, open: one.id })}><span class="clip" title=${one.group}>${one.group}</span><${Kind} one=${one} among=${all} /></a>` },
          { name: 'state', title: 'State', class: 'statecell', cell: (one) => html`<${State} one=${one} left=${left(one)} />` },
          { name: 'well', title: 'Health check', wide: true, cell: well },
          { name: 'flight', title: 'In flight', num: true, wide: true, cell: (one) => count(one.in_flight) },
          { name: 'minute', title: 'Last minute', num: true, wide: true, cell: (one) => html`${count(one.recent_attempts)}${one.recent_failures ? html` <span class="bad">(${count(one.recent_failures)} failed)</span>` : ''}` },
          { name: 'total', title: 'Since the start', num: true, wide: true, cell: (one) => html`${short(one.successes)}${one.failures ? html` <span class="soft">+ ${short(one.failures)} failed</span>` : ''}` },
          { name: 'failure', title: 'Last failure', wider: true, cell: (one) => (one.last_failure ? html`<span title=${when(one.last_failure.at, 'exact')}>${one.last_failure.class.replace(/_/g, ' ')}, ${relative(one.last_failure.at)}</span>` : NONE) },
        ]} />` : html`<${Empty} title="No deployment fits">${all.length ? 'Nothing found for this search.' : 'This key may call no model.'}<//>`)}<//></div>
      </section>
      ${session.sees_all && html`<${Explain} groups=${[...new Set(all.map((one) => one.group))]} query=${query} change=${change} />`}
    </div>
    ${isNew && html`<${NewModel} onClose=${close} done=${done} />`}
    ${edited && html`<${EditModel} model=${edited} onClose=${close} done=${done} />`}
    ${open && !edited && html`<${Details} key=${open.id} one=${open} left=${left(open)} session=${session} onClose=${close} onEdit=${setEdited} />`}`;
}
