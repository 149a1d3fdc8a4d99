// Fields of forms: a label each, a hint, and the problem that the gateway named.
import { html, useId, useState } from '../lib/html.js';

function Field({ label, hint, problem, full, children }) {
  const id = useId();
  const about = [hint && `${id}-hint`, problem && `${id}-problem`].filter(Boolean).join(' ') || undefined;
  return html`<div class="field ${full ? 'full' : ''}">
    <label for=${id}>${label}</label>
    ${children({ id, 'aria-describedby': about, 'aria-invalid': problem ? 'true' : undefined })}
    ${hint && html`<span class="hint" id=${`${id}-hint`}>${hint}</span>`}
    ${problem && html`<span class="problem" id=${`${id}-problem`}>${problem}</span>`}
  </div>`;
}

export const Text = ({ value, onChange, type = 'text', first, small, list, ...rest }) => html`<${Field} ...${rest}>
  ${(given) => html`<input class="input ${small ? 'small' : ''}" type=${type} value=${value ?? ''} ...${given} data-first=${first ? '' : undefined}
    placeholder=${rest.placeholder} disabled=${rest.disabled} required=${rest.required} autocomplete="off" spellcheck=${false} list=${list}
    onInput=${(event) => onChange(event.target.value)} />`}<//>`;

export const Area = ({ value, onChange, rows = 4, mono, ...rest }) => html`<${Field} ...${rest}>
  ${(given) => html`<textarea class="input ${mono ? 'mono' : ''}" rows=${rows} ...${given} placeholder=${rest.placeholder} disabled=${rest.disabled}
    spellcheck=${!mono} value=${value ?? ''} onInput=${(event) => onChange(event.target.value)}></textarea>`}<//>`;

/** Holds text while it is typed: `1.` is on its way to `1.5`. `whole` ones have no fraction. */
export const Amount = ({ value, onChange, dollars, whole, ...rest }) => html`<${Field} ...${rest}>
  ${(given) => {
    const input = html`<input class="input" type="text" inputmode=${whole ? 'numeric' : 'decimal'} value=${value ?? ''} ...${given}
      placeholder=${rest.placeholder ?? 'No limit'} disabled=${rest.disabled} autocomplete="off" onInput=${(event) => onChange(event.target.value)} />`;
    return dollars ? html`<div class="affix"><span aria-hidden="true">$</span>${input}</div>` : input;
  }}<//>`;

export const Choice = ({ value, onChange, options, small, ...rest }) => html`<${Field} ...${rest}>
  ${(given) => html`<select class="input ${small ? 'small' : ''}" value=${value ?? ''} ...${given} disabled=${rest.disabled} onChange=${(event) => onChange(event.target.value)}>
    ${options.map(([name, title]) => html`<option key=${name} value=${name} selected=${name === (value ?? '')}>${title}</option>`)}
  </select>`}<//>`;

export const Check = ({ label, value, onChange, disabled, full = true }) => html`<label class="check ${full ? 'full' : ''}">
  <input type="checkbox" checked=${value} disabled=${disabled} onChange=${(event) => onChange(event.target.checked)} />${label}</label>`;

/** Names out of those that are known, or any other: typed, and taken with Enter or a comma. */
export function Names({ value, onChange, known = [], none, ...rest }) {
  const [text, setText] = useState('');
  const id = useId();
  const add = (typed) => {
    const names = typed.split(',').map((name) => name.trim()).filter((name) => name && !value.includes(name));
    if (names.length) onChange([...value, ...new Set(names)]);
    setText('');
  };
  return html`<${Field} ...${rest} full>
    ${(given) => html`<div class="stack names">
      ${value.length > 0 && html`<ul class="chips" aria-label=${`${rest.label}, chosen`}>
        ${value.map((name) => html`<li class="chip" key=${name}>${name}${!rest.disabled && html`<button type="button" aria-label=${`Remove ${name}`}
          onClick=${() => onChange(value.filter((one) => one !== name))}>×</button>`}</li>`)}
      </ul>`}
      <input class="input" ...${given} list=${id} value=${text} disabled=${rest.disabled} autocomplete="off" spellcheck=${false}
        placeholder=${value.length ? 'Add another…' : none}
        onInput=${(event) => {
          const typed = event.target.value;
          // Chosen from the list, or ended with a comma: nothing is left to type.
          if (typed.endsWith(',') || (known.includes(typed) && event.inputType !== 'insertText' && !event.inputType?.startsWith('delete'))) add(typed);
          else setText(typed);
        }}
        onKeyDown=${(event) => { if (event.key === 'Enter' && text.trim()) { event.preventDefault(); add(text); } }}
        onBlur=${() => text.trim() && add(text)} />
      <datalist id=${id}>${known.filter((name) => !value.includes(name)).map((name) => html`<option key=${name} value=${name} />`)}</datalist>
    </div>`}<//>`;
}

/** A choice of few, all of them to be seen. */
export const Segments = ({ label, value, options, onChange }) => html`<div class="segments" role="group" aria-label=${label}>
  ${options.map(([name, title, long]) => html`<button key=${name} type="button" aria-pressed=${String(name === value)} aria-label=${long} onClick=${() => onChange(name)}>${title}</button>`)}
</div>`;
