// A brush is a range of one measure: {low, high}, both inclusive; null is open. Its numbers are plain decimals.

/** What is typed in a box: a number, null where nothing is, undefined for what is no number. */
export function parseBound(text) {
  const plain = String(text).trim().replace("−", "-").replaceAll(",", "");
  if (plain === "") return null;
  const number = Number(plain);
  return Number.isFinite(number) ? number : undefined;
}

/** A brush with its bounds in order; null where it is open on both sides. */
export function brushOf(low, high) {
  if (low === null && high === null) return null;
  return low !== null && high !== null && low > high ? { low: high, high: low } : { low, high };
}

/** A brush as the service takes it: NAME:LOW:HIGH. */
export const whereOf = (name, { low, high }) => `${name}:${low ?? ""}:${high ?? ""}`;

/** The name and the brush of such a text; null where it is none. A name may hold colons. */
export function parseWhere(text) {
  const [, name, lowest, highest] = /^(.+):([^:]*):([^:]*)$/.exec(text) ?? [];
  const low = parseBound(lowest ?? "x"), high = parseBound(highest ?? "x");
  if (!name || low === undefined || high === undefined) return null;
  const brush = brushOf(low, high);
  return brush && { name, brush };
}

/** Whether a value lies in a brush; a missing one never does. */
export const holds = ({ low, high }, value) =>
  !Number.isNaN(value) && (low === null || value >= low) && (high === null || value <= high);

/** A step for the boxes of a measure: a round number, well below the width of a bin. */
export function stepOf(edges) {
  const k = (edges.length - 2) >> 1; // one of the middle: the first and the last bin may reach far
  const width = edges[k + 1] - edges[k];
  return width > 1e-12 * Math.abs(edges[k]) ? 10 ** Math.floor(Math.log10(width / 4)) : 1;
}

/** Where a value is drawn, as a share (0 to 1) of the axis: every bin takes the same room, however wide it is. */
export function placeOf(value, edges) {
  const bins = edges.length - 1;
  const k = binAt(Math.min(edges[bins], Math.max(edges[0], value)), edges);
  const width = edges[k + 1] - edges[k];
  return (k + (width > 0 ? Math.min(1, Math.max(0, (value - edges[k]) / width)) : 0.5)) / bins;
}

/** The value at a share of the axis, rounded to the measure's step. */
export function valueAt(share, edges) {
  const bins = edges.length - 1;
  const place = Math.min(bins, Math.max(0, share * bins));
  const k = Math.min(bins - 1, Math.floor(place));
  const step = stepOf(edges);
  const exact = edges[k] + (place - k) * (edges[k + 1] - edges[k]);
  return Number((Math.round(exact / step) * step).toPrecision(12));
}

/** What two places on the axis span; one place alone means the bar under it. */
export function dragged(start, end, edges) {
  const bins = edges.length - 1;
  const k = Math.min(bins - 1, Math.max(0, Math.floor(end * bins)));
  const isClick = Math.abs(end - start) < 0.015;
  const { low, high } = isClick ? { low: edges[k], high: edges[k + 1] } : brushOf(valueAt(start, edges), valueAt(end, edges));
  const [first, last] = [Math.ceil(low), Math.floor(high)]; // of whole numbers, bins end halfway between two
  return isWhole(edges) && first <= last ? { low: first, high: last } : { low, high };
}

const isWhole = (edges) => edges.length > 3 && Math.abs(edges[1] % 1) === 0.5 && Math.abs(edges[2] % 1) === 0.5;

/** Up to so many round values for the axis, each well inside it. */
export function ticksOf(edges, most = 5) {
  const inner = edges.length > 4 ? edges.slice(1, -1) : edges;
  const [first, last] = [inner[0], inner[inner.length - 1]];
  const rough = (last - first) / most;
  if (!(rough > 1e-9 * Math.max(Math.abs(first), Math.abs(last)))) return [first];
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * unit).find((each) => each >= rough);
  const ticks = [];
  for (let k = Math.ceil(first / step); k * step <= last; k += 1) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

/** The bin that a value lies in: lower edges belong to it, the last upper edge, too; -1 outside. */
export function binAt(value, edges) {
  const last = edges.length - 2;
  if (!(value >= edges[0] && value <= edges[last + 1])) return -1;
  let [low, high] = [0, last + 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (value >= edges[middle]) low = middle;
    else high = middle;
  }
  return low;
}
