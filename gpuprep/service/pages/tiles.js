// A tile is a plane on the screen: {plane, left, top, width, height (CSS pixels), across, up, through, upSign}. `across` and `up` say
// which index of the array runs along them: {axis, first (the exact index at the left or lower border), growth (from border to
// border)}. `through` is the third axis, and `upSign` is 1 where it grows towards R, A or S.

export const PLANES = ["axial", "coronal", "sagittal"];
const GAP = 6, ACROSS = [0, 0, 1], UP = [1, 2, 2]; // axes of R, A, S, by plane

/** Where planes lie in a box of [width, height], all on one scale: axial above coronal and sagittal beside that, or all in a row
 * where they become larger so. `extents` are the volume's sizes along R, A, S in mm; `plane` is "all" or one plane. */
export function arrange(extents, [width, height], plane) {
  const [x, y, z] = extents;
  const square = { axial: [0, 0, 0, 0], coronal: [0, y, 0, 1], sagittal: [x, y, 1, 1], width: x + y, height: y + z, gaps: [1, 1] };
  const row = { axial: [0, 0, 0, 0], coronal: [x, 0, 1, 0], sagittal: [2 * x, 0, 2, 0], width: 2 * x + y, height: Math.max(y, z), gaps: [2, 0] };
  const one = { [plane]: [0, 0, 0, 0], width: extents[ACROSS[PLANES.indexOf(plane)]], height: extents[UP[PLANES.indexOf(plane)]], gaps: [0, 0] };
  const scaleOf = ({ width: w, height: h, gaps }) => Math.min((width - GAP * (gaps[0] + 2)) / w, (height - GAP * (gaps[1] + 2)) / h);
  const chosen = plane !== "all" ? one : scaleOf(row) > scaleOf(square) ? row : square;
  const scale = Math.max(scaleOf(chosen), 1e-6);
  const from = [(width - chosen.width * scale - GAP * chosen.gaps[0]) / 2, (height - chosen.height * scale - GAP * chosen.gaps[1]) / 2];
  return PLANES.filter((each) => chosen[each]).map((each) => {
    const [left, top, right, down] = chosen[each], k = PLANES.indexOf(each);
    return { // whole pixels: WebGL cuts off what lies between
      plane: each, left: Math.floor(from[0] + left * scale + right * GAP), top: Math.floor(from[1] + top * scale + down * GAP),
      width: Math.max(1, Math.round(extents[ACROSS[k]] * scale)), height: Math.max(1, Math.round(extents[UP[k]] * scale)),
    };
  });
}

/** The shape (width through height) of a box in which the square arrangement fits well. */
export function boxRatio(side) {
  const size = (letters) => {
    const axis = side.axes.findIndex((letter) => letters.includes(letter));
    return axis < 0 ? 1 : side.shape[axis] * side.spacing[axis];
  };
  const [x, y, z] = [size("LR"), size("AP"), size("IS")];
  return Math.min(2, Math.max(0.7, (x + y) / (y + z)));
}

/** The exact index under a point of a tile (pixels from its left top corner); along the third axis that of `index`. */
export function indexAt({ across, up, width, height }, [x, y], index) {
  const found = [...index];
  found[across.axis] = across.first + (x / width) * across.growth;
  found[up.axis] = up.first + (1 - y / height) * up.growth;
  return found;
}

/** Where an exact index lies in a tile, in pixels from its left top corner. */
export function pointOf({ across, up, width, height }, index) {
  return [
    ((index[across.axis] - across.first) / across.growth) * width,
    (1 - (index[up.axis] - up.first) / up.growth) * height,
  ];
}
