// Shares and bounds as bars; each says in words what it shows.
import { html } from '../lib/html.js';
import { count, money, percent, period, when } from '../lib/format.js';

const width = (part) => ({ width: `${Math.max(0, Math.min(1, part || 0)) * 100}%` });

/** The greatest first. `items`: `{id, name, note, value, colour}`; `onPick(item)` makes the names buttons. */
export function Bars({ items, format, onPick, label, share = true }) {
  const total = items.reduce((sum, one) => sum + one.value, 0);
  const most = Math.max(...items.map((one) => one.value), 0);
  return html`<ul class="bars" aria-label=${label}>
    ${items.map((one) => html`<li key=${one.id ?? 'other'}>
      <span class="label" title=${one.note ? `${one.name}: ${one.note}` : one.name}>${onPick && one.id ? html`<button type="button" onClick=${() => onPick(one)} aria-label=${`Show only ${one.name}`}>${one.name}</button>` : html`<span class=${one.id ? '' : 'faint'}>${one.name}</span>`}${one.note && html` <small class="faint">${one.note}</small>`}</span>
      <span class="amount">${format(one.value)}${share && html` <small>${total ? percent(one.value / total, 0) : ""}</small>`}</span>
      <span class="track" aria-hidden="true"><span style=${{ ...width(most ? one.value / most : 0), background: one.colour ?? '' }}></span></span>
    </li>`)}
  </ul>`;
}

/** What is left of a budget. Without one only what was spent. */
export function Budget({ spend = 0, max, every, reset }) {
  if (max === null || max === undefined) {
    return html`<div class="budget"><div class="text"><strong>${money(spend)} spent</strong><span>no limit</span></div></div>`;
  }
  const left = Math.max(0, max - spend);
  const part = max > 0 ? left / max : 0;
  const kind = spend > max || part <= 0 ? 'bad' : part < 0.2 ? 'warn' : 'good';
  const words = `${money(left)} of ${money(max)} ${period(every)} left, ${money(spend)} spent${reset ? `; starts anew ${when(reset, 'date')}` : ''}`;
  return html`<div class="budget ${kind}" title=${words}>
    <div class="text"><strong>${money(left)} left</strong><span>of ${money(max)}</span></div>
    <div class="track" role="meter" aria-label="Remaining budget" aria-valuemin="0" aria-valuemax=${max} aria-valuenow=${left} aria-valuetext=${words}><span style=${width(part)}></span></div>
  </div>`;
}

/** Neighbours as one, so that no more than `most` are left. */
function joined(cells, step, most) {
  const by = Math.ceil(cells.length / most);
  if (by <= 1) return [cells, step];
  const groups = Array.from({ length: Math.ceil(cells.length / by) }, (_, at) => cells.slice(at * by, (at + 1) * by));
  const sum = (group, field) => group.reduce((all, one) => all + one[field], 0);
  return [groups.map((group) => ({ at: group[0].at, attempts: sum(group, 'attempts'), failures: sum(group, 'failures') })), step * by];
}

/** Attempts over time: a cell for each step, at most so many. */
export function Strip({ cells: given, step: each, name, most = 96 }) {
  const [cells, step] = joined(given, each, most);
  const tried = cells.reduce((sum, one) => sum + one.attempts, 0);
  const failed = cells.reduce((sum, one) => sum + one.failures, 0);
  const kind = (cell) => {
    if (!cell.attempts) return '';
    const part = cell.failures / cell.attempts;
    return part >= 0.5 ? 'down' : part > 0.02 ? 'part' : 'up';
  };
  const words = tried ? `${name}: ${percent(1 - failed / tried, 2)} of ${count(tried)} attempts succeeded` : `${name}: no attempts`;
  return html`<div class="strip" role="img" aria-label=${words}>
    ${cells.map((cell) => html`<i key=${cell.at} class=${kind(cell)} title=${`${when(cell.at)} – ${when(cell.at + step, 'time')}: ${cell.attempts ? `${count(cell.attempts)} attempts, ${count(cell.failures)} failed` : 'no attempts'}`}></i>`)}
  </div>`;
}
