// How well providers and deployments did: uptime, attempts, latency, and what went wrong.
import { html } from '../../lib/html.js';
import { failureName, meaning } from '../../lib/failures.js';
import { NONE, count, duration, money, percent, short, span, when } from '../../lib/format.js';
import { go, href } from '../../lib/route.js';
import { Bars, Strip } from '../../parts/bars.js';
import { Table, sorted } from '../../parts/table.js';

export const STATES = { healthy: ['good', 'Healthy'], partial: ['warn', 'Partial'], cooling: ['bad', 'Resting'] };

/**
 * What a deployment is, under the name of its group; its id too where another one is the same but for that: the
 * regions of a provider, say.
 */
export function Kind({ one, among }) {
  const same = (other) => other.group === one.group && other.provider === one.provider && other.model === one.model;
  const isTwin = among.filter(same).length > 1;
  return html`<span class="under clip" title=${`${one.provider} · ${one.model} · ${one.id}`}>${one.provider} · ${one.model}${one.configured === false ? ' · gone' : ''}</span>
    ${isTwin && html`<span class="under clip mono" title=${one.id}>${one.id}</span>`}`;
}

export function Uptime({ data }) {
  if (!data.uptime.length) return null;
  const cells = data.uptime[0].cells;
  return html`<section class="card"><header><h2>Uptime of providers</h2><span class="note">attempts that did not fail by the provider's fault, a cell for ${span(data.uptime[0].step / 1000)}</span></header>
    <div class="body"><ul class="uptime">
      ${data.uptime.map((one) => {
        const tried = one.cells.reduce((sum, cell) => sum + cell.attempts, 0);
        const failed = one.cells.reduce((sum, cell) => sum + cell.failures, 0);
        return html`<li key=${one.provider}><span class="clip">${one.provider}</span><${Strip} cells=${one.cells} step=${one.step} name=${one.provider} />
          <strong class="num">${tried ? percent(1 - failed / tried, 2) : NONE}</strong></li>`;
      })}
      ${cells.length > 1 && html`<li class="faint ends" aria-hidden="true"><span></span><span class="between"><span>${when(cells[0].at)}</span><span>${when(cells.at(-1).at + data.uptime[0].step)}</span></span><span></span></li>`}
    </ul>
    <p class="key faint" aria-hidden="true"><span><i class="up"></i>up</span><span><i class="part"></i>some failed</span><span><i class="down"></i>half or more failed</span><span><i></i>no attempts</span></p></div></section>`;
}

export function Deployments({ data, query, change }) {
  if (!data.deployments.length) return null;
  const sort = { by: query.sort ?? '', down: query.down !== undefined };
  const onSort = (by) => change({ sort: by, down: sort.by === by ? (sort.down ? '' : '1') : '1' });
  const values = {
    group: (row) => row.group, attempts: (row) => row.attempts, error: (row) => row.error_rate, timeout: (row) => row.timeout_rate, p50: (row) => row.latency?.p50, p95: (row) => row.latency?.p95,
    p99: (row) => row.latency?.p99, ttft50: (row) => row.ttft?.p50, ttft: (row) => row.ttft?.p95, cost: (row) => row.cost,
  };
  return html`<section class="card"><header><h2>Deployments</h2><span class="note">every attempt counts, also those that a retry made good</span></header><div class="body flush">
    <${Table} caption="Deployments" dense rows=${sorted(data.deployments, sort, values)} keyOf=${(row) => row.id} sort=${sort} onSort=${onSort} columns=${[
      { name: 'group', title: 'Model', head: true, sort: true, cell: (row) => html`<button type="button" class="rowlink plainbutton" title="Show only this deployment" onClick=${() => change({ deployment: row.id }, {})}><span class="clip" title=${row.group}>${row.group}</span></button><${Kind} one=${row} among=${data.deployments} />` },
      { name: 'state', title: 'State', wide: true, cell: (row) => (row.state ? html`<span class="badge ${STATES[row.state]?.[0] ?? ''}">${STATES[row.state]?.[1] ?? row.state}</span>` : NONE) },
      { name: 'attempts', title: 'Attempts', num: true, sort: true, cell: (row) => short(row.attempts) },
      { name: 'error', title: 'Failed', num: true, sort: true, cell: (row) => html`<span class=${row.error_rate > 0.05 ? 'bad' : ''} title=${`${count(row.attempt_failures)} attempts`}>${percent(row.error_rate)}</span>` },
      { name: 'timeout', title: 'Timed out', num: true, sort: true, wider: true, cell: (row) => percent(row.timeout_rate) },
      { name: 'p50', title: 'p50', num: true, sort: true, wide: true, cell: (row) => duration(row.latency?.p50) },
      { name: 'p95', title: 'p95', num: true, sort: true, cell: (row) => duration(row.latency?.p95) },
      { name: 'p99', title: 'p99', num: true, sort: true, wide: true, cell: (row) => duration(row.latency?.p99) },
      { name: 'ttft50', title: 'TTFT p50', num: true, sort: true, wider: true, cell: (row) => duration(row.ttft?.p50) },
      { name: 'ttft', title: 'TTFT p95', num: true, sort: true, wider: true, cell: (row) => duration(row.ttft?.p95) },
      { name: 'cost', title: 'Cost', num: true, sort: true, wide: true, cell: (row) => money(row.cost) },
      { name: 'uptime', title: 'Uptime', wider: true, cell: (row) => html`<${Strip} cells=${row.cells} step=${data.uptime[0]?.step ?? data.step} name=${row.group} most=${24} />` },
    ]} /></div></section>`;
}

export function Errors({ data, query }) {
  if (!data.errors.length) return null;
  // What the log can be asked for, too.
  const kept = Object.fromEntries(['range', 'from', 'to', 'group', 'key', 'user', 'team', 'tag'].map((name) => [name, query[name]]));
  const pick = (one) => go(href('/requests', { ...kept, status: 'failure', error: one.id }));
  return html`<section class="card"><header><h2>Why requests failed</h2></header><div class="body">
    <${Bars} label="Failed requests by reason" items=${data.errors.map((one) => ({ id: one.class, name: failureName(one.class), note: meaning(one.class), value: one.count, colour: 'var(--bad)' }))} format=${count} onPick=${pick} /></div></section>`;
}
