// The last job of a cohort, and how far it is while it is at work.
import { html, useEffect, useRef } from "./vendor/preact.js";
import { useFeed } from "./events.js";
import { getJson } from "./fetching.js";
import { usePolled } from "./polled.js";
import { Progress, Spoken, State, inWords } from "./progress.js";
import { OPEN, isOver } from "./states.js";
import { When } from "./times.js";

const RENEWAL = 10_000; // ms between two looks at the whole cohort while cases come in

const ends = (event) => isOver(event.name.replace(/^job\./, ""));

/**
 * {job, isKnown}: the newest job of a cohort, if it has any; `onNews` is called when the cohort has changed.
 * hasJobs: whether the service has any jobs at all (`gpuprep view` has none); undefined while that is not known.
 */
export function useLastJob(cohort, hasJobs, onNews) {
  const url = `/v1/jobs?cohort=${encodeURIComponent(cohort)}&limit=1`;
  const { value, again } = usePolled(() => (hasJobs ? getJson(url) : Promise.resolve({ items: [] })), [cohort, hasJobs]);
  const job = value?.items[0];
  const isOpen = job !== undefined && OPEN.includes(job.state);
  const told = useFeed(isOpen ? `/v1/jobs/${job.id}/events?brief=true` : "", { start: 0, fold: (n, events) => n + events.length, until: ends });
  const states = useFeed(hasJobs ? "/v1/events?after=end" : "", { start: 0, fold: (n, events) => n + events.filter((each) => each.cohort === cohort).length });
  const renewed = useRef(0);
  useEffect(() => { if (told.value || states.value) again(); }, [told.value, states.value]);
  useEffect(() => {
    if (!told.value || Date.now() - renewed.current < RENEWAL) return;
    renewed.current = Date.now();
    onNews();
  }, [told.value]);
  const before = useRef(job?.state);
  useEffect(() => {
    if (before.current && OPEN.includes(before.current) && !isOpen) onNews();
    before.current = job?.state;
  }, [job?.state]);
  return { job, isKnown: hasJobs !== undefined && value !== undefined };
}

/** What a cohort's page shows of its last job: one line where it is over, the progress where it is not. */
export function Running({ job }) {
  if (!job) return null;
  const name = html`<a href=${`/jobs/${job.id}`}>${OPEN.includes(job.state) ? "Job" : "Last job"}</a> <${State} state=${job.state} />`;
  if (!OPEN.includes(job.state)) return html`<p class="job-line">${name} <span class="quiet"><${When} at=${job.ended} /></span></p>`;
  return html`<section class="card" aria-label="Progress">
    <p class="job-line">${name}${job.queue && html` <span>place ${job.queue.position} in the queue</span>`}</p>
    <${Progress} job=${job} />
    <${Spoken} text=${job.progress ? inWords(job.progress) : ""} />
  </section>`;
}
