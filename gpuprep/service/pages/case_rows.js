// Rows of the table of cases, fetched in blocks as they come into sight and kept.
import { useEffect, useRef, useState } from "./vendor/preact.js";
import { blocksOf } from "./virtual_window.js";

export const BLOCK = 100;
const PATIENCE = 60; // ms that a place stays in sight before it is asked for: not while one scrolls past

/** {total, row(k), problem} of what is wished; rows that are not there yet are undefined. */
export function useRows(source, wish, sort, measures, window) {
  const key = JSON.stringify([wish, sort, measures]);
  const kept = useRef(null);
  const [, redraw] = useState(0);
  if (kept.current?.key !== key || kept.current.source !== source)
    kept.current = { key, source, blocks: new Map(), total: kept.current?.total ?? 0, problem: null };
  const here = kept.current;
  const missing = blocksOf({ first: window.first, last: Math.max(1, window.last) }, BLOCK).filter((k) => !here.blocks.has(k));
  useEffect(() => {
    if (!missing.length) return undefined;
    const ask = () => missing.forEach((k) => load(here, k, { wish, sort, measures }, () => redraw((n) => n + 1)));
    const timer = setTimeout(ask, here.blocks.size ? PATIENCE : 0);
    return () => clearTimeout(timer);
  }, [key, source, missing.join()]);
  return { total: here.total, problem: here.problem, row: (k) => here.blocks.get(Math.floor(k / BLOCK))?.[k % BLOCK] };
}

async function load(here, k, { wish, sort, measures }, done) {
  if (here.blocks.has(k)) return;
  here.blocks.set(k, []);
  try {
    const { items, total } = await here.source.rows(wish, { first: k * BLOCK, limit: BLOCK, sort, measures });
    here.blocks.set(k, items);
    Object.assign(here, { total, problem: null });
  } catch (problem) {
    here.blocks.delete(k);
    here.problem = problem;
  }
  done();
}
