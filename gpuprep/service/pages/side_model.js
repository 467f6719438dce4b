// One side (before or after) without its picture: which voxel a point is, and what the voxel holds.
import { apply, inverse, nearestVoxel } from "./affine.js";
import { axisLetters } from "./letters.js";
import { valueAt } from "./volume_source.js";
import { sourceValue } from "./windows.js";

export class SideModel {
  constructor(side) {
    this.side = side;
    this.back = inverse(side.affine);
    this.letters = axisLetters(side.affine);
    this.image = null; // the drawn level: {data, shape, affine, number}
    this.labels = null; // the same of the label map, at a level of its own
  }

  setImage(image) {
    this.image = image && { ...image, back: inverse(image.affine) };
  }

  setLabels(labels) {
    this.labels = labels && { ...labels, back: inverse(labels.affine) };
  }

  /** Index in the array at full resolution, held inside: {index, isInside}. */
  voxel(mm) { return nearestVoxel(this.back, this.side.shape, mm); }

  /** Index in the level that is drawn. */
  drawnVoxel(mm) { return nearestVoxel(this.image.back, this.image.shape, mm).index; }

  /** The middle of a voxel, at full resolution and of the drawn level. */
  pointOf(index) { return apply(this.side.affine, index); }
  pointOfDrawn(index) { return apply(this.image.affine, index); }

  /** An exact index as that of a voxel of the array. */
  held(exact, shape = this.side.shape) {
    return exact.map((value, axis) => Math.min(shape[axis] - 1, Math.max(0, Math.round(value))));
  }

  /** What a point holds: {index (1-based), isInside, stored, value, isNear, label, isLabelNear}. `exact` is what is known of one voxel;
   * `isNear` and `isLabelNear` say that value and label are those of a coarser level: a mean, and what most of its voxels have. */
  at(mm, channel, exact) {
    const { index, isInside } = this.voxel(mm);
    const isExact = this.image?.number > 0 && exact?.channel === channel && exact.index === index.map((value) => value + 1).join();
    const drawn = this.image && this.image.road !== "none" && isInside ? valueAt(this.image, this.drawnVoxel(mm)) : null;
    const stored = isExact ? exact.stored : drawn, isNear = stored !== null && !isExact && this.image.number > 0;
    const label = this.labels && isInside ? valueAt(this.labels, nearestVoxel(this.labels.back, this.labels.shape, mm).index) : null;
    const isLabelNear = label !== null && this.labels.number > 0;
    return { index: index.map((value) => value + 1), isInside, stored, value: sourceValue(stored, channel), isNear, label, isLabelNear };
  }
}

/** The voxels of a label map on the grid of an image: nearest, 0 outside. */
export function onGrid(labels, image) {
  const isSame = labels.shape.every((size, axis) => size === image.shape[axis])
    && labels.affine.every((row, r) => row.every((value, k) => Math.abs(value - image.affine[r][k]) < 1e-6));
  if (isSame) return labels.data;
  const back = inverse(labels.affine), out = new labels.data.constructor(image.data.length);
  const [width, height, depth] = image.shape, [w, h, d] = labels.shape;
  const start = apply(back, apply(image.affine, [0, 0, 0]));
  const steps = [[1, 0, 0], [0, 1, 0], [0, 0, 1]].map((step) => apply(back, apply(image.affine, step)).map((value, k) => value - start[k]));
  let to = 0;
  for (let z = 0; z < depth; z++) for (let y = 0; y < height; y++) for (let x = 0; x < width; x++, to++) {
    const i = Math.floor(start[0] + x * steps[0][0] + y * steps[1][0] + z * steps[2][0] + 0.5 + 1e-9);
    const j = Math.floor(start[1] + x * steps[0][1] + y * steps[1][1] + z * steps[2][1] + 0.5 + 1e-9);
    const k = Math.floor(start[2] + x * steps[0][2] + y * steps[1][2] + z * steps[2][2] + 0.5 + 1e-9);
    if (i >= 0 && j >= 0 && k >= 0 && i < w && j < h && k < d) out[to] = labels.data[i + w * (j + h * k)];
  }
  return out;
}
