import assert from "node:assert/strict";
import test from "node:test";
import { page } from "./pages.mjs";

const { denseSlots, paint } = await page("label_colors.js");
const { finestLevel, steps } = await page("levels.js");
const { readNifti, writeNifti } = await page("nifti.js");
const { onGrid } = await page("side_model.js");
const { dragged, sourceValue, storedWindow, told } = await page("windows.js");
const AFFINE = [[2, 0, 0, -10], [0, -3, 0, 5], [0, 0, 4, 1], [0, 0, 0, 1]];

test("300 labels with gaps each have their own colour, exactly", () => {
  const values = Array.from({ length: 300 }, (_, k) => ({ value: 7 * k + 1, color: `#${(k * 49999 % 0xffffff).toString(16).padStart(6, "0")}` }));
  const data = Uint16Array.from([0, 2, ...values.map(({ value }) => value)]);
  const out = paint(data, values);
  assert.deepEqual([...out.subarray(0, 8)], [0, 0, 0, 0, 255, 255, 255, 255]); // background; a value of no table
  values.forEach(({ color }, k) => {
    const rgb = [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));
    assert.deepEqual([...out.subarray(8 + 4 * k, 12 + 4 * k)], [...rgb, 255]);
  });
  assert.equal(new Set(denseSlots(values).values()).size, 300);
});

test("hidden labels are clear; negative and very large values are painted too", () => {
  const values = [{ value: -5, color: "#010203" }, { value: 70000, color: "#0a0b0c" }];
  assert.deepEqual([...paint(Int32Array.from([-5, 70000, 0, 9]), values)], [1, 2, 3, 255, 10, 11, 12, 255, 0, 0, 0, 0, 255, 255, 255, 255]);
  assert.deepEqual([...paint(Int32Array.from([-5]), values, new Set([-5]))], [0, 0, 0, 0]);
  const positive = [{ value: 2, color: "#0a0b0c" }];
  for (const table of [values, positive]) assert.deepEqual([...paint(Int8Array.from([-1]), table)], [0, 0, 0, 0]); // outside the foreground
});

test("a volume comes back from its NIfTI file", () => {
  const data = Float32Array.from({ length: 24 }, (_, k) => k / 3);
  const found = readNifti(writeNifti({ data, shape: [2, 3, 4], affine: AFFINE }));
  assert.deepEqual([found.shape, [...found.data]], [[2, 3, 4], [...data]]);
  assert.throws(() => readNifti(new ArrayBuffer(400)), /no NIfTI/);
  assert.throws(() => readNifti(writeNifti({ data, shape: [2, 3, 5], affine: AFFINE })), /ends too early/);
});

test("the finest level within limits, after one that is there at once", () => {
  const levels = [[512, 512, 600], [256, 256, 300], [128, 128, 150]].map((shape) => ({ shape }));
  assert.equal(finestLevel(levels, { longest: 2048, most: 128e6 }), 1);
  assert.equal(finestLevel(levels, { longest: 2048, most: 16e6 }), 2);
  assert.equal(finestLevel(levels, { longest: 100, most: 1e9 }), 2);
  assert.deepEqual(steps([{ shape: [200, 200, 200] }, { shape: [100, 100, 100] }], { longest: 2048, most: 16e6, isSoftware: true }), [1, 0]);
  assert.deepEqual(steps([{ shape: [100, 100, 100] }], { longest: 2048, most: 16e6, isSoftware: true }), [0]);
});

test("labels come onto the image's grid, nearest, nothing outside", () => {
  const labels = { data: Uint8Array.from({ length: 8 }, (_, k) => k + 1), shape: [2, 2, 2], affine: AFFINE };
  assert.equal(onGrid(labels, { ...labels, data: new Float32Array(8) }), labels.data);
  const finer = AFFINE.map((row, r) => (r < 3 ? [row[0] / 2, row[1], row[2], row[3] - row[0] / 4] : row)); // halves along x
  const found = onGrid(labels, { data: new Float32Array(24), shape: [6, 2, 2], affine: finer });
  assert.deepEqual([...found], [1, 1, 2, 2, 0, 0, 3, 3, 4, 4, 0, 0, 5, 5, 6, 6, 0, 0, 7, 7, 8, 8, 0, 0]);
});

test("windows go through the line, also one that falls, and without one along the usual window", () => {
  const channel = (line) => ({ line, window: [0, 10] });
  assert.deepEqual(storedWindow([-100, 100], channel({ scale: 200, offset: -100 }), [0, 1]), [0, 1]);
  assert.deepEqual(storedWindow([0, 4], channel({ scale: -2, offset: 0 }), [0, 1]), [-0, -2]);
  assert.deepEqual(storedWindow([50, 100], channel(null), [0, 100]), [5, 10]);
  assert.equal(sourceValue(0.5, channel({ scale: 200, offset: -100 })), 0);
  assert.equal(sourceValue(0.5, channel(null)), null);
  assert.deepEqual(dragged([0, 100], [30, 0], [0, 300]), [-15, 115]);
  assert.deepEqual([told(-0.0001, 2000), told(12.3456, 1), told(null)], ["0", "12.346", "–"]);
});

test("a table between source and stored values leads both ways, and straight on beyond its ends", () => {
  const channel = { line: { scale: 2, offset: 1, table: { x: [0, 100, 300, 400], y: [0, 50, 60, 60] } }, window: [0, 300] };
  assert.deepEqual(storedWindow([50, 200], channel, [0, 300]), [12, 27]); // (25 - 1) / 2, (55 - 1) / 2
  assert.deepEqual([12, 27, 34.5, -13].map((value) => sourceValue(value, channel)), [50, 200, 300, -50]); // of a flat part its begin
  assert.equal(sourceValue(null, channel), null);
});
