// The span of time that a page is about: the last so many hours, or from one moment to another. It stands in the
// address as `range=7d`, or as `from` and `to` in milliseconds.
import { html, useState } from '../lib/html.js';
import { when, zone } from '../lib/format.js';
import { Segments } from './fields.js';
import { Dialog } from './dialog.js';

const HOUR = 3_600_000;
export const RANGES = { '1h': HOUR, '6h': 6 * HOUR, '24h': 24 * HOUR, '7d': 168 * HOUR, '30d': 720 * HOUR };
const NAMES = { '1h': 'last hour', '6h': 'last 6 hours', '24h': 'last 24 hours', '7d': 'last 7 days', '30d': 'last 30 days' };
export const DEFAULT = '24h';

/** What the address says, as parameters of a request; asked again, `range` has moved on. */
export function spanOf(query, now = Date.now()) {
  const [from, to] = [Number(query.from), Number(query.to)];
  if (from > 0 && to > from) return { from, to };
  return { from: now - (RANGES[query.range] ?? RANGES[DEFAULT]), to: now };
}

export const isFixed = (query) => Number(query.from) > 0 && Number(query.to) > Number(query.from);
export const rangeName = (query) => (isFixed(query) ? `${when(Number(query.from))} – ${when(Number(query.to))}` : NAMES[query.range] ?? NAMES[DEFAULT]);

/** `2026-01-31T12:00` in the reader's zone, as the browser's field wants it. */
function local(ms) {
  const date = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return date.toISOString().slice(0, 16);
}

function Custom({ query, change, onClose }) {
  const span = spanOf(query);
  const [from, setFrom] = useState(local(span.from));
  const [to, setTo] = useState(local(span.to));
  const wrong = !(new Date(to) > new Date(from));
  return html`<${Dialog} title="From and to" kind="box" lead=${`Times are those of your browser (${zone}).`} onClose=${onClose}
    onSubmit=${() => {
      if (wrong) return;
      change({ from: new Date(from).getTime(), to: new Date(to).getTime(), range: '', page: '' }, {});
      onClose();
    }}
    footer=${html`<button type="button" class="button" onClick=${onClose}>Cancel</button><button type="submit" class="button primary" disabled=${wrong}>Show</button>`}>
    <div class="fields">
      <div class="field"><label for="from">From</label><input class="input" id="from" type="datetime-local" value=${from} data-first onInput=${(event) => setFrom(event.target.value)} /></div>
      <div class="field"><label for="to">To</label><input class="input" id="to" type="datetime-local" value=${to} onInput=${(event) => setTo(event.target.value)} /></div>
    </div>
  <//>`;
}

export function Range({ query, change }) {
  const [asked, setAsked] = useState(false);
  const fixed = isFixed(query);
  const options = [...Object.keys(RANGES).map((name) => [name, name, NAMES[name][0].toUpperCase() + NAMES[name].slice(1)]), ['custom', fixed ? rangeName(query) : 'Custom']];
  return html`<${Segments} label="Time range" value=${fixed ? 'custom' : query.range in RANGES ? query.range : DEFAULT} options=${options}
      onChange=${(name) => (name === 'custom' ? setAsked(true) : change({ range: name === DEFAULT ? '' : name, from: '', to: '', page: '' }, {}))} />
    ${asked && html`<${Custom} query=${query} change=${change} onClose=${() => setAsked(false)} />`}`;
}
