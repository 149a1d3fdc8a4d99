// Numbers, money and times as a person reads them. The language is English; the time zone is the
// reader's, and said.

const plain = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 });

export const NONE = '–';
const missing = (value) => value === null || value === undefined || Number.isNaN(value);

export const count = (value) => (missing(value) ? NONE : plain.format(value));

/** 1,234 as it is, from 10,000 on shortened. */
export const short = (value) => {
  if (missing(value)) return NONE;
  if (Math.abs(value) >= 10_000) return compact.format(value);
  return new Intl.NumberFormat('en-US', { maximumFractionDigits: Math.abs(value) < 10 && value % 1 ? 2 : 0 }).format(value);
};

/** US dollars; small amounts keep two digits that say something. */
export function money(value) {
  if (missing(value)) return NONE;
  const size = Math.abs(value);
  if (size === 0) return '$0.00';
  if (size >= 100_000) return '$' + compact.format(value);
  const digits = size >= 1 || size >= 0.095 ? 2 : Math.min(9, Math.ceil(-Math.log10(size)) + 1);
  return new Intl.NumberFormat('en-US', {
    style: 'currency', currency: 'USD', minimumFractionDigits: digits, maximumFractionDigits: digits,
  }).format(value);
}

/** US dollars of one request: six digits, so that points stand in line and the cheapest still says something. */
export function fine(value) {
  if (value === 0) return '$0';
  return missing(value) || Math.abs(value) < 0.000001 || Math.abs(value) >= 10 ? money(value) : `$${value.toFixed(6)}`;
}

export function percent(part, digits = 1) {
  if (missing(part)) return NONE;
  const value = part * 100;
  // What is nearly all is not all.
  if (value > 99.9 && value < 100) return value.toFixed(2).replace(/^100\.00$/, '99.99') + '%';
  if (value > 0 && value < 0.1) return '<0.1%';
  return value.toFixed(value === 0 || value === 100 ? 0 : digits) + '%';
}

/** Milliseconds. */
export function duration(ms) {
  if (missing(ms)) return NONE;
  if (ms < 1) return `${ms === 0 ? 0 : ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return span(ms / 1000);
}

/** Seconds, in the two greatest units. */
export function span(seconds) {
  if (missing(seconds)) return NONE;
  const left = Math.max(0, Math.round(seconds));
  const units = [['d', 86_400], ['h', 3600], ['min', 60], ['s', 1]];
  const first = units.findIndex(([, size]) => left >= size);
  if (first < 0) return '0 s';
  const [name, size] = units[first];
  const next = units[first + 1];
  const rest = next ? Math.floor((left % size) / next[1]) : 0;
  return `${Math.floor(left / size)} ${name}${rest ? ` ${rest} ${next[0]}` : ''}`;
}

export const zone = (() => {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const minutes = -new Date().getTimezoneOffset();
  if (!minutes) return 'UTC';
  const hours = `${String(Math.floor(Math.abs(minutes) / 60)).padStart(2, '0')}:${String(Math.abs(minutes) % 60).padStart(2, '0')}`;
  return `${name ? name.replace(/_/g, ' ') + ', ' : ''}UTC${minutes > 0 ? '+' : '−'}${hours}`;
})();

const formats = {
  day: { day: 'numeric', month: 'short' },
  date: { day: 'numeric', month: 'short', year: 'numeric' },
  time: { hour: '2-digit', minute: '2-digit' },
  second: { hour: '2-digit', minute: '2-digit', second: '2-digit' },
  moment: { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' },
  exact: { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit' },
};
const made = Object.fromEntries(
  Object.entries(formats).map(([name, options]) => [name, new Intl.DateTimeFormat('en-GB', options)]),
);

/** A moment (RFC 3339, or milliseconds since 1970) as `day`, `date`, `time`, `second`, `moment` or `exact`. */
export function when(value, form = 'moment') {
  if (missing(value) || value === '') return NONE;
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? String(value) : made[form].format(date);
}

/** `in 3 d`, `2 min ago`. */
export function relative(value, now = Date.now()) {
  if (missing(value) || value === '') return NONE;
  const seconds = (new Date(value).getTime() - now) / 1000;
  if (Math.abs(seconds) < 5) return 'now';
  return seconds > 0 ? `in ${span(seconds)}` : `${span(-seconds)} ago`;
}

/** What a period of a budget is called. */
export const period = (text) => ({
  '1d': 'a day', daily: 'a day', '24h': 'a day', '7d': 'a week', '1w': 'a week', weekly: 'a week',
  '30d': 'a month', '1mo': 'a month', monthly: 'a month', '1h': 'an hour', hourly: 'an hour',
}[text] ?? (text ? `every ${text}` : 'in total'));
