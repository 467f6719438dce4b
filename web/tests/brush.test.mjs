// Ranges of measures: what is typed, what an address holds, where the axis has it.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  binAt, brushOf, dragged, holds, parseBound, parseWhere, placeOf, stepOf, ticksOf, valueAt, whereOf,
} from "../../gpuprep/service/pages/brush.js";

test("a box takes numbers as people write them, and is open when empty", () => {
  assert.deepEqual(["1.5", " 1,024 ", "−3", "-3e2", "", "  "].map(parseBound), [1.5, 1024, -3, -300, null, null]);
  assert.deepEqual(["x", "1 2", "1:2", "Infinity", "NaN"].map(parseBound), Array(5).fill(undefined));
});

test("bounds are put in order, and none at all is no brush", () => {
  assert.deepEqual(brushOf(3, 1), { low: 1, high: 3 });
  assert.deepEqual(brushOf(null, 1), { low: null, high: 1 });
  assert.equal(brushOf(null, null), null);
});

test("what is written as where is read again", () => {
  for (const [name, brush] of [
    ["spacing_z", { low: 0.5, high: 2 }], ["a:b.c", { low: null, high: -1e-7 }], ["x", { low: 0, high: null }],
  ]) assert.deepEqual(parseWhere(whereOf(name, brush)), { name, brush });
  for (const text of ["", "x", "x:1", "x::", ":1:2", "x:1:y"]) assert.equal(parseWhere(text), null, text);
});

test("both ends of a range belong to it, and a missing value to none", () => {
  assert.deepEqual([1, 1.5, 2, 2.01, NaN].map((x) => holds({ low: 1, high: 2 }, x)), [true, true, true, false, false]);
  assert.equal(holds({ low: null, high: null }, NaN), false);
});

test("a bin has its lower edge, the last one its upper, too", () => {
  assert.deepEqual([0, 0.99, 1, 2, 3, 3.01, -0.1, NaN].map((x) => binAt(x, [0, 1, 2, 3])), [0, 0, 1, 2, 2, -1, -1, -1]);
  assert.equal(binAt(5, [5, 5.5]), 0);
});

test("every bin takes the same room, and places lead back to values", () => {
  const edges = [-1000, 0, 1, 2, 500]; // the first and the last bin reach far
  assert.deepEqual([-1000, -500, 0, 1.5, 500, 9e9].map((x) => placeOf(x, edges)), [0, 0.125, 0.25, 0.625, 1, 1]);
  for (const x of [-1000, -500, 0, 0.5, 1.2, 251, 500]) assert.ok(Math.abs(valueAt(placeOf(x, edges), edges) - x) < 0.051);
  assert.deepEqual([valueAt(-1, edges), valueAt(2, edges)], [-1000, 500]);
  assert.equal(placeOf(2, [2, 2, 2]), 0.75);
});

test("a drag spans values, a click the bar under it", () => {
  const edges = [0, 1, 2, 3, 4];
  assert.deepEqual(dragged(0.75, 0.25, edges), { low: 1, high: 3 });
  assert.deepEqual(dragged(0.3, 0.3, edges), { low: 1, high: 2 });
  assert.deepEqual(dragged(1.2, 1.2, edges), { low: 3, high: 4 });
  const whole = [0.5, 10.5, 20.5, 30.5]; // whole numbers, in bins that end between two
  assert.deepEqual(dragged(0.5, 0.5, whole), { low: 11, high: 20 });
  assert.deepEqual(dragged(0.1, 0.9, whole), { low: 4, high: 28 });
});

test("ticks are round, inside the axis, and end for any edges", () => {
  assert.deepEqual(ticksOf([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), [2, 4, 6, 8]);
  assert.deepEqual(ticksOf([-5000, -0.1, 0, 0.1, 9000]), [-0.1, -0.05, 0, 0.05, 0.1]);
  for (const edges of [[2, 2], [1.9999999999999998, 1.9999999999999998, 2, 2], [1e15, 1e15 + 1], [0, 0]])
    assert.ok(ticksOf(edges).length <= 12, String(edges));
  assert.ok([[0, 1], [1e-9, 2e-9], [2, 2], [-5, 1e9]].every((edges) => stepOf(edges) > 0));
});
