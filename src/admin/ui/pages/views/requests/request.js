// One request from its arrival to its end: its attempts as a waterfall, and all that is known of it.
import { html } from '../../lib/html.js';
import { get } from '../../lib/api.js';
import { failureName, meaning } from '../../lib/failures.js';
import { NONE, count, duration, money, percent, when, zone } from '../../lib/format.js';
import { useLoad } from '../../lib/load.js';
import { href } from '../../lib/route.js';
import { Head } from '../../parts/shell.js';
import { Loaded, Notice } from '../../parts/states.js';

const words = (text) => text.replace(/_/g, ' ');
/** What paid without a key of its own has a name in the log, and no page. */
const isKey = (id) => /^[0-9a-f]{64}$/.test(id ?? '');
export const keyName = (one) => one.key_alias ?? (isKey(one.key) ? one.key.slice(0, 12) : one.key === 'master' || !one.key ? 'Master key' : one.key);

export function outcome(one) {
  if (one.error === 'client_closed') return html`<span class="badge warn">Client left</span>`;
  if (one.failed) return html`<span class="badge bad" title=${one.error && meaning(one.error)}>${one.error ? failureName(one.error) : one.status || 'Failed'}</span>`;
  if (one.client_gone) return html`<span class="badge warn">Client left</span>`;
  if (one.cache_hit) return html`<span class="badge good">From cache</span>`;
  return html`<span class="badge good">${one.status ?? 'OK'}</span>`;
}

const kindOf = (attempt) => (attempt.outcome === 'success' ? 'good' : attempt.outcome === 'cancelled' ? 'idle' : 'bad');

/** Marks at round distances, four to six of them. */
function marks(total) {
  const rough = total / 5;
  const size = 10 ** Math.floor(Math.log10(Math.max(rough, 0.1)));
  const step = [1, 2, 5, 10].map((by) => by * size).find((by) => by >= rough);
  return Array.from({ length: Math.floor(total / step) + 1 }, (_, at) => at * step);
}

function Waterfall({ one }) {
  const ends = one.attempts.map((attempt) => attempt.start + (attempt.duration ?? 0));
  const total = Math.max(one.duration ?? 0, ...ends, 1);
  const at = (ms) => `${Math.min(100, (ms / total) * 100)}%`;
  return html`<div class="waterfall">
    <div class="scale" aria-hidden="true"><span></span><div>${marks(total).map((ms) => html`<i key=${ms} style=${{ left: at(ms) }}>${duration(ms)}</i>`)}</div><span></span></div>
    <ol>
      <li class="whole"><span class="who"><strong>Request</strong><span class="under">as its client saw it</span></span>
        <div class="lane"><span class="piece whole" style=${{ left: '0', width: at(one.duration ?? total) }}></span>
          ${one.ttft !== null && html`<span class="first" style=${{ left: at(one.ttft) }} title=${`First token after ${duration(one.ttft)}`}></span>`}</div>
        <span class="took">${duration(one.duration)}</span></li>
      ${one.attempts.map((attempt, index) => html`<li key=${index}>
        <span class="who"><strong class="clip">${index + 1}. ${attempt.group ?? NONE}</strong><span class="under clip">${attempt.provider ?? NONE} · ${attempt.deployment ?? NONE}</span></span>
        <div class="lane"><span class="piece ${kindOf(attempt)}" style=${{ left: at(attempt.start), width: at(attempt.duration ?? 0) }}></span></div>
        <span class="took"><span class=${kindOf(attempt)}>${words(attempt.outcome)}${attempt.status && attempt.outcome !== 'success' ? ` ${attempt.status}` : ''}</span>
          <span class="under">${duration(attempt.duration)}${attempt.start >= 1 ? ` after ${duration(attempt.start)}` : ''}${attempt.cooled_down ? ', then rested' : ''}</span></span>
      </li>`)}
    </ol>
    ${one.ttft !== null && html`<p class="key faint"><i class="firstkey" aria-hidden="true"></i>first token after ${duration(one.ttft)}</p>`}
  </div>`;
}

/** The texts of a message's content, whatever its dialect. */
function textOf(content) {
  if (typeof content === 'string') return content;
  const parts = Array.isArray(content) ? content : [];
  return parts.map((part) => part.text ?? part.refusal ?? `[${part.type ?? 'part'}]`).join('\n');
}

/** What was asked and answered, as a list of who and what; empty where the form is not known. */
function spoken({ request, reply }) {
  const asked = request.messages ?? (typeof request.input === 'string' ? [{ role: 'user', content: request.input }] : request.input)
    ?? request.contents?.map((one) => ({ role: one.role ?? 'user', content: one.parts }));
  const said = (Array.isArray(asked) ? asked : []).map((one) => [one.role ?? one.type ?? 'user', textOf(one.content)]);
  const told = reply?.choices?.map((one) => one.message?.content ?? one.text)
    ?? (reply?.content ? [reply.content] : null)
    ?? reply?.output?.filter((one) => one.type === 'message').map((one) => one.content)
    ?? reply?.candidates?.map((one) => one.content?.parts) ?? [];
  return [...said, ...told.map((content) => ['reply', textOf(content)])].filter(([, text]) => text);
}

