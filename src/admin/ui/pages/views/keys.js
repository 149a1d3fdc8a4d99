// Keys: made, changed, blocked, replaced, deleted, with what is left of their budgets.
import { html, useState } from '../lib/html.js';
import { get, post } from '../lib/api.js';
import { NONE, money, period, relative, when } from '../lib/format.js';
import { href } from '../lib/route.js';
import { useLoad } from '../lib/load.js';
import { Budget } from '../parts/bars.js';
import { BOUNDS, Editor, Secret } from '../parts/editor.js';
import { Actions, Records } from '../parts/records.js';

const SIZE = 50;
const LIFETIMES = [['', 'For ever'], ['1d', 'A day'], ['7d', 'A week'], ['30d', '30 days'], ['90d', '90 days'], ['365d', 'A year']];

export const nameOf = (key) => key.key_alias || key.key_name || key.token.slice(0, 12);
export const boundsOf = (key) => ({
  spend: key.spend,
  max: key.max_budget ?? key.litellm_budget_table?.max_budget,
  every: key.budget_duration ?? key.litellm_budget_table?.budget_duration,
  reset: key.budget_reset_at ?? key.litellm_budget_table?.budget_reset_at,
});

export function stateOf(key) {
  if (key.blocked) return ['bad', 'Blocked'];
  if (key.expires && new Date(key.expires) <= Date.now()) return ['warn', 'Expired'];
  return ['good', 'Active'];
}

export const Badge = ({ of: [kind, text] }) => html`<span class="badge ${kind}">${text}</span>`;

/** A key without a user is nobody's: it sees itself. */
async function listSelf({ search, signal }) {
  const { key, info } = await get('/key/info', {}, signal);
  const rows = [{ token: key, ...info }].filter((one) => nameOf(one).toLowerCase().includes(search.toLowerCase()));
  return { rows, total: rows.length, pages: 1 };
}

const HASH = /^[0-9a-f]{64}$/;
/** A key itself, and not what its page shows of it. */
export const SECRET = /^sk-(?!\.\.\.)/;

/** The hash of a whole key. The key goes into no address: those are kept by browsers, and by proxies on the way. */
export async function hashOf(key) {
  const { info } = await post('/v2/key/info', { keys: [key] });
  return info[0]?.token;
}

/** What may stand in the address. */
const addressed = (text) => (SECRET.test(text) ? hashOf(text).catch(() => null).then((hash) => hash ?? `sk-...${text.slice(-4)}`) : text);

export async function list({ page, search, signal }) {
  const isKey = HASH.test(search);
  try {
    const answer = await get('/key/list', {
      page, size: SIZE, return_full_object: true, include_team_keys: true,
      key_hash: isKey ? search : undefined, search: isKey ? undefined : search,
    }, signal);
    return { rows: answer.keys, total: answer.total_count, pages: answer.total_pages };
  } catch (error) {
    if (isKey && error.status === 404) return { rows: [], total: 0, pages: 1 };
    throw error;
  }
}

export async function find(token, signal) {
  const answer = await get('/key/info', { key: token }, signal);
  return { token, ...answer.info };
}

