// One job as it goes on: how far it is, what failed and why, where the time went, and what may be done to it.
import { html, useEffect, useState } from "./vendor/preact.js";
import { configText } from "./config_text.js";
import { Confirm } from "./confirm.js";
import { useFeed } from "./events.js";
import { getJson, send } from "./fetching.js";
import { Facts, Happened, Stages } from "./job_parts.js";
import { foldJob, START } from "./job_events.js";
import { JobFailures } from "./job_failures.js";
import { Cancel } from "./job_table.js";
import { counted } from "./numbers.js";
import { usePolled } from "./polled.js";
import { inWords, pace, Progress, Spoken, State } from "./progress.js";
import { Retry } from "./retry.js";
import { Failure, Loading, useLoaded } from "./shell.js";
import { actionsOf, isOver, STATES } from "./states.js";
import { duration } from "./times.js";

const POLL_MS = 1000;

export function Page({ job: id }) {
  const url = `/v1/jobs/${encodeURIComponent(id)}`;
  const [round, setRound] = useState(0);
  const [every, setEvery] = useState(0);
  const about = useLoaded(() => getJson("/v1/about"), []);
  const asked = usePolled(() => getJson(url), [url], every);
  const job = asked.value;
  const feed = useFeed(`${url}/events?brief=true`, {
    start: START, fold: foldJob, again: round, until: (event) => isOver(event.name.replace("job.", "")),
  });
  const state = job?.state ?? "";
  useEffect(() => setEvery(state && !isOver(state) ? POLL_MS : 0), [state]);
  const last = feed.value.last.at(-1)?.id;
  useEffect(() => { if (last) asked.again(); }, [last, feed.state]);
  useEffect(() => {
    document.title = `Job ${id} · gpuprep`;
    if (!job) return;
    const share = job.progress?.total ? `${Math.floor(100 * (1 - job.progress.remaining / job.progress.total))} % ` : "";
    document.title = `${isOver(state) ? "" : share}${job.output}: ${STATES[state]?.text ?? state} · gpuprep`;
  });
  if (!job) return html`<h1>Job</h1>
    ${asked.problem ? html`<${Failure} problem=${asked.problem} />` : html`<${Loading} what="the job" />`}`;
  const changed = () => { setRound(round + 1); setEvery(POLL_MS); asked.again(); };
  return html`<h1>${job.output} <${State} state=${state} /></h1>
    ${asked.problem && html`<${Failure} problem=${asked.problem} />`}
    <${Spoken} text=${job.progress ? [inWords(job.progress), pace(job)].join(", ") : ""} now=${STATES[state]?.text} />
    ${feed.state === "waiting" && !isOver(state) && feed.value.told > 0 && html`
      <p class="quiet"><span class="dot waiting" aria-hidden="true"></span>connection lost, trying again</p>`}
    <${Standing} job=${job} />
    <${Actions} job=${job} about=${about.value} onChange=${changed} />
    <${JobFailures} job=${job} failures=${feed.value.failures} about=${about.value} />
    <div class="columns">
      <${Facts} job=${job} about=${about.value} onChange=${changed} />
      <${Stages} stages=${job.stages} workers=${job.workers} />
    </div>
    <${Happened} events=${feed.value.last} cohort=${job.output} />
    <section aria-labelledby="config-title"><h2 id="config-title">Config</h2>
      ${job.profile && html`<p>Of the profile ${job.profile}${" "}<span class="quiet">(what its operator keeps to himself is left out)</span></p>`}
      <pre tabindex="0" aria-labelledby="config-title"><code>${configText(job.config)}</code></pre>
    </section>`;
}

function Standing({ job }) {
  const { queue } = job;
  if (queue) {
    const begins = typeof queue.seconds === "number" ? `, begins in about ${duration(queue.seconds)}` : "";
    return html`<div class="card"><p>It is number ${queue.position} in the queue${begins}.</p></div>`;
  }
  return html`<div class="card">
    ${job.progress ? html`<${Progress} job=${job} />`
      : html`<p>${untold(job)}</p>`}
    ${job.reason && isOver(job.state) && job.state !== "succeeded_with_failures" && html`<p>${job.reason}</p>`}
  </div>`;
}

/** Why nothing is known of a job's progress. */
function untold(job) {
  if (!isOver(job.state)) return `${counted(job.cases, "case")}; the run has not told yet how far it is.`;
  if (!job.started) return "It ended before it began.";
  return "What it said of its progress is gone: a later run of this cohort took its place, or the cohort is gone.";
}

function Actions({ job, about, onChange }) {
  const may = actionsOf(job, about);
  if (!may.cancel && !may.resume && !may.retry) return null;
  const resume = async () => onChange(await send("POST", `/v1/jobs/${encodeURIComponent(job.id)}/resume`));
  return html`<div class="choices">
    <${Cancel} job=${job} about=${about} onChange=${onChange} />
    ${may.resume && html`<${Confirm} label="Resume" question="It goes on where it stopped; cases that are stored are not made again."
      yes="Resume the job" no="No" act=${resume} />`}
    ${may.retry && html`<${Retry} job=${job.id} />`}
  </div>`;
}
