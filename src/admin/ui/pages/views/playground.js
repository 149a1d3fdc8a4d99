// A conversation with any model that the key may call: a real request with this key, metered and logged.
import { html, useEffect, useRef, useState } from '../lib/html.js';
import { Refused, get, send } from '../lib/api.js';
import { count, duration, money } from '../lib/format.js';
import { useLoad } from '../lib/load.js';
import { href } from '../lib/route.js';
import { events } from '../lib/stream.js';
import { Amount, Area, Check, Choice } from '../parts/fields.js';
import { Icon } from '../parts/icons.js';
import { Head } from '../parts/shell.js';
import { Empty, Problem } from '../parts/states.js';

/** On a phone the settings stand before the conversation, so they begin folded. */
const WIDE = matchMedia('(min-width: 961px)').matches;

/** Talks to the gateway; `put` gets what is known so far, again and again. */
async function talk(body, signal, put) {
  const began = performance.now();
  const response = await send('POST', '/v1/chat/completions', { body, signal });
  const head = response.headers;
  let reply = {
    text: '', thought: '', first: null, usage: null,
    id: head.get('x-litellm-call-id') ?? head.get('x-request-id'), deployment: head.get('x-litellm-model-id'), cost: Number(head.get('x-litellm-response-cost')) || null,
  };
  const took = () => performance.now() - began;
  const add = (more) => put(reply = { ...reply, ...more });
  if (!body.stream) {
    const answer = await response.json();
    const message = answer.choices?.[0]?.message ?? {};
    add({ text: message.content ?? JSON.stringify(message.tool_calls ?? message, null, 2), thought: message.reasoning_content ?? '', usage: answer.usage, took: took() });
    return;
  }
  for await (const event of events(response)) {
    if (event.error) throw new Refused(event.error.status ?? 502, event.error);
    const delta = event.choices?.[0]?.delta ?? {};
    const [text, thought] = [delta.content ?? '', delta.reasoning_content ?? ''];
    add({
      text: reply.text + text, thought: reply.thought + thought, usage: event.usage ?? reply.usage,
      first: reply.first ?? (text || thought ? took() : null), took: took(),
    });
  }
  add({ took: took() });
}

function Meta({ reply }) {
  const rate = reply.usage?.completion_tokens && reply.took && reply.took > (reply.first ?? 0) ? reply.usage.completion_tokens / ((reply.took - (reply.first ?? 0)) / 1000) : null;
  const facts = [
    reply.took && duration(reply.took),
    reply.first !== null && reply.first !== undefined && `first token ${duration(reply.first)}`,
    reply.usage && `${count(reply.usage.prompt_tokens)} in, ${count(reply.usage.completion_tokens)} out`,
    rate && reply.first !== null && `${count(rate)} tokens/s`,
    reply.cost && money(reply.cost),
  ].filter(Boolean);
  return html`<p class="meta">${facts.join(' · ')}${reply.id && html`${facts.length ? ' · ' : ''}<a href=${href(`/requests/${encodeURIComponent(reply.id)}`)}>its log</a>`}</p>`;
}

