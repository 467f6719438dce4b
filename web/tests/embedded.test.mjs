// A report's own cohort: selected, counted, sorted and told as the service tells it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Embedded } from "../../gpuprep/service/pages/embedded.js";

const base64 = (numbers, Kind) => Buffer.from(new Kind(numbers).buffer).toString("base64");
const data = () => ({
  name: "liver",
  ids: ["a1", "a2", "b3", "b10"],
  columns: { spacing_z: base64([1, 5, NaN, 1.1], Float32Array), "ml.liver.1": base64([10, 20, 30, 40], Float32Array) },
  classes: { "liver 1": base64([1, 1, 0, 1], Uint8Array) },
  rows: { findings: ["", "W_FEW_SLICES, W_GANTRY", "W_GANTRY", ""], bytes: [4, 3, 2, 1], labels: ["liver", "", "liver", "liver"] },
  thumbnails: { b3: "data:image/png;base64,AA==" },
  qc: {
    cases: 4, selected: 4, findings: [],
    measures: [{ name: "spacing_z", edges: [1, 2, 5], counts: [2, 1], selected: [2, 1], missing: 1 },
      { name: "ml.liver.1", edges: [10, 20, 30, 40], counts: [1, 1, 2], selected: [1, 1, 2], missing: 0 }],
    classes: [{ map: "liver", value: 1, name: "liver", present: 3, absent: 1, selected: 3 }],
    outliers: { total: 2, items: [{ case: "a2", kind: "spacing", score: 9 }, { case: "b3", kind: "absent class", score: 1 }] },
  },
});
const source = new Embedded(data());
const wish = (search = "", brushes = {}) => ({ search, brushes });
const ids = async (asked, page = {}) => (await source.rows(asked, { first: 0, limit: 9, ...page })).items.map(({ id }) => id);

test("without a wish it says what Python said", async () => {
  assert.deepEqual(await source.overview(wish()), data().qc);
});

test("ranges and text narrow together; what lacks a number is in no range", async () => {
  const told = await source.overview(wish("A", { spacing_z: { low: null, high: 5 } }));
  assert.equal(told.selected, 2);
  assert.deepEqual(told.measures.map(({ selected }) => selected), [[1, 1], [1, 1, 0]]);
  assert.equal(told.classes[0].selected, 2);
  assert.deepEqual(told.outliers, { total: 1, items: [{ case: "a2", kind: "spacing", score: 9 }] });
  assert.deepEqual(await ids(wish("", { spacing_z: { low: null, high: null } })), ["a1", "a2", "b10"]);
  assert.deepEqual(await ids(wish("gantry")), ["a2", "b3"]);
  assert.deepEqual(await ids(wish("", { nothing: { low: 0, high: 1 } })), []);
});

test("rows are sorted by any number, missing ones last both ways", async () => {
  assert.deepEqual(await ids(wish(), { sort: "spacing_z" }), ["a1", "b10", "a2", "b3"]);
  assert.deepEqual(await ids(wish(), { sort: "-spacing_z" }), ["a2", "b10", "a1", "b3"]);
  assert.deepEqual(await ids(wish(), { sort: "-findings" }), ["a2", "b3", "a1", "b10"]);
  assert.deepEqual(await ids(wish(), { sort: "bytes", first: 1, limit: 2 }), ["b3", "a2"]);
  assert.deepEqual(await ids(wish(), { sort: "-id" }), ["b10", "b3", "a2", "a1"]);
});

test("a row says what the table shows, and the numbers that were asked for", async () => {
  const { items, total } = await source.rows(wish(), { first: 2, limit: 1, measures: ["spacing_z", "ml.liver.1"] });
  assert.equal(total, 4);
  assert.deepEqual(items, [{
    id: "b3", size: [null, null, null], spacing: [null, null, null], bytes: 2, channels: [], labels: ["liver"],
    findings: ["W_GANTRY"], outliers: ["absent class"], values: { spacing_z: null, "ml.liver.1": 30 },
  }]);
});

test("one case has all its numbers and reasons; pictures are of those that have one", async () => {
  assert.deepEqual(await source.one("b3"), {
    values: { spacing_z: null, "ml.liver.1": 30 }, outliers: [{ case: "b3", kind: "absent class", score: 1 }],
  });
  const shown = await source.pictured(wish(), { first: 0, limit: 9 });
  assert.deepEqual([shown.total, shown.items[0].id, source.picture("b3")], [1, "b3", "data:image/png;base64,AA=="]);
});
