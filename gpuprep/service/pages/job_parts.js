// Parts of the page of a job: what was asked for, where the time went, and what happened last.
import { html } from "./vendor/preact.js";
import { said } from "./job_events.js";
import { Priority } from "./job_table.js";
import { count, counted } from "./numbers.js";
import { duration, When } from "./times.js";

export function Facts({ job, about, onChange }) {
  const input = `${job.root}:${job.path}`;
  const chosen = [job.only && `${counted(job.only, "id or pattern", "ids or patterns")}`, job.limit && `at most ${counted(job.limit, "case")}`]
    .filter(Boolean).join(", ");
  const rows = [
    ["Cohort", html`<a href=${`/cohorts/${encodeURIComponent(job.output)}`}>${job.output}</a>`],
    ["Input", html`<span class="mono">${input}</span>`],
    ["Cases", [count(job.cases), chosen && `(${chosen})`].filter(Boolean).join(" ")],
    ["Submitted", html`<${When} at=${job.created} full />`],
    job.started && ["Began", html`<${When} at=${job.started} full />`],
    job.ended && ["Ended", html`<${When} at=${job.ended} full />`],
    job.started && job.ended && ["Took", duration(job.ended - job.started)],
    ["Owner", job.owner],
    ["Priority", html`<${Priority} job=${job} about=${about} onChange=${onChange} />`],
    ["Runs on", `${job.executor}, ${counted(job.workers, "worker")}`],
    job.overwrite && ["Stored cases", "are all made anew"],
    job.restarts && ["Begun again", counted(job.restarts, "time")],
    job.retry_of && ["Retry of", html`<a href=${`/jobs/${encodeURIComponent(job.retry_of)}`}>${job.retry_of}</a>`],
    ["Job", html`<span class="mono">${job.id}</span>`],
  ].filter(Boolean);
  return html`<section aria-labelledby="facts-title"><h2 id="facts-title">What was asked for</h2>
    <dl class="facts">${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl></section>`;
}

export function Stages({ stages, title = "Where the time went" }) {
  const entries = Object.entries(stages ?? {});
  const total = entries.reduce((sum, [, seconds]) => sum + seconds, 0);
  if (!total) return null;
  return html`<section aria-labelledby="stages-title"><h2 id="stages-title">${title}</h2>
    <table class="shares"><caption class="quiet">Seconds of work by stage, over all workers</caption>
      <thead><tr><th scope="col">Stage</th><th scope="col" class="number">Time</th><th scope="col" class="number">Share</th>
        <td aria-hidden="true"></td></tr></thead>
      <tbody>${entries.map(([name, seconds]) => html`<tr key=${name}>
        <th scope="row">${name}</th><td class="number">${duration(seconds)}</td>
        <td class="number">${Math.round((100 * seconds) / total)} %</td>
        <td class="wide" aria-hidden="true"><svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none">
          <rect class="good" width=${(100 * seconds) / total} height="1" /></svg></td></tr>`)}</tbody>
    </table></section>`;
}

export function Happened({ events, cohort }) {
  if (!events.length) return null;
  const time = (event) => new Date(event.time).toLocaleTimeString(undefined, { hour12: false });
  return html`<section aria-labelledby="happened-title"><h2 id="happened-title">What happened last</h2>
    <ol class="happened" tabindex="0" aria-labelledby="happened-title">${[...events].reverse().map((event) => html`<li key=${event.id}>
      <time dateTime=${event.time} title=${new Date(event.time).toLocaleString()}>${time(event)}</time>${" "}
      <span><${Case} event=${event} cohort=${cohort} /> ${said(event)}</span></li>`)}</ol></section>`;
}

/** The case of an event, and the way to it where it is stored. */
function Case({ event, cohort }) {
  if (event.case === undefined) return null;
  if (event.name !== "case.done") return html`<span class="mono">${event.case}</span>`;
  const href = `/cohorts/${encodeURIComponent(cohort)}/cases/${encodeURIComponent(event.case)}`;
  return html`<a class="mono" href=${href}>${event.case}</a>`;
}
