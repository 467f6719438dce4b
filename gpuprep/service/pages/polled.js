// What the service says again and again: asked anew on call and every so often, one request at a time.
import { useEffect, useRef, useState } from "./vendor/preact.js";

/**
 * {value, problem, loading, again}: the last answer stays while a new one is asked for, or fails.
 * every: milliseconds between two requests while the page is seen; 0 for only on `again()`.
 */
export function usePolled(ask, when, every = 0) {
  const [state, setState] = useState({ loading: true });
  const hand = useRef({});
  useEffect(() => {
    const mine = { isWanted: true, isBusy: false, isDue: false };
    mine.again = async () => {
      if (!mine.isWanted || mine.isOut) return;
      if (mine.isBusy) { mine.isDue = true; return; }
      mine.isBusy = true;
      try {
        const value = await ask();
        if (mine.isWanted) setState({ value, loading: false });
      } catch (problem) {
        mine.isOut = problem.status === 401; // a session that is over does not come back
        if (mine.isWanted) setState((before) => ({ ...before, problem, loading: false }));
      }
      mine.isBusy = false;
      if (mine.isDue) { mine.isDue = false; mine.again(); }
    };
    hand.current = mine;
    setState((before) => ({ ...before, loading: true }));
    mine.again();
    return () => { mine.isWanted = false; };
  }, when);
  useEffect(() => {
    const look = () => document.hidden || hand.current.again();
    document.addEventListener("visibilitychange", look);
    const timer = every ? setInterval(look, every) : null;
    return () => { clearInterval(timer); document.removeEventListener("visibilitychange", look); };
  }, [every]);
  return { ...state, again: () => hand.current.again?.() };
}
