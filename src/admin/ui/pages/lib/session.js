// Who is signed in. The cookie is the browser's and never seen here; what is known is what the gateway
// says of it.
import { ask, onDenial, onEnd, setCsrf } from './api.js';
import { store, useStore } from './store.js';

/** `undefined` until it is known, `null` if nobody is signed in. */
export const session = store(undefined);
export const useSession = () => useStore(session);

/** Why the sign-in page is shown, if not because somebody just came. */
export const parting = store('');

function put(found) {
  setCsrf(found?.csrf);
  session.set(found);
}

function end() {
  if (session.get()) parting.set('Your session is over. Sign in again to go on.');
  put(null);
}
onEnd(end);
onDenial(renewSession);

export async function findSession() {
  try {
    put(await ask('GET', '/ui/api/session', { ends: false }));
  } catch (error) {
    if (error.status !== 401) parting.set(error.message);
    put(null);
  }
}

/** Asks again who is signed in, and as what. A gateway that gives no answer has not said that it is over. */
export async function renewSession() {
  try {
    put(await ask('GET', '/ui/api/session', { ends: false }));
  } catch (error) {
    if (error.status === 401) end();
  }
}

export async function signIn(key) {
  const found = await ask('POST', '/ui/api/session', { body: { key }, ends: false });
  parting.set('');
  put(found);
}

export async function signOut() {
  try {
    await ask('DELETE', '/ui/api/session', { ends: false });
  } catch (error) {
    // Gone already is gone.
    if (error.status !== 401) throw error;
  }
  parting.set('You are signed out.');
  put(null);
}

export const ROLES = {
  proxy_admin: 'Administrator',
  proxy_admin_viewer: 'Administrator, read only',
  org_admin: 'Organization administrator',
  internal_user: 'User',
  internal_user_viewer: 'User, read only',
};
export const roleName = (role) => ROLES[role] ?? 'Key without a user';
