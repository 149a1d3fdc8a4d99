// Drawn here: sixteen pixels, one stroke, the colour of the text.
import { html } from '../lib/html.js';

/** Beside the modules, wherever they came from. */
export const LOGO = new URL('../icon.svg', import.meta.url).pathname;

const shapes = {
  overview: 'M2.5 13.5h11M4 11V7.5M8 11V3M12 11V5.5',
  requests: 'M2.5 4h11M2.5 8h11M2.5 12h7',
  models: 'M8 1.8 13.6 5v6L8 14.2 2.4 11V5L8 1.8ZM2.6 5 8 8.1 13.4 5M8 8.1v6',
  playground: 'M2.5 3h11v8H7.2l-2.7 2.4V11h-2V3Z',
  keys: 'M10.4 9.2a3.4 3.4 0 1 0-3.3-2.6L2.5 11.2v2.3h2.6v-1.7h1.7v-1.7l1.2-1.2c.7.3 1.5.4 2.4.3ZM11 5.1v.1',
  teams: 'M6 7.5a2.3 2.3 0 1 0 0-4.6 2.3 2.3 0 0 0 0 4.6ZM2 13c.3-2.3 1.8-3.6 4-3.6s3.7 1.3 4 3.6M10.7 7.3a2 2 0 1 0-.7-3.9M11.5 9.6c1.5.3 2.4 1.4 2.6 3.1',
  users: 'M8 7.6a2.6 2.6 0 1 0 0-5.2 2.6 2.6 0 0 0 0 5.2ZM3 13.6c.4-2.7 2.2-4.1 5-4.1s4.6 1.4 5 4.1',
  budgets: 'M8 14a6 6 0 1 0 0-12 6 6 0 0 0 0 12ZM9.9 6.2c-.3-.7-1-1-1.9-1-1.1 0-1.9.5-1.9 1.4 0 2 3.9.8 3.9 2.8 0 .9-.8 1.5-2 1.5-1 0-1.8-.4-2.1-1.2M8 4.2v7.6',
  config: 'M2.5 4.5h6M11.5 4.5h2M2.5 11.5h2M7.5 11.5h6M10 6a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3ZM6 13a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Z',
  light: 'M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6ZM8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9',
  dark: 'M13.3 9.6A5.7 5.7 0 0 1 6.4 2.7a5.7 5.7 0 1 0 6.9 6.9Z',
  system: 'M2.5 3h11v7.5h-11V3ZM6 13.5h4M8 10.5v3',
  out: 'M6.5 2.5h-4v11h4M6.5 8h7M10.8 5.2 13.5 8l-2.7 2.8',
  menu: 'M2.5 4.5h11M2.5 8h11M2.5 11.5h11',
  close: 'm3.5 3.5 9 9M12.5 3.5l-9 9',
  plus: 'M8 3v10M3 8h10',
  warn: 'M8 2.2 14.3 13H1.7L8 2.2ZM8 6.5v3M8 11.3v.1',
  good: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM5.4 8.2l1.8 1.8 3.5-3.8',
  bad: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 5v3.6M8 10.9v.1',
  info: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 7.4V11M8 5v.1',
  copy: 'M5.5 5.5h8v8h-8v-8ZM3.5 10.5h-1v-8h8v1',
  refresh: 'M13 8a5 5 0 1 1-1.5-3.5L13 6M13 2.8V6H9.8',
  back: 'M9.5 3.5 5 8l4.5 4.5',
  stop: 'M4 4h8v8H4z',
  send: 'M8 13V3M4 7l4-4 4 4',
};

/** An ornament: the text beside it, or its button's name, says what it means. */
export const Icon = ({ name, size = 16 }) => html`<svg width=${size} height=${size} viewBox="0 0 16 16" fill="none"
  stroke="currentColor" stroke-width="1.4" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">
  <path d=${shapes[name]} /></svg>`;
