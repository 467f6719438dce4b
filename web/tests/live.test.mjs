// Pure functions of the live pages: times, events, history, filters. Run: node --test web/tests/*.test.mjs
import assert from "node:assert/strict";
import { test } from "node:test";

const pages = new URL("../../gpuprep/service/pages/", import.meta.url);
const load = (name) => import(new URL(name, pages));
const { bytes, counted } = await load("numbers.js");
const { absolute, ago, duration } = await load("times.js");
const { EventParser } = await load("events.js");
const { byCount, foldJob, said, START } = await load("job_events.js");
const { ceiling, joined, nearest, pathOf, smoothed } = await load("history.js");
const { configText } = await load("config_text.js");
const { parts, inWords, pace } = await load("progress.js");
const { actionsOf } = await load("states.js");

test("durations have at most two units", () => {
  const said = [0, 0.047, 7.46, 59.6, 60, 200, 3600, 7500, 90_000, NaN].map(duration);
  assert.deepEqual(said, ["0 s", "47 ms", "7.5 s", "1 min", "1 min", "3 min 20 s", "1 h", "2 h 5 min", "1 d 1 h", ""]);
});

test("no duration is said in more than its own words", () => {
  for (let seconds = 0; seconds < 200_000; seconds = seconds * 1.07 + 0.01) {
    assert.match(duration(seconds), /^\d+(\.\d)?( \w+)( \d+ \w+)?$/);
    assert.doesNotMatch(duration(seconds), /\b60 (s|min)\b|\b24 h\b|1000 ms/);
  }
});

test("times are told from now, both ways", () => {
  assert.deepEqual([101, 107.4, 193, 310, 8000, 86_400 * 20].map((now) => ago(100, now)), ["now", "7 s ago", "1 min 33 s ago", "3 min ago", "2 h 11 min ago", "19 d ago"]);
  assert.equal(ago(100, 40), "in 1 min");
  assert.match(absolute(1_764_000_000), /2025/);
});

test("sizes have decimal units, counts their plural", () => {
  assert.deepEqual([bytes(0), bytes(999), bytes(1_300_000), bytes(5e15)], ["0 B", "999 B", "1.3 MB", "5000.0 TB"]);
  assert.deepEqual([counted(1, "case"), counted(2000, "case")], ["1 case", "2,000 cases"]);
});

const stream = (events) => events.map(([id, data]) => `id: ${id}\nevent: ${data.event}\ndata: ${JSON.stringify(data)}\n\n`).join("");
const HOSTILE = [[7, { event: "case.done", case: "a\u2028b\u0085<img>" }], [19, { event: "case.failed", case: "data: x", code: "E_X" }]];

test("a stream gives the same events however it is cut", () => {
  const text = `retry: 2000\n\n: still here\n\n${stream(HOSTILE)}`;
  for (let cut = 0; cut <= text.length; cut += 1) {
    const parser = new EventParser();
    const found = [...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))];
    assert.deepEqual(found.map(({ id, name, case: of }) => [id, name, of]), HOSTILE.map(([id, data]) => [id, data.event, data.case]));
  }
});

test("an event that was cut off is asked for again", () => {
  const text = stream(HOSTILE);
  for (let cut = 0; cut < text.length; cut += 1) {
    const parser = new EventParser();
    const seen = parser.push(text.slice(0, cut));
    parser.reset();
    const rest = HOSTILE.filter(([id]) => id > (parser.lastId ?? 0));
    assert.equal([...seen, ...parser.push(stream(rest))].length, 2, `cut at ${cut}`);
  }
});

test("an id without an event is where to go on", () => {
  const parser = new EventParser();
  assert.deepEqual(parser.push("retry: 2000\nid: 512\n\n"), []);
  assert.equal(parser.lastId, 512);
});

const failed = (id, code) => ({ id, name: "case.failed", case: `c${id}`, kind: "input", code });

test("failures are counted by reason, and a new run begins with none", () => {
  const first = foldJob(START, [failed(1, "E_A"), failed(2, "E_B"), failed(3, "E_B")]);
  assert.deepEqual(byCount(first.failures).map(({ reason, count }) => [reason, count]), [["E_B", 2], ["E_A", 1]]);
  const many = foldJob(first, Array.from({ length: 5000 }, (_, k) => failed(k + 4, "E_B")));
  assert.equal(many.failures.get("E_B").count, 5002);
  assert.ok(many.failures.get("E_B").cases.length <= 20 && many.last.length <= 40);
  assert.equal(first.failures.get("E_B").count, 2, "what was is left as it was");
  const again = foldJob(many, [{ id: 9999, name: "run.started", cases: 1, workers: 1, backend: "numpy" }]);
  assert.equal(again.failures.size, 0);
});

