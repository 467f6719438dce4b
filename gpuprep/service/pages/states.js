// The states of jobs in words, and what may be done to a job in each.

export const STATES = {
  queued: { text: "waits", tone: "quiet" },
  starting: { text: "starting", tone: "lit" },
  running: { text: "at work", tone: "lit" },
  cancelling: { text: "being cancelled", tone: "warn" },
  succeeded: { text: "done", tone: "good" },
  succeeded_with_failures: { text: "done, some failed", tone: "warn" },
  paused: { text: "paused", tone: "warn" },
  failed: { text: "failed", tone: "bad" },
  cancelled: { text: "cancelled", tone: "quiet" },
};
export const WORKING = ["starting", "running", "cancelling"];
export const OPEN = ["queued", ...WORKING];
export const ENDED = ["succeeded", "succeeded_with_failures", "paused", "failed", "cancelled"];
const STOPPED = ["paused", "failed", "cancelled"];

export const isOver = (state) => ENDED.includes(state);

/** Whether somebody (`/v1/about`) may change a job: its owner who may submit, or an admin. */
export const mayChange = (about, job) =>
  about?.scope === "admin" || (about?.scope === "submit" && about.who === job.owner);

/** What the service would take: {cancel, resume, retry, priority}. */
export function actionsOf(job, about) {
  const may = mayChange(about, job);
  return {
    cancel: may && OPEN.includes(job.state) && job.state !== "cancelling",
    resume: may && STOPPED.includes(job.state),
    retry: may && isOver(job.state) && (job.progress?.failed ?? 0) > 0, // without progress the cohort's failures are another run's
    priority: may && job.state === "queued",
  };
}
