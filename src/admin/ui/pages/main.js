// The dashboard: who is signed in decides what there is, the address decides which of it is shown.
import { html, render, useEffect, useErrorBoundary, useRef } from './lib/html.js';
import { change, useRoute } from './lib/route.js';
import { findSession, useSession } from './lib/session.js';
import { Toasts } from './parts/toast.js';
import { Empty, Problem } from './parts/states.js';
import { Shell } from './parts/shell.js';
import { Login } from './views/login.js';
import { PAGES, mayOpen, pageOf } from './views/pages.js';

function Page({ session }) {
  const { path, query } = useRoute();
  const [page, rest] = pageOf(path);
  const [failure, again] = useErrorBoundary((error) => console.error(error));
  const first = useRef(true);
  const title = page?.title ?? 'Not found';

  useEffect(() => {
    document.title = `${title} · Tollgate`;
    // A reader of the screen hears that this is another page; not when the first one opens.
    if (!first.current) document.querySelector('h1')?.focus({ preventScroll: true });
    first.current = false;
    if (failure) again();
  }, [path]);

  if (failure) return html`<h1 tabindex="-1">${title}</h1><${Problem} error=${failure} retry=${again} />`;
  if (!page) {
    return html`<h1 tabindex="-1">Not found</h1>
      <${Empty} title="There is no such page" action=${html`<a class="button" href="/ui/">Overview</a>`} />`;
  }
  if (!mayOpen(page, session)) {
    return html`<h1 tabindex="-1">${title}</h1>
      <${Empty} title="Not for this key">Your role does not include this page. An administrator of the gateway can see it.<//>`;
  }
  return html`<${page.view} key=${page.path} session=${session} query=${query} rest=${rest} change=${change} />`;
}

function App() {
  const session = useSession();
  useEffect(() => { findSession(); }, []);
  if (session === undefined) return html`<div class="booting" aria-busy="true"></div>`;
  return html`
    ${session === null ? html`<${Login} />` : html`<${Shell} session=${session} pages=${PAGES}><${Page} session=${session} /><//>`}
    <${Toasts} />`;
}

const root = document.getElementById('app');
root.replaceChildren();
render(html`<${App} />`, root);