test("every event has words, known or not", () => {
  assert.equal(said({ name: "case.done", seconds: 0.05, bytes_in: 1000, bytes_out: 2e6, findings: ["axes"] }), "done in 50 ms, 1.0 kB read, 2.0 MB written; axes");
  assert.equal(said({ name: "case.invented" }), "case.invented");
  assert.equal(said({ name: "job.failed", reason: "no root" }), "The job failed: no root.");
});

const piece = (time, more = {}) => ({
  every: 5, time, busy: time.map(() => 0.5), memory: time.map(() => 1), disk: time.map(() => null), workers: time.map(() => 1),
  waiting: time.map(() => 0), stages: {}, gpus: [], ...more,
});

test("pieces of history join column by column, and an hour is kept", () => {
  const both = joined(piece([0, 5]), piece([10, 3604], { stages: { read: [1, 2] }, gpus: [{ index: 0, busy: [0.1, 0.2], memory: [3, 4] }] }));
  assert.deepEqual(both.time, [5, 10, 3604]);
  assert.deepEqual(both.stages.read, [0, 1, 2]);
  assert.deepEqual(both.gpus[0].busy, [null, 0.1, 0.2]);
  for (const column of [both.busy, both.memory, both.disk, both.workers, both.waiting]) assert.equal(column.length, 3);
  assert.deepEqual(joined(both, piece([])).time, both.time);
});

test("a line is broken where nothing is known, and by a gap", () => {
  assert.equal(pathOf([0, 5, 10, 15, 100], [0, 1, null, 1, 1], [0, 100], 1, 17.5).replace(/[\d. ]/g, ""), "MLMM");
});

test("means, axes and the nearest time", () => {
  assert.deepEqual(smoothed([0, 3, 6], 3), [0, 1.5, 3]);
  assert.deepEqual([0, 0.3, 1, 3, 7, 12].map(ceiling), [1, 0.5, 1, 5, 10, 20]);
  assert.deepEqual([nearest([0, 5, 10], 7), nearest([], 7)], [1, -1]);
});

test("a config is the same YAML", () => {
  const tree = { image: { resample: { spacing: [1, 1, 1.5] }, intensity: [{ clip: { low: -1000, high: 400 } }, { rescale: { to: [0, 1] } }] }, store: { codec: "on", "a b": null } };
  assert.equal(configText(tree), [
    "image:", "  resample:", "    spacing: [1, 1, 1.5]", "  intensity:", "    - clip:", "        low: -1000", "        high: 400", "    - rescale:",
    "        to: [0, 1]", "store:", '  codec: "on"', '  "a b": null',
  ].join("\n"));
});

const progress = { total: 10, done: 4, skipped: 1, failed: 2, remaining: 3, measured: 0, to_measure: 0, cases_per_second: 0.5, seconds_left: 5.2, waiting: "" };

test("progress in parts and words", () => {
  assert.deepEqual(parts(progress), { isMeasuring: false, good: 0.5, bad: 0.2, ended: 7, of: 10 });
  assert.equal(inWords(progress), "7 of 10 cases, 1 there before, 2 failed");
  assert.equal(inWords({ ...progress, done: 0, failed: 0, skipped: 0, measured: 3, to_measure: 9 }), "3 of 9 cases measured");
  assert.equal(pace({ state: "running", progress }), "30.0 cases/min, 6 s left");
  assert.equal(pace({ state: "paused", progress }), "");
});

test("only what the service would take is offered", () => {
  const job = (state) => ({ state, owner: "anna", progress });
  const offered = (state, about) => Object.entries(actionsOf(job(state), about)).filter(([, may]) => may).map(([name]) => name);
  const anna = { who: "anna", scope: "submit" };
  assert.deepEqual(offered("queued", anna), ["cancel", "priority"]);
  assert.deepEqual(offered("running", anna), ["cancel"]);
  assert.deepEqual(offered("cancelling", anna), []);
  assert.deepEqual(offered("succeeded_with_failures", { who: "root", scope: "admin" }), ["retry"]);
  assert.deepEqual(offered("cancelled", anna), ["resume", "retry"]);
  assert.deepEqual(actionsOf({ state: "succeeded", owner: "anna", progress: { ...progress, failed: 0 } }, anna).retry, false);
  for (const nobody of [undefined, { who: "bob", scope: "submit" }, { who: "anna", scope: "read" }]) assert.deepEqual(offered("queued", nobody), []);
});
