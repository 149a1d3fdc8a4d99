// Charts over time, drawn by uPlot: a legend whose names switch lines, a tip under the pointer, a span to
// choose by dragging, and the same numbers as a table for whoever reads them.
import uPlot from '../vendor/uplot.js';
import { html, useEffect, useMemo, useRef, useState } from '../lib/html.js';
import { count, when, zone } from '../lib/format.js';
import { colour, colours } from '../lib/theme.js';
import { useStore } from '../lib/store.js';

const DAY = 86_400;

/** Names of moments on the axis, in the reader's zone: the day where one begins, the time otherwise. */
function moments(plot, splits, axis, space, step) {
  return splits.map((at) => {
    const date = new Date(at * 1000);
    const day = step >= DAY || (date.getHours() === 0 && date.getMinutes() === 0 && step >= 600);
    return when(date, day ? 'day' : step < 60 ? 'second' : 'time');
  });
}

/** A value between two gaps is no line: it gets a point of its own. */
function alone(plot, index) {
  const values = plot.data[index];
  const there = (at) => values[at] !== null && values[at] !== undefined;
  return values.map((value, at) => at).filter((at) => there(at) && !there(at - 1) && !there(at + 1));
}

/** As wide as its longest name: amounts in fractions of a cent are long. */
const wide = (plot, names) => Math.max(44, 16 + 7 * Math.max(0, ...(names ?? []).map((name) => name.length)));

/** Steps of an axis on which nothing lies between 1 and 2. */
const WHOLE = Array.from({ length: 15 }, (_, at) => 10 ** at).flatMap((size) => [size, 2 * size, 5 * size]);

function optionsOf({ kind, whole, series, format, shown, width, height, ceiling, stepOf, hooks }) {
  const ink = colour('--ink-faint');
  const grid = { stroke: colour('--grid'), width: 1 };
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const bars = uPlot.paths.bars({ size: [0.72, 80], align: 1, radius: 0.12 });
  // A value is that of the time from its moment on: a bar stands to the right of it, and under the pointer is the one before.
  const under = (plot, index, near, x) => (near > 0 && plot.data[0][near] > x ? near - 1 : near);
  return {
    width, height, padding: [8, 20, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: true, y: false, setScale: false }, points: { show: kind === 'line', size: 6 }, sync: { key: 'overview' }, ...(kind === 'bars' ? { dataIdx: under } : {}) },
    scales: {
      x: { time: true, range: (plot, low, high) => [low, high + stepOf() / 1000] },
      y: { range: (plot, low, high) => [0, Math.max(high > 0 ? high * 1.08 : 1, 1e-9, high ? 0 : ceiling ?? 1)] },
    },
    axes: [
      { stroke: ink, font, grid: { show: false }, ticks: { show: false }, values: moments, space: 64, size: 28, gap: 4 },
      { stroke: ink, font, grid, ticks: { show: false }, values: (plot, splits) => splits.map((value) => format(value).replace(/\.0+(?=\D*$)/, '')), size: wide, gap: 6, space: 34, ...(whole ? { incrs: WHOLE } : {}) },
    ],
    series: [{}, ...series.map((one) => {
      const stroke = colour(one.colour);
      return kind === 'bars'
        ? { show: shown[one.name] !== false, stroke, fill: stroke, width: 0, paths: bars, points: { show: false } }
        : { show: shown[one.name] !== false, stroke, width: 1.75, spanGaps: false, fill: one.fill ? stroke.replace(/^rgb\((.*)\)$/, 'rgba($1, .12)') : undefined, points: { show: true, size: 6, fill: stroke, filter: alone } };
    })],
    hooks,
  };
}

/** The numbers themselves. */
function Numbers({ label, times, series, format }) {
  const [open, setOpen] = useState(false);
  return html`<details class="asdata" onToggle=${(event) => setOpen(event.target.open)}><summary>Show as table</summary>
    ${open && html`<div class="table-wrap" role="region" aria-label=${`${label}, as a table`} tabindex="0"><table>
      <thead><tr><th scope="col">Time (${zone})</th>${series.map((one) => html`<th key=${one.name} scope="col" class="num">${one.name}</th>`)}</tr></thead>
      <tbody>${times.map((at, row) => html`<tr key=${at}><th scope="row" class="nowrap">${when(at)}</th>${series.map((one) => html`<td key=${one.name} class="num">${format(one.values[row])}</td>`)}</tr>`)}</tbody>
    </table></div>`}
  </details>`;
}

