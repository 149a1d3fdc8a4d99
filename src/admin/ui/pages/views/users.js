// Users: people with a role, keys of their own and a budget over all of them.
import { html, useState } from '../lib/html.js';
import { get, post } from '../lib/api.js';
import { NONE, count, money, period, relative, when } from '../lib/format.js';
import { href } from '../lib/route.js';
import { ROLES } from '../lib/session.js';
import { Budget } from '../parts/bars.js';
import { BOUNDS, Editor, Secret } from '../parts/editor.js';
import { Actions, Records } from '../parts/records.js';
import { Badge, boundsOf } from './keys.js';

const SIZE = 50;
const nameOf = (user) => user.user_alias || user.user_email || user.user_id;

async function list({ page, search, signal }) {
  const byId = search && !search.includes('@') ? { user_ids: search } : { user_email: search };
  const answer = await get('/user/list', { page, page_size: SIZE, ...byId }, signal);
  return { rows: answer.users, total: answer.total, pages: answer.total_pages };
}

export function Users({ session, query, change }) {
  const [secret, setSecret] = useState(null);
  const columns = (to) => [
    { name: 'name', title: 'User', head: true, cell: (user) => html`<a class="rowlink" href=${href('/users', to(user))}><span class="clip">${nameOf(user)}</span>${nameOf(user) !== user.user_id && html`<span class="under clip">${user.user_id}</span>`}</a>` },
    { name: 'state', title: 'State', wide: true, cell: (user) => html`<${Badge} of=${user.blocked ? ['bad', 'Blocked'] : ['good', 'Active']} />` },
    { name: 'role', title: 'Role', cell: (user) => ROLES[user.user_role] ?? user.user_role ?? NONE },
    { name: 'keys', title: 'Keys', num: true, wide: true, cell: (user) => count(user.key_count) },
    { name: 'teams', title: 'Teams', num: true, wider: true, cell: (user) => count(user.teams?.length ?? 0) },
    { name: 'budget', title: 'Budget', cell: (user) => html`<${Budget} ...${boundsOf(user)} />` },
  ];
  // Who leads an organisation makes plain users only.
  const roles = Object.entries(ROLES).filter(([role]) => session.changes_all || role.startsWith('internal_'));
  const fields = (isNew) => [
    ...(isNew ? [{ name: 'user_id', label: 'User id', placeholder: 'Made up if empty' }] : []),
    { name: 'user_email', label: 'E-mail', placeholder: 'ann@example.com' },
    { name: 'user_alias', label: 'Name' },
    { name: 'user_role', label: 'Role', kind: 'choice', options: roles, start: 'internal_user' },
    ...BOUNDS,
  ];
  const makes = session.changes_all || session.role === 'org_admin';
  const sheet = ({ record, close, done }) => {
    if (!record) {
      return html`<${Editor} title="New user" fields=${fields(true)} verb="Make user" onClose=${close} save=${async (body) => {
        const made = await post('/user/new', body);
        done('User made.');
        if (made.key) setSecret(made.key);
      }} />`;
    }
    const may = session.changes_all;
    return html`<${Editor} key=${record.user_id} title=${nameOf(record)} lead=${html`<code>${record.user_id}</code>`} fields=${fields(false)} record=${record} onClose=${close}
      save=${may && (async (body) => {
        await post('/user/update', { user_id: record.user_id, ...body });
        done('User saved.');
      })}
      left=${may && html`<${Actions} done=${done} actions=${[
        record.blocked
          ? { name: 'Unblock', told: 'User unblocked.', work: () => post('/user/update', { user_id: record.user_id, blocked: false }) }
          : { name: 'Block', danger: true, question: `Block ${nameOf(record)}?`, text: 'Requests with any key of this user are refused at once, until somebody unblocks them.', told: 'User blocked.', work: () => post('/user/update', { user_id: record.user_id, blocked: true }) },
        { name: 'Delete', danger: true, question: `Delete ${nameOf(record)}?`, text: 'All keys of the user are deleted with them. This cannot be taken back.', told: 'User deleted.', work: () => post('/user/delete', { user_ids: [record.user_id] }) },
      ]} />`}>
      <${Budget} ...${boundsOf(record)} />
      <dl class="facts">
        <dt>Spent</dt><dd>${money(record.spend)} ${period(boundsOf(record).every)}</dd>
        ${boundsOf(record).reset && html`<dt>Starts anew</dt><dd>${when(boundsOf(record).reset)} (${relative(boundsOf(record).reset)})</dd>`}
        <dt>Keys</dt><dd>${count(record.key_count)}</dd>
        <dt>Made</dt><dd>${when(record.created_at)}${record.created_by ? ` by ${record.created_by}` : ''}</dd>
        <dt>Requests</dt><dd><a href=${href('/requests', { user: record.user_id })}>Their requests</a> · <a href=${href('/', { user: record.user_id })}>Their charts</a></dd>
      </dl>
    <//>`;
  };
  return html`<${Records} kind="users" title="Users" noun="user" lead="People, with keys of their own and one budget over all of them."
      query=${query} change=${change} list=${list} find=${(id, signal) => get('/v2/user/info', { user_id: id }, signal)} idOf=${(user) => user.user_id} columns=${columns} sheet=${sheet}
      mayMake=${makes} hint="E-mail, or a whole user id" none="Users make keys for themselves, within their budget." />
    ${secret && html`<${Secret} title="User made" secret=${secret} text="The first key of this user. Copy it now: it is shown this once and kept nowhere." onClose=${() => setSecret(null)} />`}`;
}
