// The one import of the view library: elements as tagged templates, and hooks.
import { h, render, Fragment, createContext } from '../vendor/preact.js';
import htm from '../vendor/htm.js';

export const html = htm.bind(h);
export { render, Fragment, createContext };
export * from '../vendor/hooks.js';
