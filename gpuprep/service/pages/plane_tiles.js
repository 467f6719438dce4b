// How the service's pictures of slices (as they lie in the array) become planes of a patient: turned and mirrored by CSS.
import { arrange, PLANES } from "./tiles.js";

const AXES = ["LR", "AP", "IS"];
const THROUGH = [2, 1, 0]; // by plane, in AXES
const ACROSS = [0, 0, 1], UP = [1, 2, 2];

/** Tiles of a side in a box of [width, height]; each also says how its picture lies in it: {columns, rows, matrix}. */
export function planeTiles(model, size, { plane, zoom, center, isRadiological }) {
  const { side, letters } = model;
  const axes = AXES.map((pair) => letters.findIndex((letter) => pair.includes(letter)));
  const extents = axes.map((axis) => side.shape[axis] * side.spacing[axis]);
  return arrange(extents, size, plane).map((rect) => {
    const k = PLANES.indexOf(rect.plane);
    const rightwards = ACROSS[k] === 1 ? "P" : isRadiological ? "L" : "R"; // the nose looks to the left
    const across = along(side, letters, axes[ACROSS[k]], rightwards, zoom, center);
    const up = along(side, letters, axes[UP[k]], UP[k] === 1 ? "A" : "S", zoom, center);
    const through = axes[THROUGH[k]];
    const tile = { ...rect, across, up, through, upSign: "RAS".includes(letters[through]) ? 1 : -1 };
    return { ...tile, ...lying(tile, side) };
  });
}

/** Which stretch of an index one side of a tile shows, towards a letter. */
function along(side, letters, axis, towards, zoom, center) {
  const count = side.shape[axis], shown = count / zoom;
  const least = Math.min(count - shown, Math.max(0, center[axis] + 0.5 - shown / 2)) - 0.5;
  return letters[axis] === towards ? { axis, first: least, growth: shown } : { axis, first: least + shown, growth: -shown };
}

/** A slice's rows are the later of its two axes x, y, z, its columns the earlier. */
function lying({ across, up, through, width, height }, side) {
  const [column, row] = [0, 1, 2].filter((axis) => axis !== through);
  const x = (axis) => (axis === across.axis ? width / across.growth : 0);
  const y = (axis) => (axis === up.axis ? -height / up.growth : 0);
  const start = [((-0.5 - across.first) / across.growth) * width, (1 - (-0.5 - up.first) / up.growth) * height];
  return { columns: side.shape[column], rows: side.shape[row], matrix: [x(column), y(column), x(row), y(row), ...start] };
}

/** The address of the slice that a tile shows. `window` is in the units that the service takes. */
export function pictureAddress(side, { through }, index, { channel, window: [low, high], label }) {
  const values = { axis: "xyz"[through], index: index[through], channel: Math.max(0, channel), low, high, label };
  return side.plane.replace(/\{(\w+)\}/g, (all, name) => (name in values ? encodeURIComponent(values[name]) : all));
}
