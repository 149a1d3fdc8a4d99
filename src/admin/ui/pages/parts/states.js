// What a place shows while there is nothing, nothing yet, or something went wrong.
import { html } from '../lib/html.js';
import { Icon } from './icons.js';

export function Problem({ error, retry }) {
  return html`<div class="notice bad" role="alert">
    <${Icon} name="bad" />
    <div class="text">${error.message}
      ${error.requestId && html`<small>Request <code>${error.requestId}</code></small>`}
    </div>
    ${retry && html`<button type="button" class="button small" onClick=${retry}>Try again</button>`}
  </div>`;
}

export const Notice = ({ kind = 'info', children, action }) => html`<div class="notice ${kind}">
  <${Icon} name=${kind} /><div class="text">${children}</div>${action}</div>`;

export const Empty = ({ title, children, action }) => html`<div class="empty">
  <strong>${title}</strong>${children && html`<p>${children}</p>`}${action}</div>`;

/** Lines where text will be, so that nothing moves when it comes. */
export function Waiting({ lines = 5, height }) {
  return html`<div class="stack" aria-busy="true">
    <span class="visually-hidden">Loading</span>
    ${height
      ? html`<div class="skeleton" style=${{ height: `${height}px` }}></div>`
      : Array.from({ length: lines }, (_, at) => html`<div key=${at} class="skeleton" style=${{ width: `${92 - ((at * 17) % 40)}%` }}></div>`)}
  </div>`;
}

/** One of the three, or what came. */
export function Loaded({ of, lines, height, children }) {
  if (of.data === undefined && of.error) return html`<${Problem} error=${of.error} retry=${of.reload} />`;
  if (of.data === undefined) return html`<${Waiting} lines=${lines} height=${height} />`;
  return html`
    ${of.error && html`<${Problem} error=${of.error} retry=${of.reload} />`}
    <div class=${`stack ${of.loading ? 'refreshing' : ''}`} aria-busy=${of.loading ? 'true' : undefined}>${children(of.data)}</div>`;
}
