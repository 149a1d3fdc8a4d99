// The first page: what passed in a span of time, what it cost, how well it went, and what happens now.
import { html, useMemo, useState } from '../lib/html.js';
import { get } from '../lib/api.js';
import { duration, money, percent, short, when, zone } from '../lib/format.js';
import { useLive } from '../lib/live.js';
import { useLoad } from '../lib/load.js';
import { Chart } from '../parts/chart.js';
import { Choice } from '../parts/fields.js';
import { Range, isFixed, rangeName, spanOf } from '../parts/range.js';
import { Head } from '../parts/shell.js';
import { Empty, Loaded, Notice } from '../parts/states.js';
import { Breakdown } from './overview/breakdown.js';
import { Deployments, Errors, Uptime } from './overview/deployments.js';
import { Figures } from './overview/figures.js';
import { Now } from './overview/now.js';
import { Savings, Variants } from './overview/savings.js';

const FILTERS = [
  ['group', 'Model', 'by_group'], ['provider', 'Provider', 'by_provider'], ['team', 'Team', 'by_team'],
  ['key', 'Key', 'by_key'], ['user', 'User', 'by_user'], ['tag', 'Tag', 'by_tag'],
];
const EVERY = 15_000;

function Filters({ query, data, change }) {
  return html`<div class="card filters-card" id="filters"><div class="body filters">
    ${FILTERS.map(([name, label, from]) => {
      const found = (data?.[from] ?? []).filter((one) => one.id);
      const options = found.map((one) => [one.id, one.name]);
      if (query[name] && !found.some((one) => one.id === query[name])) options.unshift([query[name], query[name]]);
      return html`<${Choice} key=${name} small label=${label} value=${query[name] ?? ''} options=${[['', 'All'], ...options]}
        disabled=${name === 'tag' ? FILTERS.some(([other]) => other !== 'tag' && query[other]) : Boolean(query.tag)}
        onChange=${(value) => change({ [name]: value }, {})} />`;
    })}
  </div></div>`;
}

function Chips({ query, data, change }) {
  const set = [...FILTERS, ['deployment', 'Deployment', 'deployments']].filter(([name]) => query[name]);
  if (!set.length) return null;
  const nameOf = (from, id) => data?.[from]?.find((one) => one.id === id)?.name ?? id;
  return html`<ul class="chips" aria-label="Filters in force">
    ${set.map(([name, label, from]) => html`<li class="chip" key=${name}>${label}: ${nameOf(from, query[name])}
      <button type="button" aria-label=${`Remove the filter ${label}`} onClick=${() => change({ [name]: '' }, {})}>×</button></li>`)}
  </ul>`;
}

const quantiles = (series, name) => ['p50', 'p95', 'p99'].map((at, index) => ({
  name: at, colour: ['--c1', '--c2', '--c3'][index], values: series.map((one) => one[name]?.[at] ?? null),
}));

function Charts({ data, zoom }) {
  const { series, step } = data;
  const times = useMemo(() => series.map((one) => one.at), [series]);
  const column = (name) => series.map((one) => one[name] ?? null);
  const rate = (name) => series.map((one) => (one.requests && one[name] !== null ? one[name] / one.requests : null));
  const drawn = useMemo(() => ({
    requests: [{ name: 'Requests', colour: '--c1', values: column('requests') }, { name: 'Failed', colour: '--bad', values: column('failures') }],
    cost: [{ name: 'Cost', colour: '--c3', values: column('cost') }],
    latency: quantiles(series, 'latency'),
    ttft: quantiles(series, 'ttft'),
    rates: [{ name: 'Failed', colour: '--bad', values: rate('failures'), fill: true }, { name: 'Timed out', colour: '--c2', values: rate('timeouts') }],
    tokens: [{ name: 'Input', colour: '--c1', values: column('input_tokens'), fill: true }, { name: 'Output', colour: '--c2', values: column('output_tokens'), fill: true }],
    hits: [{ name: 'Cache hits', colour: '--c6', values: rate('cache_hits'), fill: true }],
  }), [series]);
  const chart = (title, note, of, options) => html`<section class="card"><header><h2>${title}</h2><span class="note">${note}</span></header>
    <div class="body"><${Chart} label=${title} times=${times} step=${step} series=${drawn[of]} onZoom=${zoom} ...${options} /></div></section>`;
  const every = step === 900_000 ? 'every 15 minutes' : step === 3_600_000 ? 'every hour' : 'every day (UTC)';
  return html`<div class="grid">
    <div class="span-8">${chart('Requests', every, 'requests', { kind: 'bars', whole: true, format: short })}</div>
    <div class="span-4">${chart('Cost', `${every}, US dollars`, 'cost', { kind: 'bars', format: money })}</div>
    ${!data.own_only && html`
      <div class="span-6">${chart('Latency', 'of whole replies that succeeded', 'latency', { format: duration, none: 'Not measured in this time' })}</div>
      <div class="span-6">${chart('Time to first token', 'of streams that succeeded', 'ttft', { format: duration, none: 'Not measured in this time' })}</div>`}
    <div class="span-4">${chart('Errors and timeouts', 'share of requests', 'rates', { small: true, format: percent, none: 'None in this time' })}</div>
    <div class="span-4">${chart('Tokens', every, 'tokens', { small: true, whole: true, format: short })}</div>
    <div class="span-4">${chart('Cache', 'share answered from it', 'hits', { small: true, format: percent, none: 'No hits in this time' })}</div>
  </div>`;
}

