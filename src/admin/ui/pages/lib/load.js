// Data for a page: fetched when what is asked for changes, again while somebody looks, and given up when
// the page is left. What is there stays until what is new has come, so that nothing jumps.
import { useCallback, useEffect, useRef, useState } from './html.js';

/**
 * `work(signal)` is called anew whenever `keys` change; `every` repeats it (milliseconds).
 * Gives `{data, error, loading, reload, set}`.
 */
export function useLoad(work, keys, { every = 0 } = {}) {
  const [state, set] = useState({ data: undefined, error: null, loading: true });
  const [turn, setTurn] = useState(0);
  const latest = useRef(work);
  latest.current = work;

  useEffect(() => {
    const gone = new AbortController();
    let timer = 0;
    async function run(quiet) {
      if (!quiet) set((old) => ({ ...old, loading: true }));
      try {
        const data = await latest.current(gone.signal);
        if (!gone.signal.aborted) set({ data, error: null, loading: false });
      } catch (error) {
        if (gone.signal.aborted) return;
        set((old) => ({ ...old, error, loading: false }));
      }
      if (every && !gone.signal.aborted) timer = setTimeout(again, every);
    }
    // Nobody looks: nothing is asked.
    const again = () => (document.hidden ? (timer = setTimeout(again, every)) : run(true));
    run(false);
    return () => {
      gone.abort();
      clearTimeout(timer);
    };
  }, [...keys, turn, every]);

  const reload = useCallback(() => setTurn((old) => old + 1), []);
  const put = useCallback((data) => set((old) => ({ ...old, data })), []);
  return { ...state, reload, set: put };
}

/** The time, told every second while `on`. */
export function useClock(on = true) {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    if (!on) return undefined;
    const timer = setInterval(() => set(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [on]);
  return now;
}

/** A text that is settled: what was typed, once the typing has paused. */
export function useSettled(value, ms = 250) {
  const [settled, set] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => set(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}
