// Dialogs on the browser's own element: it keeps the focus inside, closes on Escape, and gives the focus
// back to where it was.
import { html, useEffect, useId, useRef, useState } from '../lib/html.js';
import { Icon } from './icons.js';
import { Problem } from './states.js';

/** `kind` is `sheet` (at the side, for forms) or `box` (in the middle, for questions). */
export function Dialog({ title, kind = 'sheet', lead, footer, onClose, onSubmit, children }) {
  const box = useRef(null);
  const name = useId();
  useEffect(() => {
    const element = box.current;
    const before = document.activeElement;
    element.showModal();
    // The first thing to fill in, not the button that closes.
    element.querySelector('[data-first]')?.focus();
    return () => {
      element.close();
      if (before?.isConnected) before.focus();
    };
  }, []);
  const frame = html`
    <header>
      <div class="lead"><h2 id=${name}>${title}</h2>${lead && html`<p class="soft">${lead}</p>`}</div>
      <button type="button" class="button plain icon small" aria-label="Close" onClick=${onClose}><${Icon} name="close" /></button>
    </header>
    <div class="content" tabindex=${onSubmit ? undefined : '0'} role=${onSubmit ? undefined : 'group'} aria-label=${onSubmit ? undefined : 'Details'}>${children}</div>
    ${footer && html`<footer>${footer}</footer>`}`;
  return html`<dialog ref=${box} class=${kind} aria-labelledby=${name}
    onCancel=${(event) => { event.preventDefault(); onClose(); }}
    onClick=${(event) => { if (event.target === box.current) onClose(); }}>
    ${onSubmit
      ? html`<form class="frame" novalidate onSubmit=${(event) => {
        event.preventDefault();
        // A question stands inside the sheet that asks it: what is said to one is not said to the other.
        event.stopPropagation();
        onSubmit();
      }}>${frame}</form>`
      : html`<div class="frame">${frame}</div>`}
  </dialog>`;
}

/** A question before something that cannot be taken back. `work` is done while the dialog stays. */
export function Confirm({ title, yes, danger = true, work, onClose, children }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  async function run() {
    setBusy(true);
    setError(null);
    try {
      await work();
      onClose();
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  }
  return html`<${Dialog} title=${title} kind="box" onClose=${onClose} onSubmit=${run}
    footer=${html`
      <button type="button" class="button" onClick=${onClose} data-first>Cancel</button>
      <button type="submit" class="button primary ${danger ? 'danger' : ''}" disabled=${busy}>${busy ? 'Working…' : yes}</button>`}>
    <div class="stack">${children}${error && html`<${Problem} error=${error} />`}</div>
  <//>`;
}
