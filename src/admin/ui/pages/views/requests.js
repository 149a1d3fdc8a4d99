// The log of requests: searched by what they were, and one of them with its attempts.
import { html, useEffect, useId, useState } from '../lib/html.js';
import { get } from '../lib/api.js';
import { NONE, count, duration, fine, when, zone } from '../lib/format.js';
import { useLoad, useSettled } from '../lib/load.js';
import { go, href } from '../lib/route.js';
import { Choice, Segments, Text } from '../parts/fields.js';
import { Range, rangeName, spanOf } from '../parts/range.js';
import { Head } from '../parts/shell.js';
import { Empty, Loaded } from '../parts/states.js';
import { Pager, Table } from '../parts/table.js';
import { SECRET, find as findKey, hashOf, list as listKeys, nameOf } from './keys.js';
import { Request, keyName, outcome } from './requests/request.js';

const SIZE = 50;
/** It has no record, and stands in the log by this name. */
const MASTER = { token: 'master', key_alias: 'Master key' };
const TEXTS = [['id', 'Request id'], ['group', 'Model'], ['deployment', 'Deployment'], ['error', 'Failure'], ['key', 'Key'], ['user', 'User'], ['team', 'Team'], ['tag', 'Tag'], ['end_user', 'End user'], ['min_cost', 'Cost from, $'], ['max_cost', 'Cost to, $']];

/** A field that filters once its typing has paused. */
function Filter({ name, label, query, change }) {
  const [typed, setTyped] = useState(query[name] ?? '');
  const settled = useSettled(typed, 350);
  useEffect(() => setTyped(query[name] ?? ''), [query[name]]);
  useEffect(() => {
    if (settled.trim() !== (query[name] ?? '')) change({ [name]: settled.trim(), page: '' });
  }, [settled]);
  return html`<${Text} small label=${label} value=${typed} onChange=${setTyped} />`;
}

/** One key out of however many there are: looked for while its name is typed, and taken once it stands there. */
function KeyNamed({ session, label, query, change }) {
  const list = useId();
  const chosen = query.key ?? '';
  const [typed, setTyped] = useState(null);
  const search = useSettled(typed ?? '', 250);
  const isSecret = SECRET.test(search);
  const found = useLoad((signal) => listKeys({ page: 1, search: isSecret ? '' : search, signal }).then((answer) => answer.rows), [isSecret ? '' : search]);
  const one = useLoad((signal) => (chosen && chosen !== MASTER.token ? findKey(chosen, signal).catch(() => null) : null), [chosen]);
  const known = [...(session.sees_all ? [MASTER] : []), ...(found.data ?? [])];
  const name = chosen === MASTER.token ? nameOf(MASTER) : one.data ? nameOf(one.data) : chosen;
  const take = (key) => {
    change({ key, page: '' }, {});
    setTyped(null);
  };
  // Typed to its end, before or after the answer with it came; or the whole key.
  const meant = typed && known.find((key) => nameOf(key) === typed);
  useEffect(() => { if (meant) take(meant.token); }, [meant?.token]);
  useEffect(() => { if (isSecret) hashOf(search).then((hash) => hash && take(hash), () => {}); }, [search]);
  return html`<${Text} small label=${label} list=${list} placeholder="All" value=${typed ?? name}
      onChange=${(text) => (text ? setTyped(text) : take(''))} />
    <datalist id=${list}>${known.map((key) => html`<option key=${key.token} value=${nameOf(key)} />`)}</datalist>`;
}

/** Teams have ids that nobody knows by heart: they are chosen by name. */
function Named({ name, label, query, change, options }) {
  const chosen = query[name] ?? '';
  const known = options.some(([id]) => id === chosen) || !chosen;
  return html`<${Choice} small label=${label} value=${chosen} options=${[['', 'All'], ...options, ...(known ? [] : [[chosen, chosen]])]}
    onChange=${(value) => change({ [name]: value, page: '' }, {})} />`;
}

function Filters({ session, query, change, used }) {
  const teams = useLoad((signal) => (session.role ? get('/team/list', {}, signal).then((answer) => answer.map((team) => [team.team_id, team.team_alias || team.team_id])) : []), []);
  const named = { team: teams.data ?? [] };
  // A key without a user has itself alone.
  const texts = TEXTS.filter(([name]) => (session.sees_all || !['user', 'team', 'end_user'].includes(name)) && (session.role || name !== 'key'));
  return html`<section class="card" id="filters" aria-label="Filters"><div class="body filters">
    ${texts.map(([name, label]) => (name === 'key' ? html`<${KeyNamed} key=${name} session=${session} label=${label} query=${query} change=${change} />` : named[name]
      ? html`<${Named} key=${name} name=${name} label=${label} query=${query} change=${change} options=${named[name]} />`
      : html`<${Filter} key=${name} name=${name} label=${label} query=${query} change=${change} />`))}
    ${used > 0 && html`<button type="button" class="button plain small" onClick=${() => change({ ...Object.fromEntries(TEXTS.map(([name]) => [name, ''])), page: '' }, {})}>Take all away</button>`}
  </div></section>`;
}

