// What a page is doing at the moment, so that it can be said when nothing is left to do.
import { useRef, useState } from "./vendor/preact.js";

/** `work(run, onFailure)` starts an async function, which is handed `isWanted()`, and gives what ends the wish for it, as effects
 * do; `isWorking()` says whether any is under way. What comes late tells nobody. */
export function useWork() {
  const [, setTicks] = useState(0);
  const running = useRef(0);
  const work = (run, onFailure) => {
    let isWanted = true;
    running.current += 1;
    run(() => isWanted).catch((problem) => isWanted && onFailure(problem)).finally(() => {
      running.current -= 1;
      setTicks((count) => count + 1);
    });
    return () => { isWanted = false; };
  };
  return { work, isWorking: () => running.current > 0 };
}
