// Affines of the JSON: 4 rows of 4, from the 0-based index x, y, z of an array to RAS millimetres.

/** The point that an affine leads an index to. */
export function apply(affine, [x, y, z]) {
  return [0, 1, 2].map((row) => affine[row][0] * x + affine[row][1] * y + affine[row][2] * z + affine[row][3]);
}

/** The affine back, from millimetres to index. */
export function inverse(affine) {
  const [[a, b, c], [d, e, f], [g, h, i]] = affine;
  const determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  if (!(Math.abs(determinant) > 0)) throw new RangeError("an affine that leads all voxels onto a plane");
  const rows = [
    [e * i - f * h, c * h - b * i, b * f - c * e],
    [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ].map((row) => row.map((value) => value / determinant));
  const origin = affine.slice(0, 3).map((row) => row[3]);
  return [...rows.map((row) => [...row, -(row[0] * origin[0] + row[1] * origin[1] + row[2] * origin[2])]), [0, 0, 0, 1]];
}

/** How far one step along an array's axis leads, in mm. */
export function column(affine, axis) {
  return [0, 1, 2].map((row) => affine[row][axis]);
}

export const length = (vector) => Math.hypot(...vector);

/** The voxel nearest to a point: its index, held inside the array, and whether the point lies in the array at all. */
export function nearestVoxel(back, shape, mm) {
  const exact = apply(back, mm).map((value) => (Math.abs(value) < 1e-9 ? 0 : value));
  const index = exact.map((value, axis) => Math.min(shape[axis] - 1, Math.max(0, Math.floor(value + 0.5))));
  const isInside = exact.every((value, axis) => value >= -0.5 - 1e-6 && value <= shape[axis] - 0.5 + 1e-6);
  return { index, isInside };
}

/** RAS millimetres as LPS, and back. */
export const flipped = ([x, y, z]) => [-x, -y, z].map((value) => value + 0);
