// A tile is a plane on the screen: {plane, left, top, width, height (CSS pixels), across, up, through, upSign}. `across` and `up` say
// which index of the array runs along them: {axis, first (the exact index at the left or lower border), growth (from border to
// border)}. `through` is the third axis, and `upSign` is 1 where it grows towards R, A or S.

export const PLANES = ["axial", "coronal", "sagittal"];

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
