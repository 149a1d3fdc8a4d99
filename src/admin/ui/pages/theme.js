// Runs before the first paint, so that nobody who chose dark sees a white flash. The choice itself is
// made in lib/theme.js; without one the system's preference holds.
try {
  const chosen = localStorage.getItem('tollgate.theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
} catch {
  // Storage is forbidden: the system's preference holds.
}