function Log({ session, query, change }) {
  const page = Math.max(1, Number(query.page) || 1);
  const filters = Object.fromEntries([...TEXTS.map(([name]) => name), 'status'].map((name) => [name, query[name]]));
  const used = Object.entries(filters).filter(([name, value]) => value && name !== 'status').length;
  const [open, setOpen] = useState(used > 0);
  const [turn, setTurn] = useState(0);
  const data = useLoad((signal) => get('/ui/api/requests', { ...spanOf(query), ...filters, page, page_size: SIZE }, signal),
    [query.range, query.from, query.to, page, turn, ...Object.values(filters)]);

  return html`
    <${Head} title="Requests" lead=${`${rangeName(query)[0].toUpperCase()}${rangeName(query).slice(1)}, newest first · times in ${zone}`} tools=${html`
      <button type="button" class="button" aria-expanded=${String(open)} aria-controls="filters" onClick=${() => setOpen(!open)}>Filters${used ? ` (${used})` : ''}</button>
      <button type="button" class="button" onClick=${() => setTurn(turn + 1)}>Refresh</button>
      <${Range} query=${query} change=${change} />`} />
    <div class="stack">
      ${open && html`<${Filters} session=${session} query=${query} change=${change} used=${used} />`}
      <section class="card">
        <header><${Segments} label="Outcome" value=${query.status ?? ''} onChange=${(status) => change({ status, page: '' })} options=${[['', 'All'], ['success', 'Succeeded'], ['failure', 'Failed']]} /></header>
        <div class="body flush log"><${Loaded} of=${data} height=${420}>${(found) => (found.requests.length ? html`<div>
          <${Table} caption="Requests" rows=${found.requests} keyOf=${(one) => one.id} columns=${[
            { name: 'at', title: 'Time', head: true, cell: (one) => html`<a class="rowlink nowrap" href=${href(`/requests/${encodeURIComponent(one.id)}`)} title=${when(one.at, 'exact')}>${when(one.at, 'second')}<span class="under">${when(one.at, 'day')}</span></a>` },
            { name: 'model', title: 'Model', cell: (one) => html`<span class="clip" title=${one.model ?? one.group}>${one.model ?? one.group ?? NONE}</span><span class="under clip" title=${(one.tried ?? one).deployment}>${(one.tried ?? one).provider ?? NONE}</span>` },
            { name: 'outcome', title: 'Outcome', cell: (one) => html`${outcome(one)}<span class="under narrow">${duration(one.duration)} · ${fine(one.cost)}</span>${(one.retries || one.fallbacks) ? html`<span class="under nowrap wide">${[one.retries && `${one.retries} ${one.retries === 1 ? 'retry' : 'retries'}`, one.fallbacks && `${one.fallbacks} ${one.fallbacks === 1 ? 'fallback' : 'fallbacks'}`].filter(Boolean).join(', ')}</span>` : ''}` },
            { name: 'key', title: 'Key', wide: true, cell: (one) => html`<span class="clip" title=${keyName(one)}>${keyName(one)}</span>${one.user && html`<span class="under clip">${one.user}</span>`}` },
            { name: 'tokens', title: 'Tokens', num: true, wide: true, class: 'roomy', cell: (one) => (one.input_tokens + one.output_tokens === 0 ? NONE : html`${count(one.input_tokens)} <span class="faint">in</span> ${count(one.output_tokens)} <span class="faint">out</span>`) },
            { name: 'ttft', title: 'First token', num: true, wider: true, cell: (one) => duration(one.ttft) },
            { name: 'duration', title: 'Took', num: true, wide: true, cell: (one) => duration(one.duration) },
            { name: 'cost', title: 'Cost', num: true, wide: true, cell: (one) => fine(one.cost) },
          ]} />
          <${Pager} page=${page} pages=${Math.ceil(found.total / found.page_size)} total=${found.total} least=${found.total_is_least} noun="request" onPage=${(next) => change({ page: next === 1 ? '' : next }, {})} /></div>`
          : html`<${Empty} title="No request fits">Choose a longer time, or take filters away. A request is here about a second after its end.<//>`)}<//></div>
      </section>
    </div>`;
}

export function Requests(props) {
  return props.rest ? html`<${Request} id=${props.rest} session=${props.session} go=${go} />` : html`<${Log} ...${props} />`;
}
