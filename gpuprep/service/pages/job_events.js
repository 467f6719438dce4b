// What the events of a job say, put together: what failed, by reason, and what happened last.
import { bytes, counted } from "./numbers.js";
import { duration } from "./times.js";

const LAST = 40;
const EXAMPLES = 20;
const UNTOLD = new Set(["case.started", "case.skipped", "case.measured"]); // too many, and the counts tell them

export const START = { failures: new Map(), last: [], told: 0 };

/** The value once a batch of events has happened; a run that begins anew begins with no failures. */
export function foldJob(before, events) {
  let failures = before.failures;
  const last = [];
  for (const event of events) {
    if (event.name === "run.started") failures = new Map();
    if (event.name === "case.failed") {
      if (failures === before.failures) failures = new Map(failures);
      const reason = event.code || event.kind;
      const known = failures.get(reason) ?? { reason, kind: event.kind, count: 0, cases: [] };
      const cases = known.cases.length < EXAMPLES ? [...known.cases, event.case] : known.cases;
      failures.set(reason, { ...known, count: known.count + 1, cases });
    }
    if (!UNTOLD.has(event.name)) last.push(event);
  }
  return { failures, last: [...before.last, ...last].slice(-LAST), told: before.told + events.length };
}

/** Failures, the most frequent reason first. */
export const byCount = (failures) =>
  [...failures.values()].sort((a, b) => b.count - a.count || a.reason.localeCompare(b.reason));

/** An event in plain words. */
export function said(event) {
  const words = WORDS[event.name];
  return words ? words(event) : event.name;
}

const WORDS = {
  "job.queued": () => "The job waits for its turn.",
  "job.starting": () => "The job is being started.",
  "job.running": () => "The job is at work.",
  "job.cancelling": () => "The job is being cancelled.",
  "job.succeeded": () => "The job is done.",
  "job.succeeded_with_failures": (event) => `The job is done; ${event.reason || "some cases failed"}.`,
  "job.paused": (event) => `The job paused${because(event)}.`,
  "job.failed": (event) => `The job failed${because(event)}.`,
  "job.cancelled": (event) => `The job was cancelled${because(event)}.`,
  "run.started": (event) => `The run begins: ${counted(event.cases, "case")}, ${counted(event.workers, "worker")}, ${event.backend}.`,
  "run.measuring": (event) => `The pass over the cohort begins: ${counted(event.cases, "case")}, ${event.known} known.`,
  "run.waiting": (event) => (event.waits ? "All cases wait for a worker." : "There is a worker again."),
  "run.notice": () => "The run has a remark; the log of the run says more.",
  "run.finished": (event) => `The run is over after ${duration(event.seconds)}: ${event.done} done, ${event.skipped} there before, `
    + `${event.failed} failed, ${event.remaining} left.`,
  "case.done": (event) => `done in ${duration(event.seconds)}, ${bytes(event.bytes_in)} read, ${bytes(event.bytes_out)} written`
    + (event.findings?.length ? `; ${event.findings.join(", ")}` : ""),
  "case.failed": (event) => `failed: ${event.code || event.kind}`,
  "case.taken": () => "its worker was taken away; it begins again",
  "case.changed": (event) => `is made anew: its ${event.cause} changed`,
};

const because = (event) => (event.reason ? `: ${event.reason}` : "");
