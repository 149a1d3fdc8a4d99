// Tables: real ones, with headers that sort, a caption for readers of the screen, and room to scroll.
import { html } from '../lib/html.js';
import { count } from '../lib/format.js';

/**
 * `columns`: `{name, title, cell(row), num, wide, wider, sort, head}`; `wide` ones are left out on phones, `wider` ones on
 * tablets; the one with `head` names the row. `sort`: `{by, down}`; `onSort(by)` is asked to change it.
 */
export function Table({ caption, columns, rows, keyOf, sort, onSort, dense }) {
  const kind = (column) => [column.num && 'num', column.wide && 'wide', column.wider && 'wider', column.class].filter(Boolean).join(' ') || undefined;
  return html`<div class="table-wrap" role="region" aria-label=${caption} tabindex="0">
    <table class=${dense ? 'dense' : undefined}>
      <caption class="visually-hidden">${caption}</caption>
      <thead><tr>
        ${columns.map((column) => {
          const on = sort?.by === column.name;
          return html`<th key=${column.name} scope="col" class=${kind(column)}
            aria-sort=${column.sort && onSort ? (on ? (sort.down ? 'descending' : 'ascending') : 'none') : undefined}>
            ${column.sort && onSort
              ? html`<button type="button" class="sort" onClick=${() => onSort(column.name)}>${column.title}<span class="mark" aria-hidden="true">${on ? (sort.down ? '▼' : '▲') : ''}</span></button>`
              : column.hidden ? html`<span class="visually-hidden">${column.title}</span>` : column.title}
          </th>`;
        })}
      </tr></thead>
      <tbody>
        ${rows.map((row) => html`<tr key=${keyOf(row)}>
          ${columns.map((column) => (column.head
            ? html`<th key=${column.name} scope="row" class=${kind(column)}>${column.cell(row)}</th>`
            : html`<td key=${column.name} class=${kind(column)}>${column.cell(row)}</td>`))}
        </tr>`)}
      </tbody>
    </table>
  </div>`;
}

export function Pager({ page, pages, total, noun, least = false, onPage }) {
  return html`<nav class="pager" aria-label="Pages of the list">
    <span class="count">${least ? 'More than ' : ''}${count(total)} ${total === 1 ? noun : `${noun}s`}</span>
    ${pages > 1 && html`
      <button type="button" class="button small" disabled=${page <= 1} onClick=${() => onPage(page - 1)}>Previous</button>
      <span>${count(page)} of ${count(pages)}</span>
      <button type="button" class="button small" disabled=${page >= pages} onClick=${() => onPage(page + 1)}>Next</button>`}
  </nav>`;
}

/** Sorts rows that are all there. `values[by](row)` gives what is compared; what is missing goes last. */
export function sorted(rows, { by, down }, values) {
  const value = values[by];
  if (!value) return rows;
  const order = (one, other) => {
    const [a, b] = [value(one), value(other)];
    const gone = (a === null || a === undefined) - (b === null || b === undefined);
    if (gone || a === null || a === undefined) return gone;
    const way = typeof a === 'string' ? a.localeCompare(b) : a - b;
    return down ? -way : way;
  };
  return [...rows].sort(order);
}