export function Keys({ session, query, change }) {
  const [secret, setSecret] = useState(null);
  const known = useLoad((signal) => get('/v1/models', {}, signal).then((answer) => answer.data.map((one) => one.id)), []);
  const teams = useLoad((signal) => (session.role ? get('/team/list', {}, signal) : []), []);
  const budgets = useLoad((signal) => (session.sees_all ? get('/budget/list', {}, signal) : []), []);
  const teamName = (id) => teams.data?.find((team) => team.team_id === id)?.team_alias ?? id;

  const columns = (to) => [
    { name: 'name', title: 'Key', head: true, cell: (key) => html`<a class="rowlink" href=${href('/keys', to(key))}><span class="clip">${nameOf(key)}</span>${key.key_alias && html`<span class="under mono">${key.key_name}</span>`}</a>` },
    { name: 'state', title: 'State', cell: (key) => html`<${Badge} of=${stateOf(key)} />` },
    { name: 'owner', title: 'User', wide: true, cell: (key) => html`<span class="clip">${key.user_id ?? NONE}</span>` },
    { name: 'team', title: 'Team', wide: true, cell: (key) => html`<span class="clip">${key.team_id ? teamName(key.team_id) : NONE}</span>` },
    { name: 'models', title: 'Models', wider: true, cell: (key) => html`<span class="clip" title=${key.models.join(', ')}>${key.models.join(', ') || 'All'}</span>` },
    { name: 'expires', title: 'Expires', wider: true, cell: (key) => (key.expires ? html`<span title=${when(key.expires, 'exact')}>${relative(key.expires)}</span>` : 'Never') },
    { name: 'budget', title: 'Budget', cell: (key) => html`<${Budget} ...${boundsOf(key)} />` },
  ];

  const admin = session.changes_all;
  const fields = (isNew) => [
    { name: 'key_alias', label: 'Name', placeholder: 'search-production', full: true },
    { name: 'models', label: 'Models', kind: 'names', known: known.data, placeholder: 'All models', hint: 'Names, patterns such as openai/*, or access groups' },
    ...(admin ? [{ name: 'user_id', label: 'User', placeholder: 'Nobody' }] : []),
    ...(admin || teams.data?.length ? [{ name: 'team_id', label: 'Team', kind: 'choice', options: [['', 'No team'], ...(teams.data ?? []).map((team) => [team.team_id, team.team_alias || team.team_id])] }] : []),
    ...(isNew ? [{ name: 'duration', label: 'Valid for', kind: 'choice', options: LIFETIMES }] : []),
    ...(admin && budgets.data?.length ? [{ name: 'budget_id', label: 'Shared budget', kind: 'choice', options: [['', 'None'], ...budgets.data.map((one) => [one.budget_id, one.budget_id])] }] : []),
    ...(isNew || admin ? BOUNDS : []),
  ];

  const sheet = ({ record, close, done }) => {
    if (!record) {
      return html`<${Editor} title="New key" fields=${fields(true)} verb="Make key" onClose=${close} save=${async (body) => {
        const made = await post('/key/generate', body);
        done();
        setSecret({ title: 'Key made', key: made.key });
      }} />`;
    }
    const named = { key: record.token };
    const may = session.changes_own;
    return html`<${Editor} key=${record.token} title=${nameOf(record)} lead=${html`<code>${record.key_name}</code>`} fields=${fields(false)} record=${record} onClose=${close}
      save=${may && (async (body) => {
        await post('/key/update', { ...named, ...body });
        done('Key saved.');
      })}
      left=${may && html`<${Actions} done=${done} actions=${[
        record.blocked
          ? admin && { name: 'Unblock', told: 'Key unblocked.', work: () => post('/key/unblock', named) }
          : { name: 'Block', danger: true, question: `Block ${nameOf(record)}?`, text: 'Requests with this key are refused at once, until somebody unblocks it.', told: 'Key blocked.', work: () => post('/key/block', named) },
        { name: 'Replace', question: `Replace the secret of ${nameOf(record)}?`, yes: 'Replace', text: 'The old secret ends at once. Settings stay, and what was spent counts on.', work: async () => {
          const made = await post('/key/regenerate', named);
          setSecret({ title: 'New secret', key: made.key });
        } },
        { name: 'Delete', danger: true, question: `Delete ${nameOf(record)}?`, text: 'Requests with this key are refused at once. This cannot be taken back.', told: 'Key deleted.', work: () => post('/key/delete', { keys: [record.token] }) },
      ]} />`}>
      <${Budget} ...${boundsOf(record)} />
      <dl class="facts">
        <dt>State</dt><dd><${Badge} of=${stateOf(record)} /></dd>
        <dt>Spent</dt><dd>${money(record.spend)} ${period(boundsOf(record).every)}</dd>
        ${boundsOf(record).reset && html`<dt>Starts anew</dt><dd>${when(boundsOf(record).reset)} (${relative(boundsOf(record).reset)})</dd>`}
        <dt>Expires</dt><dd>${record.expires ? `${when(record.expires)} (${relative(record.expires)})` : 'Never'}</dd>
        ${record.user_id && html`<dt>User</dt><dd>${record.user_id}</dd>`}
        ${record.team_id && html`<dt>Team</dt><dd>${teamName(record.team_id)}</dd>`}
        <dt>Hash</dt><dd><code title="By it metrics and logs know the key">${record.token}</code></dd>
        <dt>Made</dt><dd>${when(record.created_at)}${record.created_by ? ` by ${record.created_by}` : ''}</dd>
        <dt>Requests</dt><dd><a href=${href('/requests', { key: record.token })}>Its requests</a> · <a href=${href('/', { key: record.token })}>Its charts</a></dd>
      </dl>
    <//>`;
  };

  return html`<${Records} kind="keys" title="Keys" noun="key" lead=${session.sees_all ? 'All keys, newest first.' : session.role ? 'Your keys, newest first.' : 'The key you signed in with.'}
      query=${query} change=${change} list=${session.role ? list : listSelf} find=${find} idOf=${(key) => key.token} columns=${columns} sheet=${sheet}
      mayMake=${session.changes_own} hint="Part of a name, whole key or hash" known=${addressed} none="A key lets a program call the models it may use." />
    ${secret && html`<${Secret} title=${secret.title} secret=${secret.key} text="Copy it now. It is shown this once and kept nowhere." onClose=${() => setSecret(null)} />`}`;
}
