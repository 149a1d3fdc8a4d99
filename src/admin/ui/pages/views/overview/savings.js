// What the same tokens would have cost elsewhere, and names whose requests are divided between models.
import { html, useState, useEffect } from '../../lib/html.js';
import { count, duration, money, percent, short } from '../../lib/format.js';
import { Bars } from '../../parts/bars.js';
import { DEFAULT, isFixed } from '../../parts/range.js';
import { Table } from '../../parts/table.js';

const SPANS = {
  '1h': ['This hour', 'The hour before'], '6h': ['These 6 hours', 'The 6 hours before'], '24h': ['These 24 hours', 'The 24 hours before'],
  '7d': ['This week', 'The week before'], '30d': ['These 30 days', 'The 30 days before'],
};

export function Savings({ data, query, change, session }) {
  const [typed, setTyped] = useState(query.baseline ?? '');
  useEffect(() => setTyped(query.baseline ?? ''), [query.baseline]);
  const found = data.savings;
  const asked = query.baseline || session.baseline_model;
  const before = found?.before;
  const part = found?.baseline_cost > 0 ? found.saved / found.baseline_cost : null;
  const [now, then] = SPANS[isFixed(query) ? '' : query.range ?? DEFAULT] ?? ['This time', 'The same time before'];
  return html`<section class="card savings"><header><h2>Savings</h2>
      <form class="baseline" onSubmit=${(event) => { event.preventDefault(); change({ baseline: typed.trim() }, {}); }}>
        <label for="baseline" class="note">against</label>
        <input class="input small" id="baseline" value=${typed} placeholder=${session.baseline_model ?? 'a model'} spellcheck=${false} autocomplete="off" onInput=${(event) => setTyped(event.target.value)}
          onBlur=${() => typed.trim() !== (query.baseline ?? '') && change({ baseline: typed.trim() }, {})} />
      </form></header>
    <div class="body">
      ${found ? html`<div class="stack">
          <p><strong class="big">${money(found.saved)}</strong> <span class="soft">${found.saved >= 0 ? 'less' : 'more'} than ${found.model} would have cost${part === null ? '' : `, ${percent(Math.abs(part), 0)}`}</span></p>
          <${Bars} label="Cost and baseline" format=${money} items=${[
            { id: 'cost', name: now, value: found.cost, colour: 'var(--c1)' },
            { id: 'base', name: `${now} on ${found.model}`, value: found.baseline_cost, colour: 'var(--c8)' },
            ...(before ? [
              { id: 'cost-before', name: then, value: before.cost, colour: 'var(--c1)' },
              { id: 'base-before', name: `${then} on ${found.model}`, value: before.baseline_cost, colour: 'var(--c8)' },
            ] : []),
          ]} share=${false} />
          ${before && html`<p class="faint">${then}: ${money(before.saved)} saved.</p>`}
        </div>`
        : html`<p class="soft">${asked ? `The price of ${asked} is not known. Name another model.` : 'Name a model to see what the same tokens would have cost there.'}</p>`}
    </div></section>`;
}

export function Variants({ data }) {
  return data.variants.map((one) => html`<section class="card" key=${one.name}><header><h2>${one.name}</h2><span class="note">requests divided by weight</span></header><div class="body flush">
    <${Table} caption=${`Variants of ${one.name}`} rows=${one.members} keyOf=${(row) => row.group} columns=${[
      { name: 'group', title: 'Variant', head: true, cell: (row) => row.group },
      { name: 'weight', title: 'Weight', num: true, cell: (row) => percent(row.weight, 0) },
      { name: 'share', title: 'Got', num: true, cell: (row) => percent(row.share) },
      { name: 'requests', title: 'Requests', num: true, wide: true, cell: (row) => short(row.totals.requests) },
      { name: 'failed', title: 'Failed', num: true, wide: true, cell: (row) => html`<span title=${`${count(row.totals.failures)} requests`}>${percent(row.totals.failure_rate)}</span>` },
      { name: 'p50', title: 'p50', num: true, wide: true, cell: (row) => duration(row.latency?.p50) },
      { name: 'p95', title: 'p95', num: true, cell: (row) => duration(row.latency?.p95) },
      { name: 'ttft', title: 'First token p95', num: true, wide: true, cell: (row) => duration(row.ttft?.p95) },
      { name: 'each', title: 'Cost each', num: true, cell: (row) => money(row.totals.requests ? row.totals.cost / row.totals.requests : null) },
      { name: 'cost', title: 'Cost', num: true, wide: true, cell: (row) => money(row.totals.cost) },
    ]} /></div></section>`);
}
