// Which rows of a long table are in the document: those in sight and a few more.

export const ROW_HEIGHT = 33; // px, as the style has it
const MOST_PIXELS = 15_000_000; // no browser draws much taller boxes; beyond it, scrolling is scaled
const SPARE = 8;

/** {first, last, top, height}: rows first..last-1, how far down the first is drawn, and the height of all. */
export function windowOf(scrollTop, viewHeight, rows, rowHeight = ROW_HEIGHT, most = MOST_PIXELS) {
  const full = rows * rowHeight;
  const height = Math.min(full, most);
  const most_scroll = Math.max(0, height - viewHeight);
  const scrolled = Math.min(Math.max(0, scrollTop), most_scroll);
  const place = most_scroll ? (scrolled / most_scroll) * (full - viewHeight) : 0; // in the full table
  const spare = Math.min(SPARE, Math.floor(scrolled / rowHeight)); // scaled, there is little room above the first rows
  const first = Math.max(0, Math.floor(place / rowHeight) - spare);
  const last = Math.min(rows, Math.ceil((place + viewHeight) / rowHeight) + SPARE);
  const top = Math.max(0, scrolled - (place - first * rowHeight));
  return { first, last, top, height };
}

/** Where to scroll so that a row is in sight; the same place where it is already. */
export function scrollTo(row, scrollTop, viewHeight, rows, rowHeight = ROW_HEIGHT, most = MOST_PIXELS) {
  const full = rows * rowHeight;
  const scale = full > most ? (full - viewHeight) / (most - viewHeight) : 1;
  const place = scrollTop * scale;
  const above = row * rowHeight, below = above + rowHeight - viewHeight;
  const wanted = place > above ? above : place < below ? below : place;
  return Math.max(0, wanted / scale);
}

/** The blocks of so many rows that a window touches. */
export function blocksOf({ first, last }, size) {
  const blocks = [];
  for (let k = Math.floor(first / size); k * size < last; k += 1) blocks.push(k);
  return blocks;
}
