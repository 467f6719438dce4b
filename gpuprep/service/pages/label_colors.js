// Labels as colours by voxel. NiiVue's own tables of colours miss values with gaps and more than 256 of them, so each voxel is
// painted here, exactly.

/** A label's values, dense: `slot` leads from a value to 1, 2, …; 0 is the background and what the table does not name. */
export function denseSlots(values) {
  const slot = new Map();
  for (const { value } of values) if (value !== 0 && !slot.has(value)) slot.set(value, slot.size + 1);
  return slot;
}

/** RGBA bytes of a label's voxels; values that the table does not name are white, hidden ones, 0 and unnamed below 0 (outside) clear. */
export function paint(data, values, hidden = new Set()) {
  const slots = denseSlots(values);
  const colors = new Uint32Array(slots.size + 1);
  for (const { value, color } of values)
    if (slots.has(value) && !hidden.has(value)) colors[slots.get(value)] = packed(color);
  const unnamed = packed("#ffffff");
  const out = new Uint8Array(data.length * 4), words = new Uint32Array(out.buffer);
  const largest = values.reduce((most, { value }) => Math.max(most, value), 0);
  const isSmall = largest < 65536 && values.every(({ value }) => value >= 0);
  const table = isSmall ? new Uint32Array(largest + 1).fill(unnamed) : null;
  if (table) {
    table[0] = 0;
    for (const [value, slot] of slots) table[value] = colors[slot];
  }
  for (let k = 0; k < data.length; k++) {
    const value = Number(data[k]);
    if (value === 0) continue;
    words[k] = table && value > 0 && value <= largest ? table[value] : slots.has(value) ? colors[slots.get(value)] : value < 0 ? 0 : unnamed;
  }
  return out;
}

/** "#rrggbb" as the word that a little-endian machine stores as R, G, B, 255. */
function packed(color) {
  const rgb = Number.parseInt(color.slice(1), 16);
  return (0xff000000 | ((rgb & 0xff) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0;
}