/**
 * `times`: milliseconds; `series`: `{name, values, colour, fill}` with a colour of the style sheet by its name; `kind`: `bars`
 * (of which later ones stand before earlier ones) or `line`. `onZoom(from, to)` gets a span that was dragged over.
 */
export function Chart({ label, kind = 'line', times, series, step, format = count, whole = false, small, none = 'Nothing in this time', onZoom, table = true }) {
  const place = useRef(null);
  const plot = useRef(null);
  const [shown, setShown] = useState({});
  const [tip, setTip] = useState(null);
  const inside = useRef(false);
  const turn = useStore(colours);
  const latest = useRef({});
  latest.current = { times, series, step, onZoom };
  const empty = !series.some((one) => one.values.some((value) => value));
  const data = useMemo(() => [times.map((at) => at / 1000), ...series.map((one) => (empty ? one.values.map(() => null) : one.values))], [times, series]);
  const shape = series.map((one) => `${one.name}${one.colour}`).join();

  useEffect(() => {
    const element = place.current;
    const size = () => ({ width: Math.max(120, element.clientWidth), height: element.clientHeight });
    const hooks = {
      setCursor: [(drawn) => {
        const at = drawn.cursor.idx;
        if (!inside.current || at === null || at === undefined) setTip(null);
        else setTip({ at, left: drawn.cursor.left + drawn.over.offsetLeft, wide: element.clientWidth });
      }],
      setSelect: [(drawn) => {
        const { left, width } = drawn.select;
        if (width > 6 && inside.current) latest.current.onZoom?.(Math.round(drawn.posToVal(left, 'x') * 1000), Math.round(drawn.posToVal(left + width, 'x') * 1000));
        drawn.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }],
      ready: [(drawn) => {
        drawn.over.addEventListener('mouseenter', () => { inside.current = true; });
        drawn.over.addEventListener('mouseleave', () => { inside.current = false; setTip(null); });
      }],
    };
    const drawn = new uPlot(optionsOf({ kind, whole, series, format, shown, hooks, stepOf: () => latest.current.step ?? 0, ...size() }), data, element);
    plot.current = drawn;
    const resized = new ResizeObserver(() => {
      const now = size();
      if (now.width !== drawn.width || now.height !== drawn.height) drawn.setSize(now);
    });
    resized.observe(element);
    return () => {
      resized.disconnect();
      drawn.destroy();
      plot.current = null;
    };
  }, [kind, shape, shown, turn]);
  useEffect(() => plot.current?.setData(data), [data]);

  const drawn = series.filter((one) => shown[one.name] !== false);
  return html`<div class="chart ${small ? 'small' : ''}">
    <div class="plot" ref=${place} role="img" aria-label=${`${label}. ${empty ? none : `${series.map((one) => one.name).join(', ')}; the numbers are in the table below.`}`}></div>
    ${empty && html`<div class="none">${none}</div>`}
    ${tip && !empty && html`<div class="tip" style=${tip.left > tip.wide / 2 ? { right: `${tip.wide - tip.left + 14}px`, top: '8px' } : { left: `${tip.left + 14}px`, top: '8px' }}>
      <div class="when">${when(times[tip.at])}${step ? ` – ${when(times[tip.at] + step, step >= DAY * 1000 ? 'moment' : 'time')}` : ''}</div>
      <ul>${drawn.map((one) => html`<li key=${one.name}><span class="swatch" style=${{ background: `var(${one.colour})` }}></span><span>${one.name}</span><strong>${format(one.values[tip.at])}</strong></li>`)}</ul>
    </div>`}
    ${series.length > 1 && html`<div class="legend" role="group" aria-label=${`Lines of ${label}`}>
      ${series.map((one) => html`<button key=${one.name} type="button" aria-pressed=${String(shown[one.name] !== false)}
        onClick=${() => setShown((old) => ({ ...old, [one.name]: old[one.name] === false }))}><span class="swatch" style=${{ background: `var(${one.colour})` }}></span>${one.name}</button>`)}
    </div>`}
    ${table && html`<${Numbers} label=${label} times=${times} series=${series} format=${format} />`}
  </div>`;
}
