// A value that several parts of the page look at.
import { useEffect, useState } from './html.js';

export function store(value) {
  const watchers = new Set();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const tell of [...watchers]) tell(value);
    },
    watch(tell) {
      watchers.add(tell);
      return () => watchers.delete(tell);
    },
  };
}

export function useStore(one) {
  const [value, set] = useState(one.get());
  useEffect(() => {
    set(() => one.get());
    return one.watch((next) => set(() => next));
  }, [one]);
  return value;
}
