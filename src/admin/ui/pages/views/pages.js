// All pages, in the order of the navigation, and who may open them.
import { Overview } from './overview.js';
import { Requests } from './requests.js';
import { Models } from './models.js';
import { Playground } from './playground.js';
import { Keys } from './keys.js';
import { Teams } from './teams.js';
import { Users } from './users.js';
import { Budgets } from './budgets.js';
import { Configuration } from './configuration.js';

const leads = (session) => session.sees_all || session.role === 'org_admin';

export const PAGES = [
  { path: '/', title: 'Overview', icon: 'overview', group: 'Observe', view: Overview },
  { path: '/requests', title: 'Requests', icon: 'requests', group: 'Observe', view: Requests },
  { path: '/models', title: 'Models', icon: 'models', group: 'Serve', view: Models },
  { path: '/playground', title: 'Playground', icon: 'playground', group: 'Serve', view: Playground },
  { path: '/keys', title: 'Keys', icon: 'keys', group: 'Manage', view: Keys },
  { path: '/teams', title: 'Teams', icon: 'teams', group: 'Manage', view: Teams },
  { path: '/users', title: 'Users', icon: 'users', group: 'Manage', view: Users, may: leads },
  { path: '/budgets', title: 'Budgets', icon: 'budgets', group: 'Manage', view: Budgets, may: (session) => session.sees_all },
  { path: '/config', title: 'Configuration', icon: 'config', group: 'System', view: Configuration, may: (session) => session.sees_all },
];

export const mayOpen = (page, session) => !page.may || page.may(session);

/** The page of a path, and what stands behind its name. */
export function pageOf(path) {
  const [, first = '', ...rest] = path.split('/');
  const page = PAGES.find((one) => one.path === `/${first}`);
  if (rest.length > 1 || (rest.length && !first)) return [undefined];
  try {
    return [page, rest[0] && decodeURIComponent(rest[0])];
  } catch {
    // A `%` with no number behind it.
    return [undefined];
  }
}
