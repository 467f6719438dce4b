// How far a job is: a bar, the counts, the pace and the time that is left.
import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { bytes, count, counted } from "./numbers.js";
import { STATES, WORKING } from "./states.js";
import { duration } from "./times.js";

export function State({ state }) {
  const { text, tone } = STATES[state] ?? { text: state, tone: "quiet" };
  return html`<span class=${`badge ${tone}`}>${text}</span>`;
}

/** The parts of a bar, each from 0 to 1 of all cases; of the pass before the cases where that is at work. */
export function parts(progress) {
  const { total, done, skipped, failed, measured, to_measure: toMeasure } = progress;
  const isMeasuring = toMeasure > 0 && measured < toMeasure && !done && !failed;
  if (isMeasuring) return { isMeasuring, good: measured / toMeasure, bad: 0, ended: measured, of: toMeasure };
  const ended = done + skipped + failed;
  const share = (number) => (total ? number / total : 0);
  return { isMeasuring, good: share(done + skipped), bad: share(failed), ended, of: total };
}

export function Bar({ progress, name }) {
  const { good, bad, ended, of } = parts(progress);
  return html`<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" role="progressbar"
    aria-label=${name} aria-valuemin="0" aria-valuemax=${of} aria-valuenow=${ended}>
    <rect class="rest" width="100" height="1" />
    <rect class="good" width=${100 * good} height="1" />
    <rect class="bad" x=${100 * good} width=${100 * bad} height="1" />
  </svg>`;
}

/** The counts in a sentence. */
export function inWords(progress) {
  const { isMeasuring, ended, of } = parts(progress);
  if (isMeasuring) return `${count(ended)} of ${counted(of, "case")} measured`;
  const { failed, skipped } = progress;
  return [
    `${count(ended)} of ${counted(of, "case")}`,
    skipped && `${count(skipped)} there before`,
    failed && `${count(failed)} failed`,
  ].filter(Boolean).join(", ");
}

/** The pace and what is left of a job that is at work. */
export function pace(job) {
  const { progress } = job;
  if (!progress || !WORKING.includes(job.state)) return "";
  if (progress.waiting) return `waits for ${progress.waiting}`;
  const perSecond = progress.cases_per_second;
  const speed = perSecond >= 1 ? `${perSecond.toFixed(1)} cases/s` : perSecond > 0 ? `${(60 * perSecond).toFixed(1)} cases/min` : "";
  const left = progress.seconds_left === null ? "" : `${duration(Math.ceil(progress.seconds_left))} left`;
  return [speed, left].filter(Boolean).join(", ");
}

export function Progress({ job }) {
  const { progress } = job;
  if (!progress) return null;
  const moved = progress.bytes_in || progress.bytes_out;
  return html`<div class="progress">
    <${Bar} progress=${progress} name=${`Progress of ${job.output}`} />
    <div>${inWords(progress)}</div>
    <div class="quiet">${[pace(job), moved && `${bytes(progress.bytes_in)} read, ${bytes(progress.bytes_out)} written`]
      .filter(Boolean).join("; ")}</div>
  </div>`;
}

/** A text for those who listen: said when it changes, but at most every `every` milliseconds; `now` says it at once. */
export function Spoken({ text, now = "", every = 15_000 }) {
  const [said, setSaid] = useState("");
  const wanted = useRef(text);
  wanted.current = text;
  useEffect(() => {
    const timer = setInterval(() => setSaid(wanted.current), every);
    return () => clearInterval(timer);
  }, [every]);
  useEffect(() => { if (now) setSaid(`${now}. ${wanted.current}`); }, [now]);
  return html`<p class="unseen" role="status" aria-live="polite">${said}</p>`;
}
