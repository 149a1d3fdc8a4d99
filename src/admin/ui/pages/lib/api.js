// Requests to the gateway that served the page. Knows the session's token and the shape of errors, but
// no page and no route.

let csrf = '';
let ended = () => {};
let denied = () => {};

export const setCsrf = (token) => { csrf = token ?? ''; };

/** What to do when a request is answered with 401: the session is over. */
export const onEnd = (handler) => { ended = handler; };

/** What to do when a request is answered with 403: the rights may be others than when the page came. */
export const onDenial = (handler) => { denied = handler; };

/** A request that was refused, in the gateway's words; `status` is 0 where there was no answer. */
export class Refused extends Error {
  constructor(status, error = {}) {
    super(error.message || (status ? `The gateway answered with status ${status}.` : 'The gateway cannot be reached.'));
    this.status = status;
    this.param = error.param ?? null;
    this.requestId = error.request_id ?? null;
  }
}

export function query(values) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(values ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== '') params.append(name, one);
    }
  }
  const text = params.toString();
  return text && `?${text}`;
}

/** The response itself, for streams; whatever is not a success is thrown. */
export async function send(method, path, { params, body, signal, ends = true } = {}) {
  const headers = { accept: 'application/json' };
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (method !== 'GET') headers['x-tollgate-csrf'] = csrf;
  let response;
  try {
    response = await fetch(path + query(params), {
      method, headers, signal, credentials: 'same-origin', cache: 'no-store',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refused(0);
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  if (response.status === 401 && ends) ended();
  if (response.status === 403) denied();
  throw new Refused(response.status, answer.error);
}

export async function ask(method, path, options) {
  const response = await send(method, path, options);
  if (response.status === 204) return null;
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

export const get = (path, params, signal) => ask('GET', path, { params, signal });
export const post = (path, body = {}) => ask('POST', path, { body });
