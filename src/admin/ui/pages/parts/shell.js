// The frame of every page: navigation, who is signed in, colours, signing out.
import { html, useEffect, useRef, useState } from '../lib/html.js';
import { href, useRoute } from '../lib/route.js';
import { roleName, signOut } from '../lib/session.js';
import { chooseTheme, theme } from '../lib/theme.js';
import { useStore } from '../lib/store.js';
import { mayOpen, pageOf } from '../views/pages.js';
import { Icon, LOGO } from './icons.js';
import { tell } from './toast.js';

const NEXT = { system: 'light', light: 'dark', dark: 'system' };
const NAMES = { system: 'as the system', light: 'light', dark: 'dark' };

export function ThemeSwitch({ small = true }) {
  const chosen = useStore(theme);
  const name = `Colours: ${NAMES[chosen]}. Switch to ${NAMES[NEXT[chosen]]}`;
  return html`<button type="button" class="button plain icon ${small ? 'small' : ''} theme" aria-label=${name} title=${name}
    onClick=${() => chooseTheme(NEXT[chosen])}><${Icon} name=${chosen} /></button>`;
}

const Brand = () => html`<a class="brand" href=${href('/')}><img src=${LOGO} alt="" width="26" height="26" />Tollgate</a>`;

export function Shell({ session, pages, children }) {
  const { path } = useRoute();
  const [open, setOpen] = useState(false);
  const side = useRef(null);
  const menu = useRef(null);
  const [current] = pageOf(path);
  const groups = [...new Set(pages.filter((page) => mayOpen(page, session)).map((page) => page.group))];
  const named = session.role !== null || session.key || session.csrf;

  useEffect(() => setOpen(false), [path]);
  useEffect(() => {
    if (!open) return undefined;
    side.current.querySelector('a')?.focus();
    const close = (event) => {
      if (event.key !== 'Escape') return;
      setOpen(false);
      menu.current?.focus();
    };
    addEventListener('keydown', close);
    return () => removeEventListener('keydown', close);
  }, [open]);

  const leave = () => signOut().catch((error) => tell(error.message, 'bad'));
  return html`
    <a class="button primary skip" href="#main" onClick=${(event) => {
      event.preventDefault();
      document.getElementById('main').focus();
    }}>Skip to the content</a>
    <header class="topbar">
      <button type="button" class="button plain icon" ref=${menu} aria-label="Menu" aria-expanded=${String(open)} aria-controls="side"
        onClick=${() => setOpen(true)}><${Icon} name="menu" size=${18} /></button>
      <${Brand} />
      <${ThemeSwitch} small=${false} />
    </header>
    <div class="shell">
      ${open && html`<div class="veil" onClick=${() => setOpen(false)}></div>`}
      <aside id="side" class="side ${open ? 'open' : ''}" aria-label="Dashboard" ref=${side}>
        <${Brand} />
        <button type="button" class="button plain icon close" aria-label="Close the menu" onClick=${() => { setOpen(false); menu.current?.focus(); }}><${Icon} name="close" /></button>
        <nav aria-label="Pages">
          ${groups.map((group) => html`<div key=${group}>
            <h2 id=${`nav-${group}`}>${group}</h2>
            <ul aria-labelledby=${`nav-${group}`}>
              ${pages.filter((page) => page.group === group && mayOpen(page, session)).map((page) => html`<li key=${page.path}>
                <a href=${href(page.path)} aria-current=${page === current ? 'page' : undefined}
                  onClick=${() => setOpen(false)}><${Icon} name=${page.icon} />${page.title}</a></li>`)}
            </ul>
          </div>`)}
        </nav>
        <div class="who">
          <div>
            <div class="name">${session.user_id ?? session.key_alias ?? (session.role === 'proxy_admin' ? 'Master key' : 'Key')}</div>
            <small class="faint">${roleName(session.role)}${session.version ? ` · v${session.version}` : ''}</small>
          </div>
          <div class="actions">
            ${named && session.csrf && html`<button type="button" class="button small" onClick=${leave}><${Icon} name="out" />Sign out</button>`}
            <${ThemeSwitch} />
          </div>
        </div>
      </aside>
      <main class="main" id="main" tabindex="-1">${children}</main>
    </div>`;
}

/** The head of a page. `tools` stand at its right. */
export function Head({ title, lead, back, tools }) {
  return html`<div class="head">
    <div class="lead">
      ${back && html`<a class="crumb" href=${back.href}><${Icon} name="back" size=${12} />${back.title}</a>`}
      <h1 tabindex="-1">${title}</h1>
      ${lead && html`<p>${lead}</p>`}
    </div>
    ${tools && html`<div class="tools">${tools}</div>`}
  </div>`;
}
