// Towards which side of the patient an axis leads.
import { column, length } from "./affine.js";

const NAMES = ["LR", "PA", "IS"]; // by the axis of RAS: down, up
export const OPPOSITE = { L: "R", R: "L", P: "A", A: "P", I: "S", S: "I" };

/** The letter towards which each index of an array grows: the axes are dealt out so that the closest pair comes first, no axis
 * of the patient twice. */
export function axisLetters(affine) {
  const columns = [0, 1, 2].map((axis) => {
    const vector = column(affine, axis), size = length(vector) || 1;
    return vector.map((value) => value / size);
  });
  const pairs = columns.flatMap((vector, axis) => vector.map((value, world) => ({ axis, world, value })));
  pairs.sort((a, b) => Math.abs(b.value) - Math.abs(a.value) || a.axis - b.axis);
  const letters = [null, null, null], taken = new Set();
  for (const { axis, world, value } of pairs) {
    if (letters[axis] !== null || taken.has(world)) continue;
    letters[axis] = NAMES[world][value < 0 ? 0 : 1];
    taken.add(world);
  }
  return letters;
}

/** The letters at the four sides of a plane. `right` and `up` are [axis, sign]: which index grows to the right, and upwards. */
export function sideLetters(letters, right, up) {
  const towards = ([axis, sign]) => (sign > 0 ? letters[axis] : OPPOSITE[letters[axis]]);
  return { right: towards(right), left: OPPOSITE[towards(right)], top: towards(up), bottom: OPPOSITE[towards(up)] };
}
