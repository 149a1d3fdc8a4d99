// Who or what it was: shares by provider, model, team, key, user and tag.
import { html } from '../../lib/html.js';
import { money, short } from '../../lib/format.js';
import { Bars } from '../../parts/bars.js';
import { Segments } from '../../parts/fields.js';
import { Empty } from '../../parts/states.js';

const BY = [['provider', 'Provider', 'by_provider'], ['group', 'Model', 'by_group'], ['team', 'Team', 'by_team'], ['key', 'Key', 'by_key'], ['user', 'User', 'by_user'], ['tag', 'Tag', 'by_tag']];
const OF = { cost: ['Cost', money, (one) => one.cost], requests: ['Requests', short, (one) => one.requests], tokens: ['Tokens', short, (one) => one.input_tokens + one.output_tokens] };
const NOBODY = { team: 'No team', key: 'No key', user: 'No user', tag: 'No tag', provider: 'No provider', group: 'No model' };
const SHOWN = 10;

export function Breakdown({ data, query, change, pick }) {
  const by = BY.find(([name]) => name === query.by) ?? BY[0];
  const of = OF[query.of] ? query.of : 'cost';
  const [title, format, value] = OF[of];
  const found = (data[by[2]] ?? [])
    .map((one) => ({ id: one.id, name: one.id === '' ? NOBODY[by[0]] : by[0] === 'key' && one.id === 'master' ? 'Master key' : one.name, value: value(one) }))
    .filter((one) => one.value > 0)
    .sort((one, other) => other.value - one.value);
  const head = found.slice(0, SHOWN);
  const rest = found.slice(SHOWN).reduce((sum, one) => sum + one.value, 0);
  if (rest > 0) head.push({ id: null, name: 'All others', value: rest });
  return html`<section class="card breakdown"><header><h2>${title} by ${by[1].toLowerCase()}</h2>
      <${Segments} label="What is counted" value=${of} options=${Object.entries(OF).map(([name, [label]]) => [name, label])} onChange=${(name) => change({ of: name === 'cost' ? '' : name })} /></header>
    <div class="body stack">
      <${Segments} label="Divided by" value=${by[0]} options=${BY.map(([name, label]) => [name, label])} onChange=${(name) => change({ by: name === 'provider' ? '' : name })} />
      ${head.length ? html`<${Bars} label=${`${title} by ${by[1].toLowerCase()}`} items=${head} format=${format} onPick=${pick(by[0])} />`
        : html`<${Empty} title="Nothing to divide">${of === 'cost' ? 'Nothing cost anything in this time.' : 'Nothing was counted in this time.'}<//>`}
    </div></section>`;
}
