// What the page of a cohort decides without a browser: order of outliers, addresses, numbers in words.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cases, count, value, valueWith } from "../../gpuprep/service/pages/numbers.js";
import { byTurns } from "../../gpuprep/service/pages/outliers.js";
import { NOTHING, queryOf, stateOf } from "../../gpuprep/service/pages/selection.js";

test("every kind comes once before any comes twice, the worst of each first", () => {
  const items = [["a", 9], ["a", 8], ["a", 7], ["b", 2], ["c", 5], ["b", 1]].map(([kind, score]) => ({ kind, score }));
  assert.deepEqual(byTurns(items).map(({ kind, score }) => kind + score), ["a9", "c5", "b2", "a8", "b1", "a7"]);
  assert.deepEqual(byTurns([]), []);
});

test("an address tells a state and gives it back, whatever is in it", () => {
  const state = {
    wish: { search: "50% & more#1", brushes: { "ml.a:b.1": { low: -1.5, high: null }, spacing_z: { low: 1, high: 2 } } },
    sort: "-ml.a:b.1", marked: "<img src=x> ?&\u202e",
  };
  assert.deepEqual(stateOf(`?${queryOf(state)}`), state);
  assert.equal(queryOf(NOTHING), "");
  assert.deepEqual(stateOf("?where=nonsense&where=a::"), NOTHING);
});

test("numbers have separators, units and no more digits than tell something", () => {
  assert.deepEqual([0, 1234567, NaN].map(count), ["0", "1,234,567", "–"]);
  assert.deepEqual([1, 0, 12345].map(cases), ["1 case", "0 cases", "12,345 cases"]);
  assert.deepEqual([0, 1, 0.661468, 1365.2, -806.4, 0.0724, 39206, 1e-7, 2.5e12].map((x) => value(x)),
    ["0", "1", "0.6615", "1,365", "−806.4", "0.0724", "39,206", "1e-7", "2.5e+12"]);
  assert.deepEqual([valueWith(2, "mm"), valueWith(2, ""), valueWith(null, "mm"), value(undefined)], ["2 mm", "2", "–", "–"]);
});
