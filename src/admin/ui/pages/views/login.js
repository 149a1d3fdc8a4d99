// Signing in with the master key or a key of one's own. The key is sent once and kept nowhere in the page.
import { html, useEffect, useRef, useState } from '../lib/html.js';
import { parting, signIn } from '../lib/session.js';
import { useStore } from '../lib/store.js';
import { LOGO } from '../parts/icons.js';
import { ThemeSwitch } from '../parts/shell.js';
import { Notice, Problem } from '../parts/states.js';

export function Login() {
  const [key, setKey] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const field = useRef(null);
  const reason = useStore(parting);
  useEffect(() => {
    document.title = 'Sign in · Tollgate';
    field.current.focus();
  }, []);

  async function submit(event) {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await signIn(key.trim());
    } catch (problem) {
      setError(problem);
      setBusy(false);
      field.current?.select();
    }
  }
  return html`<main class="login">
    <form onSubmit=${submit}>
      <span class="brand"><img src=${LOGO} alt="" width="26" height="26" />Tollgate</span>
      <div><h1 tabindex="-1">Sign in</h1>
        <p class="soft">With the master key, or with a key of your own to see what is yours.</p></div>
      ${error ? html`<${Problem} error=${error} />` : reason && html`<${Notice}>${reason}<//>`}
      <div class="field">
        <label for="key">Key</label>
        <input class="input mono" id="key" ref=${field} type="password" autocomplete="current-password" spellcheck=${false}
          placeholder="sk-…" required value=${key} onInput=${(event) => setKey(event.target.value)} />
      </div>
      <button type="submit" class="button primary" disabled=${busy || !key.trim()}>${busy ? 'Signing in…' : 'Sign in'}</button>
      <${ThemeSwitch} />
    </form>
  </main>`;
}
