import assert from "node:assert/strict";
import test from "node:test";
import { page } from "./pages.mjs";

const { SideModel } = await page("side_model.js");
const { labelText } = await page("readout.js");
const AFFINE = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]];
const COARSE = [[2, 0, 0, 0.5], [0, 2, 0, 0.5], [0, 0, 2, 0.5], [0, 0, 0, 1]];
const channel = { line: { scale: 2, offset: 1 } }, other = { line: { scale: 3, offset: 0 } };

function model(number) {
  const made = new SideModel({ shape: [4, 4, 4], affine: AFFINE, labels: [] });
  const shape = number > 0 ? [2, 2, 2] : [4, 4, 4];
  const data = Float32Array.from({ length: shape[0] ** 3 }, (_, k) => k);
  made.setImage({ data, shape, affine: number > 0 ? COARSE : AFFINE, number });
  return made;
}

test("a voxel at full resolution: index from 1, stored value, value by the line", () => {
  const at = model(0).at([3, 1, 2], channel);
  assert.deepEqual(at, { index: [4, 2, 3], isInside: true, stored: 39, value: 79, isNear: false, label: null, isLabelNear: false });
});

test("a coarser level's value is said to be near, unless the voxel itself was read, of this very channel", () => {
  const coarse = model(1), exact = { index: "4,2,3", channel, stored: 11 };
  assert.deepEqual([coarse.at([3, 1, 2], channel).stored, coarse.at([3, 1, 2], channel).isNear], [5, true]);
  assert.deepEqual([coarse.at([3, 1, 2], channel, exact).value, coarse.at([3, 1, 2], channel, exact).isNear], [23, false]);
  assert.equal(coarse.at([3, 1, 1], channel, exact).isNear, true);
  assert.equal(coarse.at([3, 1, 2], other, exact).stored, 5);
  assert.equal(model(0).at([3, 1, 2], channel, exact).stored, 39);
});

test("a coarser level's label is what most of its voxels have, and said to be near", () => {
  const table = new Map([[1, { name: "liver" }]]), told = (number, value) => {
    const made = model(number), shape = number > 0 ? [2, 2, 2] : [4, 4, 4];
    made.setLabels({ data: new Uint8Array(shape[0] ** 3).fill(value), shape, affine: number > 0 ? COARSE : AFFINE, number });
    return labelText(made.at([3, 1, 2], channel), table);
  };
  assert.deepEqual([told(0, 1), told(1, 1), told(2, 0)], ["1 liver", "≈ 1 liver", "≈ 0 background"]);
  assert.equal(labelText(model(1).at([3, 1, 2], channel), table), "–");
});

test("outside there is no value", () => {
  const at = model(0).at([9, 1, 2], channel);
  assert.deepEqual([at.index, at.isInside, at.stored, at.value], [[4, 2, 3], false, null, null]);
});
