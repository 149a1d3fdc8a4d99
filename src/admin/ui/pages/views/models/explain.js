// Why a request would go where: asks the gateway's own choice, without sending anything to a provider.
import { html, useState } from '../../lib/html.js';
import { post } from '../../lib/api.js';
import { NONE, count, duration, money, percent } from '../../lib/format.js';
import { Area, Choice } from '../../parts/fields.js';
import { Problem } from '../../parts/states.js';
import { Table } from '../../parts/table.js';

const BODY = '{\n  "messages": [{"role": "user", "content": "Hello"}]\n}';

function standing(one) {
  if (one.place === 1) return html`<span class="badge good">First</span>`;
  if (one.out) return html`<span class="badge bad" title=${one.standing}>${one.out.replace(/_/g, ' ')}</span>`;
  return html`<span class="badge">${one.standing[0].toUpperCase()}${one.standing.slice(1)}</span>`;
}

export function Explain({ groups, query, change }) {
  const [body, setBody] = useState(BODY);
  const [state, setState] = useState({});
  const [problem, setProblem] = useState('');
  const model = query.explain || groups[0] || '';

  async function ask(event) {
    event.preventDefault();
    let parsed;
    try {
      parsed = JSON.parse(body || '{}');
      setProblem('');
    } catch (error) {
      setProblem(`This is no JSON: ${error.message}`);
      return;
    }
    setState({ busy: true });
    try {
      setState({ data: await post('/routing/explain', { ...parsed, model: parsed.model ?? model }) });
    } catch (error) {
      setState({ error });
    }
  }
  return html`<section class="card" aria-label="Explain"><header><h2>Why would a request go where?</h2><span class="note">nothing is sent to a provider</span></header>
    <div class="body"><form class="form explain" onSubmit=${ask}>
        <${Choice} label="Model" value=${model} options=${groups.map((name) => [name, name])} onChange=${(name) => change({ explain: name })} />
        <${Area} label="Body of the request" mono rows=${4} value=${body} onChange=${setBody} problem=${problem} />
        <div><button type="submit" class="button" disabled=${state.busy || !model}>Explain</button></div>
      </form>
      <div class="stack explained" aria-live="polite">
        ${state.error && html`<${Problem} error=${state.error} />`}
        ${state.data && html`
          ${state.data.decided.length > 0 && html`<ul class="decided">${state.data.decided.map((why) => html`<li key=${why}>${why}</li>`)}</ul>`}
          ${state.data.groups.map((group) => html`<div key=${group.group} class="explained-group">
            <h3>${group.group} <small class="faint">${group.fallback ? 'fallback, ' : ''}${group.strategy}</small></h3>
            <${Table} caption=${`Deployments of ${group.group}`} rows=${group.deployments} keyOf=${(one) => one.id} columns=${[
              { name: 'model', title: 'Deployment', head: true, cell: (one) => html`<span class="clip">${one.model}</span><span class="under">${one.provider}${one.order === null ? '' : ` · order ${one.order}`}</span><span class="under clip mono" title=${one.id}>${one.id}</span>` },
              { name: 'standing', title: 'Place', cell: (one) => html`${standing(one)}${one.notes.map((note) => html`<span class="under" key=${note}>${note}</span>`)}` },
              { name: 'share', title: 'Share by weight', num: true, cell: (one) => percent(one.share, 0) },
              { name: 'flight', title: 'In flight', num: true, wide: true, cell: (one) => count(one.in_flight) },
              { name: 'minute', title: 'Requests, last minute', num: true, wide: true, cell: (one) => count(one.requests_last_minute) },
              { name: 'cost', title: 'Cost', num: true, wide: true, cell: (one) => money(one.expected_cost_usd) },
              { name: 'latency', title: 'Latency', num: true, cell: (one) => (one.expected_latency_ms === null ? NONE : duration(one.expected_latency_ms)) },
            ]} /></div>`)}`}
      </div></div></section>`;
}