export function Overview({ session, query, change }) {
  const live = query.live !== 'off';
  const [filtering, setFiltering] = useState(false);
  const filters = Object.fromEntries([...FILTERS.map(([name]) => name), 'deployment'].map((name) => [name, query[name]]));
  const data = useLoad(
    (signal) => get('/ui/api/overview', { ...spanOf(query), ...filters, baseline: query.baseline }, signal),
    [query.range, query.from, query.to, query.baseline, ...Object.values(filters)],
    { every: live && !isFixed(query) ? EVERY : 0 },
  );
  const now = useLive(live);
  const zoom = (from, to) => change({ from, to, range: '' }, {});
  const pick = (name) => (one) => change({ ...(name === 'tag' ? Object.fromEntries(FILTERS.map(([other]) => [other, ''])) : {}), [name]: one.id }, {});
  // Of a part it is not known what the tokens were: prompts from a provider's cache cost less.
  const inPart = !session.sees_all || ['team', 'key', 'user', 'tag'].some((name) => query[name]);
  const count = Object.values(filters).filter(Boolean).length;
  // What happens now needs no database, and whoever comes while that is away wants to see it.
  const sumless = !data.data && data.error;
  const widened = data.data && spanOf(query).from - data.data.from > 3_600_000;
  const lead = [`${rangeName(query)[0].toUpperCase()}${rangeName(query).slice(1)}`, widened && `whole days of UTC, from ${when(data.data.from)}`, `times in ${zone}`];

  return html`
    <${Head} title="Overview" lead=${lead.filter(Boolean).join(' · ')} tools=${html`
      <button type="button" class="button" aria-pressed=${String(live)} onClick=${() => change({ live: live ? 'off' : '' })}><span class="dot ${live && now.up ? 'on' : ''}" aria-hidden="true"></span>Live</button>
      <button type="button" class="button" aria-expanded=${String(filtering)} aria-controls="filters" onClick=${() => setFiltering(!filtering)}>Filters${count ? ` (${count})` : ''}</button>
      <${Range} query=${query} change=${change} />`} />
    <div class="stack">
      ${filtering && html`<${Filters} query=${query} data=${data.data} change=${change} />`}
      <${Chips} query=${query} data=${data.data} change=${change} />
      ${!session.sees_all && html`<${Notice}>This is what your own keys did. An administrator sees everything.<//>`}
      <${Loaded} of=${data} height=${420}>${(found) => html`
        <${Figures} data=${found} />
        ${live && html`<${Now} live=${now} filtered=${count > 0} />`}
        ${!found.totals.requests && html`<section class="card"><${Empty} title="No requests in this time"
          action=${html`<a class="button" href="/ui/playground">Open the playground</a>`}>Choose a longer time, take filters away, or make the first request.<//></section>`}
        <${Charts} data=${found} zoom=${zoom} />
        <div class="grid">
          <div class="stack span-${inPart && !found.errors.length ? 12 : 7}">
            <${Breakdown} data=${found} query=${query} change=${change} pick=${pick} />${!inPart && html`<${Errors} data=${found} query=${query} />`}
          </div>
          ${inPart ? html`<div class="stack span-5"><${Errors} data=${found} query=${query} /></div>`
            : html`<div class="stack span-5"><${Savings} data=${found} query=${query} change=${change} session=${session} /></div>`}
        </div>
        <${Uptime} data=${found} />
        <${Deployments} data=${found} query=${query} change=${change} />
        <${Variants} data=${found} />`}<//>
      ${live && sumless && html`<${Now} live=${now} filtered=${count > 0} />`}
    </div>`;
}
