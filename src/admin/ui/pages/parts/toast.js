// Short words on what was done, read out too.
import { html } from '../lib/html.js';
import { store, useStore } from '../lib/store.js';
import { Icon } from './icons.js';

const said = store([]);
let last = 0;

export function tell(text, kind = 'good') {
  const id = ++last;
  said.set([...said.get().slice(-2), { id, text, kind }]);
  setTimeout(() => said.set(said.get().filter((one) => one.id !== id)), 6000);
}

export function Toasts() {
  const list = useStore(said);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${list.map((one) => html`<div key=${one.id} class="notice ${one.kind}"><${Icon} name=${one.kind} /><div class="text">${one.text}</div></div>`)}
  </div>`;
}
