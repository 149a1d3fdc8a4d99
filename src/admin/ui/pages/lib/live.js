// What happens right now, as the gateway tells it: one event a second while somebody looks.
import { useEffect, useState } from './html.js';
import { renewSession } from './session.js';

const KEPT = 90;

/** The last ticks, the newest at the end, and whether there is a connection. */
export function useLive(on) {
  const [state, set] = useState({ ticks: [], up: false });
  useEffect(() => {
    if (!on) {
      set({ ticks: [], up: false });
      return undefined;
    }
    let source = null;
    function open() {
      if (source || document.hidden) return;
      source = new EventSource('/ui/api/live');
      source.addEventListener('tick', (event) => {
        const tick = JSON.parse(event.data);
        set((old) => ({ ticks: [...old.ticks.slice(1 - KEPT), tick], up: true }));
      });
      source.addEventListener('end', (event) => {
        // The browser asks again by itself; by then it is known who is signed in, and as what.
        if (JSON.parse(event.data).reason !== 'stopping') renewSession();
      });
      source.onerror = () => {
        set((old) => ({ ...old, up: false }));
        // The browser does not ask again after a refusal, so it is done here, after a while.
        if (source?.readyState === EventSource.CLOSED) {
          source = null;
          setTimeout(() => on && open(), 5000);
        }
      };
    }
    function close() {
      source?.close();
      source = null;
    }
    const looked = () => (document.hidden ? close() : open());
    open();
    document.addEventListener('visibilitychange', looked);
    return () => {
      on = false;
      document.removeEventListener('visibilitychange', looked);
      close();
    };
  }, [on]);
  return state;
}
