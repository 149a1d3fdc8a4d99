// A page that lists records of one kind: search, the table, a sheet for one record, what is done to it.
// What the kinds differ in is told by the pages.
import { html, useEffect, useState } from '../lib/html.js';
import { useLoad, useSettled } from '../lib/load.js';
import { Confirm } from './dialog.js';
import { Icon } from './icons.js';
import { Head } from './shell.js';
import { Empty, Loaded } from './states.js';
import { Pager, Table } from './table.js';
import { tell } from './toast.js';

/** A text of the address that follows what is typed, after a pause; or what `known` makes of it, where that may not stand there. */
export function useSearch(query, change, known = (text) => text) {
  const [typed, setTyped] = useState(query.q ?? '');
  const settled = useSettled(typed);
  useEffect(() => {
    if (settled === (query.q ?? '')) return undefined;
    let gone = false;
    Promise.resolve(known(settled)).then((q) => gone || change({ q, page: '' }));
    return () => { gone = true; };
  }, [settled]);
  return [typed, setTyped];
}

/**
 * `list({page, search, signal})` gives `{rows, total, pages}`; `idOf(row)`; `columns(open)`; `sheet({record, close, done})` makes
 * the sheet of a record, or of a new one where `record` is null. `find(id)` gets one that is not on the page.
 */
export function Records({ kind, title, lead, noun, query, change, list, find, idOf, columns, sheet, mayMake, hint, known, none, extra, children }) {
  const page = Math.max(1, Number(query.page) || 1);
  const [typed, setTyped] = useSearch(query, change, known);
  const state = useLoad((signal) => list({ page, search: query.q ?? '', signal }), [kind, page, query.q]);
  const rows = state.data?.rows ?? [];
  const wanted = query.open;
  const listed = wanted && rows.find((row) => idOf(row) === wanted);
  const one = useLoad((signal) => (wanted && !listed && state.data && find ? find(wanted, signal) : null), [wanted, Boolean(listed), Boolean(state.data)]);
  const record = listed || one.data || null;
  const isNew = query.new !== undefined && mayMake;
  const close = () => change({ open: '', new: '' });
  const done = (words) => {
    if (words) tell(words);
    close();
    state.reload();
  };
  useEffect(() => {
    if (wanted && one.error) {
      tell(one.error.message, 'bad');
      close();
    }
  }, [one.error]);

  return html`
    <${Head} title=${title} lead=${lead} tools=${mayMake && html`<button type="button" class="button primary" onClick=${() => change({ new: '1' }, {})}><${Icon} name="plus" />New ${noun}</button>`} />
    <div class="stack">
      ${extra}
      <section class="card">
        <header><input class="input small search" type="search" aria-label=${`Search ${title.toLowerCase()}`} placeholder=${hint} value=${typed} onInput=${(event) => setTyped(event.target.value)} /></header>
        <div class="body flush"><${Loaded} of=${state} height=${240}>${(data) => (data.rows.length
          ? html`<div><${Table} caption=${title} columns=${columns((row) => ({ ...query, open: idOf(row) }))} rows=${data.rows} keyOf=${idOf} />
              <${Pager} page=${page} pages=${data.pages} total=${data.total} noun=${noun} onPage=${(next) => change({ page: next === 1 ? '' : next })} /></div>`
          : html`<${Empty} title=${query.q ? `No ${noun} fits` : `No ${noun}s yet`}>${query.q ? 'Nothing found for this search.' : none}<//>`)}<//></div>
      </section>
      ${children}
    </div>
    ${isNew && sheet({ record: null, close, done })}
    ${!isNew && record && sheet({ record, close, done })}`;
}

/** Buttons for what is done to a record at once, the dangerous ones after a question. */
export function Actions({ actions, done }) {
  const [asked, setAsked] = useState(null);
  const run = (action) => action.work().then(() => done(action.told));
  return html`${actions.filter(Boolean).map((action) => html`<button key=${action.name} type="button" class="button ${action.danger ? 'danger' : ''}"
      onClick=${() => (action.question ? setAsked(action) : run(action).catch((error) => tell(error.message, 'bad')))}>${action.name}</button>`)}
    ${asked && html`<${Confirm} title=${asked.question} yes=${asked.yes ?? asked.name} work=${() => run(asked)} onClose=${() => setAsked(null)}><p>${asked.text}</p><//>`}`;
}
