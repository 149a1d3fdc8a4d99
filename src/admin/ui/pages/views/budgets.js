// Budgets: bounds that several keys share by name, and those of providers and of everything together.
import { html } from '../lib/html.js';
import { get, post } from '../lib/api.js';
import { NONE, count, money, period, relative, when } from '../lib/format.js';
import { href } from '../lib/route.js';
import { useLoad } from '../lib/load.js';
import { Budget } from '../parts/bars.js';
import { BOUNDS, Editor } from '../parts/editor.js';
import { Actions, Records } from '../parts/records.js';
import { Table } from '../parts/table.js';

async function list({ search, signal }) {
  const all = await get('/budget/list', {}, signal);
  const rows = all.filter((one) => one.budget_id.toLowerCase().includes(search.toLowerCase()));
  return { rows, total: rows.length, pages: 1 };
}

/** What bounds more than one key: all traffic, and single providers. */
function Bounded() {
  const all = useLoad((signal) => get('/global/spend', {}, signal), []);
  const providers = useLoad((signal) => get('/provider/budgets', {}, signal), []);
  const rows = Object.entries(providers.data?.providers ?? {}).map(([name, one]) => ({ name, ...one }));
  if (!all.data && !rows.length) return null;
  return html`
    ${all.data && html`<section class="card"><header><h2>All traffic</h2><span class="note">since the ledger began</span></header>
      <div class="body"><${Budget} spend=${all.data.spend} max=${all.data.max_budget} /></div></section>`}
    ${rows.length > 0 && html`<section class="card"><header><h2>Providers</h2><span class="note">from the configuration</span></header><div class="body flush">
      <${Table} caption="Budgets of providers" keyOf=${(row) => row.name} rows=${rows} columns=${[
        { name: 'name', title: 'Provider', head: true, cell: (row) => row.name },
        { name: 'period', title: 'Period', cell: (row) => period(row.time_period) },
        { name: 'reset', title: 'Starts anew', wide: true, cell: (row) => (row.budget_reset_at ? when(row.budget_reset_at) : NONE) },
        { name: 'budget', title: 'Budget', cell: (row) => html`<${Budget} spend=${row.spend} max=${row.budget_limit} every=${row.time_period} reset=${row.budget_reset_at} />` },
      ]} /></div></section>`}`;
}

export function Budgets({ session, query, change }) {
  const columns = (to) => [
    { name: 'name', title: 'Budget', head: true, cell: (one) => html`<a class="rowlink" href=${href('/budgets', to(one))}><span class="clip">${one.budget_id}</span></a>` },
    { name: 'max', title: 'Amount', num: true, cell: (one) => (one.max_budget === null ? 'No limit' : money(one.max_budget)) },
    { name: 'period', title: 'Period', cell: (one) => period(one.budget_duration) },
    { name: 'reset', title: 'Starts anew', wide: true, cell: (one) => (one.budget_reset_at ? html`<span title=${when(one.budget_reset_at, 'exact')}>${relative(one.budget_reset_at)}</span>` : NONE) },
    { name: 'rpm', title: 'Requests/min', num: true, wide: true, cell: (one) => count(one.rpm_limit) },
    { name: 'tpm', title: 'Tokens/min', num: true, wide: true, cell: (one) => count(one.tpm_limit) },
  ];
  const may = session.changes_all;
  const sheet = ({ record, close, done }) => {
    const fields = [...(record ? [] : [{ name: 'budget_id', label: 'Name', placeholder: 'interns', full: true, required: true }]), ...BOUNDS];
    if (!record) {
      return html`<${Editor} title="New budget" fields=${fields} verb="Make budget" onClose=${close} save=${async (body) => {
        await post('/budget/new', body);
        done('Budget made.');
      }} />`;
    }
    return html`<${Editor} key=${record.budget_id} title=${record.budget_id} fields=${fields} record=${record} onClose=${close}
      save=${may && (async (body) => {
        await post('/budget/update', { budget_id: record.budget_id, ...body });
        done('Budget saved.');
      })}
      left=${may && html`<${Actions} done=${done} actions=${[
        { name: 'Delete', danger: true, question: `Delete ${record.budget_id}?`, text: 'It is kept if anybody still shares it.', told: 'Budget deleted.', work: () => post('/budget/delete', { id: record.budget_id }) },
      ]} />`}>
      <dl class="facts">
        ${record.budget_reset_at && html`<dt>Starts anew</dt><dd>${when(record.budget_reset_at)} (${relative(record.budget_reset_at)})</dd>`}
        <dt>Made</dt><dd>${when(record.created_at)}${record.created_by ? ` by ${record.created_by}` : ''}</dd>
      </dl>
    <//>`;
  };
  return html`<${Records} kind="budgets" title="Budgets" noun="budget" lead="Bounds that keys, users and teams share by name."
    query=${query} change=${change} list=${list} idOf=${(one) => one.budget_id} columns=${columns} sheet=${sheet}
    mayMake=${may} hint="Name" none="A budget is made once and named by the keys, users and teams that share its bounds." extra=${html`<${Bounded} />`} />`;
}
