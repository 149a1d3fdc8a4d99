// The figures at the top, each beside what it was in the span before.
import { html } from '../../lib/html.js';
import { count, duration, money, percent, short } from '../../lib/format.js';

/** How much more or less than before, in words. */
function change(now, before) {
  if (!before || now === null || now === undefined) return before === 0 && now ? 'none before' : '';
  const part = now / before - 1;
  if (Math.abs(part) < 0.005) return 'as before';
  const size = Math.abs(part) >= 10 ? `${Math.round(now / before)}×` : percent(Math.abs(part), 0);
  return `${part > 0 ? '▲' : '▼'} ${size} ${part > 0 ? 'more' : 'less'}`;
}

const requests = (number) => `${count(number ?? 0)} ${number === 1 ? 'request' : 'requests'}`;
const was = (value, format) => (value === null || value === undefined ? '' : `${format(value)} before`);

function Figure({ name, value, sub, kind = '' }) {
  return html`<div class="figure"><dt>${name}</dt><dd class="value ${kind}">${value}</dd><dd class="sub">${sub}</dd></div>`;
}

export function Figures({ data }) {
  const { totals: now, before } = data;
  const tokens = now.input_tokens + now.output_tokens;
  return html`<dl class="figures" aria-label="Figures of this time">
    <${Figure} name="Requests" value=${short(now.requests)} sub=${change(now.requests, before?.requests)} />
    <${Figure} name="Cost" value=${money(now.cost)} sub=${change(now.cost, before?.cost)} />
    <${Figure} name="Tokens" value=${short(tokens)} sub=${`${short(now.input_tokens)} in, ${short(now.output_tokens)} out`} />
    <${Figure} name="Failed" value=${percent(now.failure_rate)} kind=${now.failure_rate > 0.05 ? 'bad' : ''} sub=${was(before?.failure_rate, percent) || requests(now.failures)} />
    <${Figure} name="Timed out" value=${percent(now.timeout_rate)} sub=${was(before?.timeout_rate, percent) || requests(now.timeouts)} />
    ${now.latency !== null && html`<${Figure} name="Latency, p95" value=${duration(now.latency?.p95)} sub=${now.latency ? `p50 ${duration(now.latency.p50)}` : ''} />`}
    ${now.ttft !== null && html`<${Figure} name="First token, p95" value=${duration(now.ttft?.p95)} sub=${now.ttft ? `p50 ${duration(now.ttft.p50)}` : ''} />`}
    <${Figure} name="Cache hits" value=${percent(now.cache_hit_rate)} sub=${now.cache_saved > 0 ? `${money(now.cache_saved)} not paid again` : requests(now.cache_hits)} />
    ${now.fallbacks !== null && html`<${Figure} name="Fallbacks made good" value=${percent(now.fallback_success_rate)} sub=${now.fallbacks ? `${count(now.fallbacks_succeeded)} of ${count(now.fallbacks)}` : 'none needed'} />`}
    ${data.savings && html`<${Figure} name="Saved" value=${money(data.savings.saved)} sub=${`against ${data.savings.model}`} />`}
  </dl>`;
}
