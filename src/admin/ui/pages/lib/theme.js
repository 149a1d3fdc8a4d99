// Light, dark, or as the system has it. `theme.js` beside index.html applies the choice before the first
// paint; here it is changed.
import { store } from './store.js';

const NAME = 'tollgate.theme';
const system = matchMedia('(prefers-color-scheme: dark)');

function chosen() {
  return document.documentElement.dataset.theme ?? 'system';
}

export const theme = store(chosen());
/** Changes with every switch of colours, whoever makes it: what is drawn on a canvas is drawn again. */
export const colours = store(0);

const changed = () => colours.set(colours.get() + 1);
system.addEventListener('change', changed);

export function chooseTheme(name) {
  if (name === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  try {
    if (name === 'system') localStorage.removeItem(NAME);
    else localStorage.setItem(NAME, name);
  } catch {
    // Storage is forbidden: the choice holds for this page.
  }
  theme.set(name);
  changed();
}

/** A colour of the style sheet as it is now, for canvases. */
export function colour(name) {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
