// A form for one record: fields as data, what was typed as text, and the body of the request made of it.
import { html, useState } from '../lib/html.js';
import { Amount, Area, Check, Choice, Names, Text } from './fields.js';
import { Dialog } from './dialog.js';
import { Problem } from './states.js';

/** The bounds that keys, users, teams and budgets share. */
export const BOUNDS = [
  { name: 'max_budget', label: 'Budget', kind: 'dollars', hint: 'US dollars in each period' },
  { name: 'budget_duration', label: 'Period', kind: 'choice', options: [['', 'In total, for ever'], ['1h', 'An hour'], ['1d', 'A day'], ['7d', 'A week'], ['30d', 'A month']] },
  { name: 'rpm_limit', label: 'Requests a minute', kind: 'whole' },
  { name: 'tpm_limit', label: 'Tokens a minute', kind: 'whole' },
  { name: 'max_parallel_requests', label: 'Requests at one time', kind: 'whole' },
  { name: 'soft_budget', label: 'Warn from', kind: 'dollars', hint: 'Told, but nothing is refused', placeholder: 'Never' },
];

const START = { names: [], check: false };
const shown = (field, value) => {
  if (field.kind === 'names') return value ?? [];
  if (field.kind === 'check') return Boolean(value);
  return value === null || value === undefined ? '' : String(value);
};

/** What was typed as JSON; throws the problem of the field. */
function read(field, value) {
  if (field.kind === 'names' || field.kind === 'check') return value;
  const text = value.trim();
  if (!text) {
    if (field.required) throw new Error(`${field.label} is needed.`);
    return null;
  }
  if (field.kind === 'dollars' || field.kind === 'whole' || field.kind === 'number') {
    const number = Number(text.replace(/,/g, ''));
    if (!Number.isFinite(number) || number < 0) throw new Error('A number, 0 or greater.');
    if (field.kind === 'whole' && !Number.isInteger(number)) throw new Error('A whole number.');
    return number;
  }
  return text;
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** Of a new record what was filled in, of one that exists what was changed. */
function body(fields, values, start, isNew) {
  const found = {};
  const problems = {};
  for (const field of fields) {
    if (!isNew && same(values[field.name], start[field.name])) continue;
    try {
      const value = read(field, values[field.name]);
      if (isNew && (value === null || value === false || (Array.isArray(value) && !value.length))) continue;
      found[field.name] = value;
    } catch (error) {
      problems[field.name] = error.message;
    }
  }
  return { found, problems };
}

function One({ field, value, onChange, problem, first }) {
  const given = { label: field.label, hint: field.hint, placeholder: field.placeholder, full: field.full, disabled: field.disabled, value, onChange, problem };
  switch (field.kind) {
    case 'dollars': return html`<${Amount} ...${given} dollars />`;
    case 'whole': return html`<${Amount} ...${given} whole />`;
    case 'number': return html`<${Amount} ...${given} />`;
    case 'secret': return html`<${Text} ...${given} type="password" />`;
    case 'choice': {
      // What stands there stays possible, also if it is none of the usual ones.
      const options = field.options.some(([name]) => name === value) ? field.options : [...field.options, [value, value]];
      return html`<${Choice} ...${given} options=${options} />`;
    }
    case 'names': return html`<${Names} ...${given} known=${field.known} none=${field.placeholder} />`;
    case 'check': return html`<${Check} ...${given} />`;
    case 'area': return html`<${Area} ...${given} />`;
    default: return html`<${Text} ...${given} first=${first} required=${field.required} />`;
  }
}

/**
 * `record` is null for a new one. `save(body)` does it; `sections` are further parts (facts, actions) under the form.
 * Without `save` the record is only shown.
 */
export function Editor({ title, lead, fields, record, save, verb, children, left, onClose }) {
  const isNew = !record;
  // Fields may come later than the form, with the lists that they are chosen from: only what was typed is kept.
  const start = Object.fromEntries(fields.map((field) => [field.name, record ? shown(field, record[field.name]) : field.start ?? START[field.kind] ?? '']));
  const [typed, setTyped] = useState({});
  const values = { ...start, ...typed };
  const [problems, setProblems] = useState({});
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);

  async function submit() {
    const { found, problems: wrong } = body(fields, values, start, isNew);
    setProblems(wrong);
    setError(null);
    if (Object.keys(wrong).length) return;
    if (!isNew && !Object.keys(found).length) {
      onClose();
      return;
    }
    setBusy(true);
    try {
      await save(found);
    } catch (problem) {
      if (problem.param && fields.some((field) => field.name === problem.param)) setProblems({ [problem.param]: problem.message });
      else setError(problem);
      setBusy(false);
    }
  }

  const usable = save ? fields : fields.map((field) => ({ ...field, disabled: true }));
  return html`<${Dialog} title=${title} lead=${lead} onClose=${onClose} onSubmit=${save && submit}
    footer=${html`
      ${left && html`<span class="left">${left}</span>`}
      <button type="button" class="button" onClick=${onClose}>${save ? 'Cancel' : 'Close'}</button>
      ${save && html`<button type="submit" class="button primary" disabled=${busy}>${busy ? 'Saving…' : verb ?? 'Save'}</button>`}`}>
    <div class="form">
      ${error && html`<${Problem} error=${error} />`}
      ${!isNew && children}
      <div class="fields">
        ${usable.filter((field) => save || field.kind !== 'check').map((field, at) => html`<${One} key=${field.name} field=${field} value=${values[field.name]} first=${at === 0}
          problem=${problems[field.name]} onChange=${(value) => setTyped((old) => ({ ...old, [field.name]: value }))} />`)}
      </div>
    </div>
  <//>`;
}

/** A secret that is shown once. */
export function Secret({ title, text, secret, onClose }) {
  const [copied, setCopied] = useState(false);
  async function copy() {
    try {
      await navigator.clipboard.writeText(secret);
      setCopied(true);
    } catch {
      // Not allowed here: the text can be selected.
      getSelection().selectAllChildren(document.querySelector('.secret code'));
    }
  }
  return html`<${Dialog} title=${title} kind="box" onClose=${onClose}
    footer=${html`<button type="button" class="button primary" onClick=${onClose}>Done</button>`}>
    <div class="stack">
      <p>${text}</p>
      <div class="secret"><code>${secret}</code><button type="button" class="button small" onClick=${copy} data-first>${copied ? 'Copied' : 'Copy'}</button></div>
    </div>
  <//>`;
}
