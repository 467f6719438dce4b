// The first page: which cohorts there are, and what is being made now.
import { html, useEffect } from "./vendor/preact.js";
import { useFeed } from "./events.js";
import { getJson } from "./fetching.js";
import { cases } from "./numbers.js";
import { usePolled } from "./polled.js";
import { Progress, State } from "./progress.js";
import { Failure, Loading } from "./shell.js";
import { OPEN } from "./states.js";
import { When } from "./times.js";

const LOOK = 2000; // ms between two looks at jobs that are at work

export function Page() {
  document.title = "Cohorts · gpuprep";
  const cohorts = usePolled(() => getJson("/v1/cohorts"), []);
  const jobs = useJobs(cohorts.again);
  const last = lastOf(jobs);
  const open = jobs.filter((job) => OPEN.includes(job.state));
  const { value, problem, loading } = cohorts;
  return html`<h1>Cohorts</h1>
    ${open.length > 0 && html`<${AtWork} jobs=${open} />`}
    ${problem && html`<${Failure} problem=${problem} />`}
    ${loading && !value && html`<${Loading} what="cohorts" />`}
    ${value && !value.items.length && html`<p>There is no cohort yet. A job makes one:
      <code>gpuprep jobs submit ROOT: NAME</code>, or <a href="/jobs">see the jobs</a>.</p>`}
    ${value?.items.length > 0 && html`<ul class="cohorts">${value.items.map((each) => html`
      <${Cohort} key=${each.name} cohort=${each} job=${last.get(each.name)} />`)}</ul>`}`;
}

/** The newest jobs, looked at again when a state changes and, while any is at work, every few seconds. */
function useJobs(onNews) {
  const hasOpen = (value) => value?.items.some((job) => OPEN.includes(job.state));
  const first = usePolled(() => getJson("/v1/jobs?limit=200"), []);
  const open = hasOpen(first.value);
  const states = useFeed("/v1/events?after=end", { start: 0, fold: (n, events) => n + events.length });
  useEffect(() => {
    if (!states.value) return;
    first.again();
    onNews();
  }, [states.value]);
  useEffect(() => {
    const timer = open ? setInterval(() => document.hidden || first.again(), LOOK) : 0;
    return () => clearInterval(timer);
  }, [open]);
  return first.value?.items ?? [];
}

/** The newest job of each cohort; jobs come newest first. */
function lastOf(jobs) {
  const last = new Map();
  for (const job of jobs) if (!last.has(job.output)) last.set(job.output, job);
  return last;
}

function AtWork({ jobs }) {
  return html`<section aria-labelledby="at-work"><h2 id="at-work">At work</h2>
    ${jobs.map((job) => html`<div class="card" key=${job.id}>
      <p class="job-line"><a href=${`/jobs/${job.id}`}>${job.output}</a> <${State} state=${job.state} />
        ${job.queue && html` <span class="quiet">place ${job.queue.position} in the queue</span>`}</p>
      <${Progress} job=${job} /></div>`)}</section>`;
}

function Cohort({ cohort, job }) {
  return html`<li class="card"><h2><a href=${`/cohorts/${encodeURIComponent(cohort.name)}`}>${cohort.name}</a></h2>
    ${cohort.problem ? html`<${Failure} problem=${{ message: cohort.problem }} />` : html`<p>${cases(cohort.cases)}${cohort.channels.length > 0 && html` <span class="quiet">of ${cohort.channels.join(", ")}</span>`}</p>`}
    ${job && html`<p class="job-line"><${State} state=${job.state} />
      <span class="quiet"><${When} at=${job.ended || job.started || job.created} /></span></p>`}</li>`;
}
