// The reader of events over broken links, refusals and hidden pages, with a stand-in for the browser's fetch.
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

const { follow } = await import(new URL("../../gpuprep/service/pages/events.js", import.meta.url));

const encoder = new TextEncoder();
const said = (id, name) => `id: ${id}\nevent: ${name}\ndata: {"event": "${name}"}\n\n`;
const settle = async () => { for (let k = 0; k < 30; k += 1) await new Promise((done) => setImmediate(done)); };
const pass = async (milliseconds) => { await settle(); mock.timers.tick(milliseconds); await settle(); };

let asked;
let answers;
let listeners;
const watched = (until) => {
  const found = { states: [], events: [], batches: 0 };
  found.stop = follow("/v1/x", {
    onEvents: (events) => { found.batches += 1; found.events.push(...events.map(({ id }) => id)); },
    onState: (state) => found.states.push(state),
    until,
  });
  return found;
};
const hide = (hidden) => { document.hidden = hidden; [...listeners].forEach((listener) => listener()); };

/** A stream that gives texts, and then ends; or, when `holds`, stays open until it is cut. */
const stream = (...texts) => ({ ok: true, status: 200, texts, holds: false });
const open = (...texts) => ({ ...stream(...texts), holds: true });
const refusal = (status, headers = {}) => ({ ok: false, status, headers: new Headers(headers) });

beforeEach(() => {
  [asked, answers, listeners] = [[], [], new Set()];
  globalThis.document = {
    hidden: false,
    addEventListener: (_, listener) => listeners.add(listener),
    removeEventListener: (_, listener) => listeners.delete(listener),
  };
  globalThis.fetch = async (url, { headers, signal }) => {
    asked.push(headers["Last-Event-ID"] ?? "");
    const answer = answers.shift();
    if (!answer) throw new TypeError("no service");
    if (!answer.ok) return answer;
    const texts = [...answer.texts];
    const cut = new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("cut"))));
    const read = async () => {
      if (texts.length) return { done: false, value: encoder.encode(texts.shift()) };
      return answer.holds ? cut : { done: true };
    };
    return { ok: true, status: 200, body: { getReader: () => ({ read }) } };
  };
  mock.timers.enable({ apis: ["setTimeout"] });
});
afterEach(() => mock.timers.reset());

test("it goes on behind the last whole event, and ends where nothing more will come", async () => {
  answers = [stream(said(7, "case.done"), "id: 19\nevent: case."), stream(said(19, "case.done"), said(31, "job.succeeded"))];
  const found = watched((event) => event.name === "job.succeeded");
  await pass(1000);
  await pass(1000);
  assert.deepEqual(asked, ["", "7"]);
  assert.deepEqual(found.events, [7, 19, 31]);
  assert.deepEqual(found.states, ["live", "waiting", "live", "over"]);
});

test("events come in batches", async () => {
  answers = [open(...Array.from({ length: 500 }, (_, k) => said(k + 1, "case.done")))];
  const found = watched();
  for (let k = 0; k < 40; k += 1) await settle();
  assert.equal(found.batches, 0);
  await pass(300);
  assert.deepEqual([found.batches, found.events.length], [1, 500]);
  found.stop();
});

test("what is refused for good is not asked for again", async () => {
  answers = [refusal(401)];
  const found = watched();
  await pass(600_000);
  assert.deepEqual([asked.length, found.states], [1, ["refused"]]);
});

test("a service that is busy is asked when it says, one that is gone less and less often", async () => {
  answers = [refusal(503, { "Retry-After": "5" })];
  const found = watched();
  await pass(4900);
  assert.equal(asked.length, 1);
  await pass(200);
  assert.equal(asked.length, 2);
  for (let k = 0; k < 10; k += 1) await pass(30_000);
  assert.ok(asked.length > 8);
  assert.deepEqual(new Set(found.states), new Set(["waiting"]));
  found.stop();
});

test("a hidden page lets its stream go after a while, and goes on when it is seen", async () => {
  answers = [open(said(7, "case.done")), open(said(19, "case.done"))];
  const found = watched();
  await pass(300);
  hide(true);
  await pass(9_000);
  hide(false);
  await pass(2000);
  assert.equal(asked.length, 1, "a glance elsewhere costs nothing");
  hide(true);
  await pass(31_000);
  assert.equal(found.states.at(-1), "hidden");
  hide(false);
  await pass(300);
  assert.deepEqual([asked, found.events], [["", "7"], [7, 19]]);
  found.stop();
});

test("a stream that is silent for long is given up, a stop is at once", async () => {
  answers = [open(), open(said(7, "case.done"))];
  const found = watched();
  await pass(45_000);
  await pass(1000);
  assert.equal(asked.length, 2);
  found.stop();
  await pass(100_000);
  assert.deepEqual([asked.length, found.events], [2, []]);
  assert.equal(listeners.size, 0);
});
