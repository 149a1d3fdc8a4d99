// Where the reader is: a page, and what it shows, both in the address. So everything that is looked at
// can be sent to somebody, and the browser's back button does what it says.
import { store, useStore } from './store.js';

export const BASE = '/ui';

function here() {
  const path = location.pathname.slice(BASE.length).replace(/\/+$/, '') || '/';
  return { path, query: Object.fromEntries(new URLSearchParams(location.search)) };
}

export const route = store(here());
export const useRoute = () => useStore(route);

export function href(path, query = {}) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') params.set(name, value);
  }
  const text = params.toString();
  return BASE + (path === '/' ? '/' : path) + (text && `?${text}`);
}

export function go(to, { replace = false } = {}) {
  const before = route.get().path;
  history[replace ? 'replaceState' : 'pushState'](null, '', to);
  const next = here();
  route.set(next);
  if (next.path !== before) scrollTo(0, 0);
}

/** Changes some of what the page shows and leaves the rest; an empty value takes a name away. */
export function change(patch, options = { replace: true }) {
  const { path, query } = route.get();
  go(href(path, { ...query, ...patch }), options);
}

addEventListener('popstate', () => route.set(here()));

// Links are plain links; those that stay within the dashboard need no new page.
addEventListener('click', (event) => {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target.closest?.('a[href]');
  if (!link || link.target || link.hasAttribute('download')) return;
  const to = new URL(link.href);
  if (to.origin !== location.origin || !(to.pathname + '/').startsWith(BASE + '/')) return;
  if (to.hash && to.pathname === location.pathname) return;
  event.preventDefault();
  go(to.pathname + to.search);
});
