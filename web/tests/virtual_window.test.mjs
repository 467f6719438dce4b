// The part of a long table that is in the document.
import assert from "node:assert/strict";
import { test } from "node:test";
import { blocksOf, scrollTo, windowOf } from "../../gpuprep/service/pages/virtual_window.js";

const VIEW = 500, ROW = 33, MOST = 15_000_000;

test("a short table is there as a whole", () => {
  assert.deepEqual(windowOf(0, VIEW, 5), { first: 0, last: 5, top: 0, height: 5 * ROW });
  assert.deepEqual(windowOf(0, VIEW, 0), { first: 0, last: 0, top: 0, height: 0 });
});

for (const rows of [100, 100_000, 5_000_000]) {
  test(`of ${rows} rows few are there, the ones in sight among them, wherever it is scrolled`, () => {
    const height = Math.min(rows * ROW, MOST);
    const places = [0, 1, 32, 33, height / 3, height / 2, height - VIEW - 1, height - VIEW, height + 99, -5];
    for (const place of places) {
      const { first, last, top, height: whole } = windowOf(place, VIEW, rows);
      assert.equal(whole, height);
      assert.ok(first >= 0 && last <= rows && last - first <= 34, `${first} to ${last}`);
      const scrolled = Math.min(Math.max(place, 0), height - VIEW);
      assert.ok(top <= scrolled + 1e-6, "drawn above the sight's upper end");
      assert.ok(top + (last - first) * ROW >= scrolled + VIEW - 1e-6, "and below its lower end");
      assert.ok(top + (last - first) * ROW <= height + 1e-6 || rows * ROW > MOST);
    }
    assert.equal(windowOf(height, VIEW, rows).last, rows);
  });

  test(`each of ${rows} rows can be scrolled to`, () => {
    const near = rows * ROW > MOST ? ROW : 1e-3; // scaled, the first rows snap into place
    for (const row of [0, 1, 17, Math.floor(rows / 2), rows - 1]) {
      for (const from of [0, Math.min(rows * ROW, MOST) - VIEW]) {
        const scroll = scrollTo(row, from, VIEW, rows);
        const { first, top } = windowOf(scroll, VIEW, rows);
        const place = top + (row - first) * ROW;
        assert.ok(place >= scroll - near && place + ROW <= scroll + VIEW + near, `row ${row} at ${place} of ${scroll}`);
      }
    }
  });
}

test("a row in sight is not scrolled to", () => assert.equal(scrollTo(20, 400, VIEW, 1000), 400));

test("blocks are those that a window touches", () => {
  assert.deepEqual(blocksOf({ first: 95, last: 205 }, 100), [0, 1, 2]);
  assert.deepEqual(blocksOf({ first: 100, last: 200 }, 100), [1]);
  assert.deepEqual(blocksOf({ first: 0, last: 0 }, 100), []);
});
