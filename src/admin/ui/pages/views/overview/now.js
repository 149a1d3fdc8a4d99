// The last minute and a half, second by second, and the newest requests.
import { html } from '../../lib/html.js';
import { failureName, meaning } from '../../lib/failures.js';
import { NONE, count, duration, fine, when } from '../../lib/format.js';
import { href } from '../../lib/route.js';
import { Chart } from '../../parts/chart.js';

const SECONDS = 90;
const SHOWN = 6;

function recent(ticks) {
  const seen = new Map();
  for (const tick of [...ticks].reverse()) {
    for (const one of tick.recent ?? []) if (!seen.has(one.id)) seen.set(one.id, one);
    if (seen.size >= SHOWN) break;
  }
  return [...seen.values()].slice(0, SHOWN);
}

/** Filters do not hold here: the gateway tells all that the reader may see. */
export function Now({ live, filtered }) {
  const { ticks, up } = live;
  const last = ticks.at(-1);
  const end = Math.floor((last?.at ?? Date.now()) / 1000) * 1000;
  const times = Array.from({ length: SECONDS }, (_, at) => end - (SECONDS - 1 - at) * 1000);
  const bySecond = new Map(ticks.map((tick) => [Math.floor(tick.at / 1000) * 1000, tick]));
  const series = [
    { name: 'Requests', colour: '--c1', values: times.map((at) => bySecond.get(at)?.requests ?? null) },
    { name: 'Failed', colour: '--bad', values: times.map((at) => bySecond.get(at)?.failures ?? null) },
  ];
  const newest = recent(ticks);
  return html`<section class="card now" aria-label="Right now">
    <header><h2>Right now</h2><span class="note">${up ? `a second at a time${filtered ? ', without the filters' : ''}` : 'connecting…'}</span></header>
    <div class="body">
      <dl class="nowfigures">
        <div><dt>Requests/s</dt><dd>${count(last?.requests)}</dd></div>
        ${last?.in_flight !== null && html`<div><dt>In flight</dt><dd>${count(last?.in_flight)}</dd></div>
          <div><dt>Streams</dt><dd>${count(last?.streams)}</dd></div>
          <div><dt>Resting</dt><dd class=${last?.cooling ? 'warn' : ''}>${count(last?.cooling)}</dd></div>`}
        <div><dt>Mean latency</dt><dd>${duration(last?.mean_latency)}</dd></div>
      </dl>
      <${Chart} label="Requests each second" kind="bars" whole small times=${times} series=${series} step=${1000} none="Waiting for requests" table=${false} />
      <div class="recent">
        <h3>Newest requests</h3>
        ${newest.length ? html`<ol>${newest.map((one) => html`<li key=${one.id}><a href=${href(`/requests/${encodeURIComponent(one.id)}`)}>
          <span class="faint">${when(one.at, 'second')}</span><span class="clip" title=${one.group}>${one.group ?? NONE}</span>
          <span class=${one.error ? 'bad' : 'good'} title=${one.error && meaning(one.error)}>${one.error ? failureName(one.error) : one.status}</span><span class="num">${duration(one.duration)}</span><span class="num wide">${fine(one.cost)}</span></a></li>`)}</ol>`
          : html`<p class="faint">None since you came.</p>`}
      </div>
    </div>
  </section>`;
}