export function Playground({ query, change }) {
  const models = useLoad((signal) => get('/v1/models', {}, signal).then((answer) => answer.data.map((one) => one.id)), []);
  const [talked, setTalked] = useState([]);
  const [text, setText] = useState('');
  const [system, setSystem] = useState('');
  const [heat, setHeat] = useState('');
  const [most, setMost] = useState('');
  const [error, setError] = useState(null);
  const [problems, setProblems] = useState({});
  const running = useRef(null);
  const [busy, setBusy] = useState(false);
  const end = useRef(null);
  const stream = query.stream !== 'off';
  const names = models.data ?? [];
  const model = query.model && (names.includes(query.model) || !models.data) ? query.model : names[0] ?? '';

  useEffect(() => () => running.current?.abort(), []);
  useEffect(() => {
    // Follows the text only while the reader is at its end.
    const box = end.current;
    if (box && box.scrollHeight - box.scrollTop - box.clientHeight < 160) box.scrollTop = box.scrollHeight;
  }, [talked]);

  async function ask() {
    const said = text.trim();
    const wrong = {};
    if (heat.trim() && !(Number(heat) >= 0)) wrong.heat = 'A number, 0 or greater.';
    if (most.trim() && !(Number.isInteger(Number(most)) && Number(most) > 0)) wrong.most = 'A whole number above 0.';
    setProblems(wrong);
    if (!said || busy || Object.keys(wrong).length) return;
    const before = [...talked, { role: 'user', text: said }];
    setTalked(before);
    setText('');
    setError(null);
    setBusy(true);
    const stop = new AbortController();
    running.current = stop;
    const body = {
      model, stream,
      messages: [...(system.trim() ? [{ role: 'system', content: system.trim() }] : []), ...before.map((one) => ({ role: one.role, content: one.text }))],
      ...(heat.trim() ? { temperature: Number(heat) } : {}), ...(most.trim() ? { max_tokens: Number(most) } : {}),
      ...(stream ? { stream_options: { include_usage: true } } : {}),
    };
    try {
      await talk(body, stop.signal, (reply) => setTalked([...before, { role: 'assistant', model, ...reply }]));
    } catch (problem) {
      if (problem.name !== 'AbortError') setError(problem);
    } finally {
      if (running.current === stop) running.current = null;
      setBusy(false);
    }
  }
  const keys = (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    ask();
  };

  return html`
    <${Head} title="Playground" lead="Real requests with the key you signed in with: metered, limited and logged." tools=${talked.length > 0 && html`
      <button type="button" class="button" onClick=${() => { running.current?.abort(); setTalked([]); setError(null); }}>New conversation</button>`} />
    <div class="playground">
      <section class="card talk" aria-label="Conversation">
        <div class="messages" ref=${end} role="log" aria-live="polite" aria-busy=${String(busy)} aria-label="What was said" tabindex="0">
          ${talked.length === 0 && html`<${Empty} title=${model ? `Say something to ${model}` : 'No model'}>${models.error ? models.error.message : model ? 'The reply is streamed as it comes.' : models.data ? 'This key may call no model.' : 'Asking which models there are…'}<//>`}
          ${talked.map((one, at) => html`<article key=${at} class="message ${one.role}">
            <h3>${one.role === 'user' ? 'You' : one.model}</h3>
            ${one.thought && html`<details class="thought"><summary>Thoughts</summary><p>${one.thought}</p></details>`}
            <div class="text">${one.text}${busy && at === talked.length - 1 && one.role === 'assistant' && html`<span class="caret" aria-hidden="true"></span>`}</div>
            ${one.role === 'assistant' && html`<${Meta} reply=${one} />`}
          </article>`)}
          ${busy && talked.at(-1)?.role === 'user' && html`<p class="faint">Waiting for ${model}…</p>`}
        </div>
        ${error && html`<div class="error"><${Problem} error=${error} /></div>`}
        <form class="say" onSubmit=${(event) => { event.preventDefault(); ask(); }}>
          <textarea class="input" rows="2" aria-label="Message" placeholder="Message (Enter sends)" title="Enter sends, Shift+Enter begins a new line" value=${text} onInput=${(event) => setText(event.target.value)} onKeyDown=${keys}></textarea>
          ${busy
            ? html`<button type="button" class="button" onClick=${() => running.current?.abort()}><${Icon} name="stop" />Stop</button>`
            : html`<button type="submit" class="button primary" disabled=${!text.trim() || !model}><${Icon} name="send" />Send</button>`}
        </form>
      </section>
      <section class="card settings" aria-label="Settings"><details open=${WIDE}><summary>Settings</summary><div class="body form">
        <${Choice} label="Model" value=${model} options=${names.map((name) => [name, name])} onChange=${(name) => change({ model: name })} />
        <${Area} label="System prompt" rows=${4} value=${system} onChange=${setSystem} placeholder="None" />
        <${Amount} label="Temperature" value=${heat} onChange=${setHeat} placeholder="The model's own" problem=${problems.heat} />
        <${Amount} label="Most tokens of the reply" whole value=${most} onChange=${setMost} placeholder="The model's own" problem=${problems.most} />
        <${Check} label="Stream the reply" value=${stream} onChange=${(on) => change({ stream: on ? '' : 'off' })} />
      </div></details></section>
    </div>`;
}
