import assert from "node:assert/strict";
import test from "node:test";
import { goldens, page } from "./pages.mjs";

const { apply, flipped, inverse, nearestVoxel } = await page("affine.js");
const { axisLetters, sideLetters } = await page("letters.js");
const { arrange, indexAt, pointOf } = await page("tiles.js");
const { planeTiles } = await page("plane_tiles.js");
const near = (found, wanted, within = 1e-9) => found.forEach((value, k) => assert.ok(Math.abs(value - wanted[k]) < within, `${found} is not ${wanted}`));

test("letters as nibabel says them, points and ways back as numpy does", () => {
  for (const { affine, letters, index, mm, inverse: back } of goldens.affines) {
    assert.deepEqual(axisLetters(affine), letters);
    near(apply(affine, index), mm);
    inverse(affine).forEach((row, r) => near(row, back[r]));
    assert.deepEqual(nearestVoxel(inverse(affine), [20, 20, 20], mm), { index, isInside: true });
  }
});

test("a point outside is held at the border and said to be outside", () => {
  const back = inverse([[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]);
  assert.deepEqual(nearestVoxel(back, [5, 5, 5], [-1, 4, 9]), { index: [0, 2, 4], isInside: true }); // edges of the outermost voxels
  assert.deepEqual(nearestVoxel(back, [5, 5, 5], [-1.1, 4, 9]), { index: [0, 2, 4], isInside: false });
  assert.deepEqual(nearestVoxel(back, [5, 5, 5], [0, 4, 90]), { index: [0, 2, 4], isInside: false });
});

test("an affine that leads nowhere is refused; RAS and LPS differ by two signs", () => {
  assert.throws(() => inverse([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), RangeError);
  assert.deepEqual(flipped([1, -2, 0]), [-1, 2, 0]);
});

test("letters at the sides of a plane", () => {
  assert.deepEqual(sideLetters(["L", "P", "S"], [0, 1], [1, -1]), { right: "L", left: "R", top: "A", bottom: "P" });
});

test("planes fill their box on one scale and do not overlap", () => {
  for (const box of [[600, 600], [900, 300], [300, 900]]) {
    const tiles = arrange([200, 230, 40], box, "all");
    assert.equal(tiles.length, 3);
    const scale = tiles[0].width / 200;
    near(tiles.flatMap(({ width, height }) => [width, height]), [200, 230, 200, 40, 230, 40].map((mm) => mm * scale), 1.2); // whole pixels
    for (const { left, top, width, height } of tiles) assert.ok(left >= 0 && top >= 0 && left + width <= box[0] && top + height <= box[1]);
    for (const a of tiles) for (const b of tiles) {
      if (a !== b) assert.ok(a.left + a.width <= b.left || b.left + b.width <= a.left || a.top + a.height <= b.top || b.top + b.height <= a.top);
    }
  }
});

test("in all orientations a picture lies as its letters say, and a point leads to its voxel", () => {
  for (const { affine, letters } of goldens.affines) {
    const side = { shape: [10, 12, 14], spacing: [0.75, 1.5, 3], affine };
    for (const isRadiological of [true, false]) {
      for (const tile of planeTiles({ side, letters }, [400, 400], { plane: "all", zoom: 2, center: [4, 5, 6], isRadiological })) {
        const found = sideLetters(letters, [tile.across.axis, Math.sign(tile.across.growth)], [tile.up.axis, Math.sign(tile.up.growth)]);
        assert.equal(found.right, tile.plane === "sagittal" ? "P" : isRadiological ? "L" : "R");
        assert.equal(found.top, tile.plane === "axial" ? "A" : "S");
        const index = [3, 4, 7];
        near(indexAt(tile, pointOf(tile, index), index), index);
        const [a, b, c, d, e, f] = tile.matrix; // the middle of that voxel's pixel in the picture
        const [column, row] = [0, 1, 2].filter((axis) => axis !== tile.through).map((axis) => index[axis] + 0.5);
        near([a * column + c * row + e, b * column + d * row + f], pointOf(tile, index), 1e-6);
      }
    }
  }
});
