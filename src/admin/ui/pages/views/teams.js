// Teams: their members, models and budgets.
import { html, useState } from '../lib/html.js';
import { get, post } from '../lib/api.js';
import { count, when, relative, money, period } from '../lib/format.js';
import { href } from '../lib/route.js';
import { useLoad } from '../lib/load.js';
import { Budget } from '../parts/bars.js';
import { BOUNDS, Editor } from '../parts/editor.js';
import { Actions, Records } from '../parts/records.js';
import { Problem } from '../parts/states.js';
import { tell } from '../parts/toast.js';
import { Badge, boundsOf } from './keys.js';

const SIZE = 50;
const nameOf = (team) => team.team_alias || team.team_id;

async function list({ page, search, signal }) {
  const answer = await get('/v2/team/list', { page, page_size: SIZE, team_alias: search }, signal);
  return { rows: answer.teams, total: answer.total, pages: answer.total_pages };
}

async function find(id, signal) {
  const answer = await get('/team/info', { team_id: id }, signal);
  return answer.team_info;
}

/** Who is in it; changes are done at once. */
function Members({ team, may, changed }) {
  const [user, setUser] = useState('');
  const [error, setError] = useState(null);
  const members = team.members_with_roles ?? [];
  const run = (work, words) => work().then(() => { setError(null); setUser(''); tell(words); changed(); }, setError);
  const add = () => user.trim() && run(
    () => post('/team/member_add', { team_id: team.team_id, member: { user_id: user.trim(), role: 'user' } }), `${user.trim()} is in the team.`);
  return html`<div class="group"><h3>Members</h3>
    ${error && html`<${Problem} error=${error} />`}
    ${members.length ? html`<ul class="members">${members.map((one) => html`<li key=${one.user_id ?? one.user_email}>
      <span class="clip">${one.user_id ?? one.user_email}</span><span class="badge plain">${one.role}</span>
      ${may && html`<button type="button" class="button plain small" aria-label=${`Remove ${one.user_id ?? one.user_email}`}
        onClick=${() => run(() => post('/team/member_delete', { team_id: team.team_id, user_id: one.user_id }), `${one.user_id} is no longer in the team.`)}>Remove</button>`}
    </li>`)}</ul>` : html`<p class="faint">Nobody yet.</p>`}
    ${may && html`<div class="adder"><input class="input small" aria-label="User to add" placeholder="User id" value=${user} onInput=${(event) => setUser(event.target.value)}
      onKeyDown=${(event) => { if (event.key === 'Enter') { event.preventDefault(); add(); } }} />
      <button type="button" class="button small" onClick=${add}>Add member</button></div>`}
  </div>`;
}

export function Teams({ session, query, change }) {
  const known = useLoad((signal) => get('/v1/models', {}, signal).then((answer) => answer.data.map((one) => one.id)), []);
  const [turn, setTurn] = useState(0);
  const columns = (to) => [
    { name: 'name', title: 'Team', head: true, cell: (team) => html`<a class="rowlink" href=${href('/teams', to(team))}><span class="clip">${nameOf(team)}</span></a>` },
    { name: 'state', title: 'State', cell: (team) => html`<${Badge} of=${team.blocked ? ['bad', 'Blocked'] : ['good', 'Active']} />` },
    { name: 'members', title: 'Members', num: true, wide: true, cell: (team) => count(team.members_with_roles.length) },
    { name: 'models', title: 'Models', wide: true, cell: (team) => html`<span class="clip" title=${team.models.join(', ')}>${team.models.join(', ') || 'All'}</span>` },
    { name: 'made', title: 'Made', wider: true, cell: (team) => html`<span class="nowrap">${when(team.created_at, 'date')}</span>` },
    { name: 'budget', title: 'Budget', cell: (team) => html`<${Budget} ...${boundsOf(team)} />` },
  ];
  const fields = [
    { name: 'team_alias', label: 'Name', placeholder: 'Search', full: true, required: true },
    { name: 'models', label: 'Models', kind: 'names', known: known.data, placeholder: 'All models' },
    ...BOUNDS,
  ];
  const makes = session.changes_all || session.role === 'org_admin';
  const sheet = ({ record, close, done }) => {
    if (!record) {
      return html`<${Editor} title="New team" fields=${fields} verb="Make team" onClose=${close} save=${async (body) => {
        await post('/team/new', body);
        done('Team made.');
      }} />`;
    }
    const named = { team_id: record.team_id };
    const runs = makes || (session.changes_own && record.members_with_roles.some((one) => one.user_id === session.user_id && one.role === 'admin'));
    return html`<${Editor} key=${record.team_id} title=${nameOf(record)} lead=${html`<code>${record.team_id}</code>`} fields=${makes ? fields : fields.slice(0, 1)} record=${record} onClose=${close}
      save=${runs && (async (body) => {
        await post('/team/update', { ...named, ...body });
        done('Team saved.');
      })}
      left=${makes && html`<${Actions} done=${done} actions=${[
        record.blocked
          ? { name: 'Unblock', told: 'Team unblocked.', work: () => post('/team/unblock', named) }
          : { name: 'Block', danger: true, question: `Block ${nameOf(record)}?`, text: 'Requests with any key of this team are refused at once, until somebody unblocks it.', told: 'Team blocked.', work: () => post('/team/block', named) },
        { name: 'Delete', danger: true, question: `Delete ${nameOf(record)}?`, text: 'The keys of the team are deleted with it. This cannot be taken back.', told: 'Team deleted.', work: () => post('/team/delete', { team_ids: [record.team_id] }) },
      ]} />`}>
      <${Budget} ...${boundsOf(record)} />
      <dl class="facts">
        <dt>Spent</dt><dd>${money(record.spend)} ${period(boundsOf(record).every)}</dd>
        ${boundsOf(record).reset && html`<dt>Starts anew</dt><dd>${when(boundsOf(record).reset)} (${relative(boundsOf(record).reset)})</dd>`}
        <dt>Made</dt><dd>${when(record.created_at)}${record.created_by ? ` by ${record.created_by}` : ''}</dd>
        <dt>Requests</dt><dd><a href=${href('/requests', { team: record.team_id })}>Its requests</a> · <a href=${href('/', { team: record.team_id })}>Its charts</a></dd>
      </dl>
      <${Members} team=${record} may=${runs} changed=${() => setTurn(turn + 1)} />
    <//>`;
  };
  return html`<${Records} kind=${`teams ${turn}`} title="Teams" noun="team" lead=${session.sees_all ? 'Several keys that share models and a budget.' : 'The teams that you are in.'}
    query=${query} change=${change} list=${list} find=${find} idOf=${(team) => team.team_id} columns=${columns} sheet=${sheet}
    mayMake=${makes} hint="Name" none="A team bounds what all of its keys may use and spend together." />`;
}
