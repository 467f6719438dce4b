// Windows of grey values. The page speaks of them in the units of the source; the stored values of a side follow a line, some by way
// of a table: a line's `table` leads from the source (x) to what the line leads to (y), straight between its points and beyond them.

/** A window in source units as one of the values that a side stores. `usual` is the side's counterpart of `reference`, for values
 * that no line leads back from. */
export function storedWindow([low, high], channel, reference) {
  const { line, window: usual } = channel;
  if (line) return [low, high].map((value) => (tabled(value, line.table) - line.offset) / line.scale); // a line that falls turns it round
  const stretch = (usual[1] - usual[0]) / (reference[1] - reference[0] || 1);
  return [low, high].map((value) => usual[0] + (value - reference[0]) * stretch);
}

/** A stored value in source units; null where no line leads there. */
export function sourceValue(value, { line }) {
  return line && value !== null ? untabled(line.scale * value + line.offset, line.table) : null;
}

const tabled = (value, table) => (table ? between(value, table.x, table.y) : value);
const untabled = (value, table) => (table ? between(value, table.y, table.x) : value);

/** The number in `to` at the place of a value among the ascending numbers of `from`. */
function between(value, from, to) {
  let [k, after] = [0, from.length - 1];
  while (after - k > 1) {
    const middle = (k + after) >> 1;
    if (value >= from[middle]) k = middle;
    else after = middle;
  }
  const width = from[k + 1] - from[k];
  return width ? to[k] + ((value - from[k]) * (to[k + 1] - to[k])) / width : to[k];
}

export const asEnds = ({ level, width }) => [level - width / 2, level + width / 2];
export const asLevel = ([low, high]) => ({ level: (low + high) / 2, width: high - low });

/** A window that a drag of so many pixels makes of another: to the right wider, upwards darker. */
export function dragged(ends, [right, down], usual) {
  const { level, width } = asLevel(ends), unit = Math.max((usual[1] - usual[0]) / 300, 1e-9);
  return asEnds({ level: level + down * unit, width: Math.max(unit, width + right * unit) });
}

/** A number as people read it: as many digits as tell values of a window of this width apart. */
export function told(value, width = 0) {
  if (value === null || value === undefined) return "–";
  if (Number.isNaN(value)) return "not a number";
  if (Number.isInteger(value)) return String(value);
  const digits = width > 0 ? Math.min(6, Math.max(0, 3 - Math.floor(Math.log10(width)))) : 3;
  return value.toFixed(digits).replace(/^-(0(\.0*)?)$/, "$1");
}