function Said({ said }) {
  const turns = spoken(said);
  return html`<section class="card span-12" aria-label="What was said"><header><h2>What was said</h2>
      <span class="note">as guardrails let it on; long texts are cut</span></header>
    <div class="body"><div class="stack">
      ${turns.length > 0 && html`<dl class="facts">${turns.map(([who, text], at) => html`<dt key=${`who${at}`}>${who}</dt><dd key=${`text${at}`} style=${{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>${text}</dd>`)}</dl>`}
      <details><summary>Request as JSON</summary><pre class="code" tabindex="0">${JSON.stringify(said.request, null, 2)}</pre></details>
      ${said.reply ? html`<details><summary>Reply as JSON</summary><pre class="code" tabindex="0">${JSON.stringify(said.reply, null, 2)}</pre></details>` : html`<p class="faint">No reply is kept.</p>`}
    </div></div></section>`;
}

export function Request({ id, session }) {
  const data = useLoad((signal) => get(`/ui/api/requests/${encodeURIComponent(id)}`, {}, signal), [id]);
  return html`
    <${Head} title="Request" lead=${html`<code>${id}</code>`} back=${{ href: href('/requests'), title: 'Requests' }} />
    <${Loaded} of=${data} height=${320}>${(one) => html`
      <section class="card" aria-label="Attempts"><header><h2>${one.attempts.length === 1 ? 'One attempt' : one.attempts.length ? `${count(one.attempts.length)} attempts` : 'No attempt'}</h2>
          <span class="note">${when(one.at, 'exact')}, ${zone}</span></header>
        <div class="body"><div class="stack">
          <${Waterfall} one=${one} />
          ${!one.attempts.length && html`<${Notice}>${one.cache_hit ? 'The reply came from the cache' : 'It ended in the gateway'}: no deployment was called.<//>`}
          ${one.asked && html`<${Notice}>${one.asked} was asked for; ${one.group} answered.<//>`}
        </div></div></section>
      <div class="grid">
        <section class="card span-6"><header><h2>What it was</h2></header><div class="body"><dl class="facts">
          <dt>Outcome</dt><dd>${outcome(one)}${one.failed && one.status ? ` status ${one.status}` : ''}${one.error && meaning(one.error) ? html`<span class="under">${meaning(one.error)}</span>` : ''}</dd>
          <dt>Model</dt><dd>${one.model ?? NONE}</dd>
          <dt>Answered by</dt><dd>${one.provider ? `${one.provider} · ${one.upstream_model ?? NONE}` : NONE}</dd>
          ${one.deployment && html`<dt>Deployment</dt><dd>${session.sees_all ? html`<a href=${href('/models', { open: one.deployment })}><code>${one.deployment}</code></a>` : html`<code>${one.deployment}</code>`}</dd>`}
          <dt>Route</dt><dd><code>${one.route ?? NONE}</code>${one.stream ? ', streamed' : ''}</dd>
          <dt>Took</dt><dd>${duration(one.duration)}</dd>
          <dt>First token</dt><dd>${duration(one.ttft)}</dd>
          ${one.guardrails?.length > 0 && html`<dt>Guardrails</dt><dd>${one.guardrails.join(', ')}</dd>`}
          ${typeof one.similarity === 'number' && html`<dt>Nearest question</dt><dd>${percent(one.similarity)} alike</dd>`}
          <dt>Client's request id</dt><dd><code>${one.call_id ?? NONE}</code></dd>
        </dl></div></section>
        <section class="card span-6"><header><h2>What it cost, and whom</h2></header><div class="body"><dl class="facts">
          <dt>Cost</dt><dd><strong>${money(one.cost)}</strong>${one.saved > 0 ? `, ${money(one.saved)} not paid again` : ''}</dd>
          <dt>Tokens</dt><dd>${count(one.input_tokens)} in, ${count(one.output_tokens)} out</dd>
          ${Object.entries(one.usage ?? {}).filter(([name, value]) => typeof value === 'number' && value > 0 && !['input_tokens', 'output_tokens'].includes(name)).map(([name, value]) => html`<dt key=${name}>${words(name)[0].toUpperCase()}${words(name).slice(1)}</dt><dd>${count(value)}</dd>`)}
          <dt>Key</dt><dd>${isKey(one.key) ? html`<a href=${href('/keys', { open: one.key })}>${one.key_alias ?? html`<code>${keyName(one)}…</code>`}</a>` : keyName(one)}</dd>
          <dt>User</dt><dd>${one.user ?? NONE}</dd>
          <dt>Team</dt><dd>${one.team ?? NONE}</dd>
          <dt>End user</dt><dd>${one.end_user ?? NONE}</dd>
          <dt>Tags</dt><dd>${one.tags?.length ? html`<span class="chips">${one.tags.map((tag) => html`<span class="chip" key=${tag}>${tag}</span>`)}</span>` : NONE}</dd>
          <dt>From</dt><dd>${one.client_ip ?? NONE}</dd>
          ${one.session && html`<dt>Session</dt><dd><code>${one.session}</code></dd>`}
        </dl></div></section>
        ${one.said && html`<${Said} said=${one.said} />`}
        ${one.metadata && Object.keys(one.metadata).length > 0 && html`<section class="card span-12"><header><h2>Metadata</h2></header><div class="body"><pre class="code" tabindex="0">${JSON.stringify(one.metadata, null, 2)}</pre></div></section>`}
      </div>`}<//>`;
}
