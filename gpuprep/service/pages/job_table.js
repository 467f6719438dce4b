// The two lists of jobs. On a narrow screen each row becomes a block; roles keep it a table for those who listen.
import { html } from "./vendor/preact.js";
import { Confirm } from "./confirm.js";
import { send } from "./fetching.js";
import { count } from "./numbers.js";
import { inWords, Progress, State } from "./progress.js";
import { actionsOf } from "./states.js";
import { duration, When } from "./times.js";

const url = (job) => `/v1/jobs/${encodeURIComponent(job.id)}`;

export function Table({ name, columns, children }) {
  return html`<table class="stack" role="table" aria-label=${name}>
    <thead role="rowgroup"><tr role="row">${columns.map((column) => html`
      <th scope="col" role="columnheader">${column}</th>`)}</tr></thead>
    <tbody role="rowgroup">${children}</tbody>
  </table>`;
}

export function Cell({ name, isLong = false, children }) {
  return html`<td role="cell" data-name=${name} class=${isLong ? "long" : ""}><div>${children}</div></td>`;
}

function Name({ job }) {
  return html`<a href=${`/jobs/${encodeURIComponent(job.id)}`}>${job.output}</a>`;
}

export function Queue({ jobs, about, onChange, isFiltered }) {
  if (!jobs.length) return html`<p>${isFiltered ? "No such job is at work or waits." : "Nothing is at work, and nothing waits."}</p>`;
  return html`<${Table} name="Jobs at work and in the queue"
      columns=${["Place", "Cohort", "State", "Owner", "Priority", "Time", "Progress", "Change"]}>
    ${jobs.map((job) => html`<tr role="row" key=${job.id}>
      <${Cell} name="Place">${job.queue ? `${job.queue.position}.` : ""}<//>
      <${Cell} name="Cohort" isLong><${Name} job=${job} /><//>
      <${Cell} name="State"><${State} state=${job.state} /><//>
      <${Cell} name="Owner">${job.owner}<//>
      <${Cell} name="Priority"><${Priority} job=${job} about=${about} onChange=${onChange} /><//>
      <${Cell} name="Time"><${Times} job=${job} /><//>
      <${Cell} name="Progress">${job.progress ? html`<${Progress} job=${job} />`
        : html`<span class="quiet">${job.cases ? `${count(job.cases)} cases` : ""}</span>`}<//>
      <${Cell} name="Change"><${Cancel} job=${job} about=${about} onChange=${onChange} /><//>
    </tr>`)}<//>`;
}

/** Since when it waits or works, and when it will begin. */
function Times({ job }) {
  if (job.state !== "queued") return html`began <${When} at=${job.started} />`;
  const seconds = job.queue?.seconds;
  const begins = typeof seconds !== "number" ? "" : seconds < 1 ? "begins next" : `begins in about ${duration(seconds)}`;
  return html`submitted <${When} at=${job.created} />${begins && html`<br /><span class="quiet">${begins}</span>`}`;
}

export function Priority({ job, about, onChange }) {
  if (!actionsOf(job, about).priority) return String(job.priority);
  const change = async (event) => {
    const { target } = event;
    try {
      await send("PATCH", url(job), { priority: Number(target.value) });
    } catch {
      target.value = job.priority; // it began meanwhile; the list says so
    }
    onChange();
  };
  return html`<select aria-label=${`Priority of ${job.output}`} value=${String(job.priority)} onChange=${change}>
    ${Array.from({ length: 10 }, (_, k) => 9 - k).map((k) => html`
      <option value=${k}>${k}${k === 9 ? " (first)" : k === 0 ? " (last)" : ""}</option>`)}
  </select>`;
}

export function Cancel({ job, about, onChange }) {
  if (!actionsOf(job, about).cancel) return null;
  const isQueued = job.state === "queued";
  const question = isQueued ? "It leaves the queue." : "It ends once the cases in hand are done; what is stored stays.";
  const act = async () => onChange(await send("POST", `${url(job)}/cancel`));
  return html`<${Confirm} label="Cancel" name=${`Cancel ${job.output}`} question=${question} yes="Cancel the job"
    no="No, keep it" act=${act} />`;
}

export function Ended({ jobs, isFiltered }) {
  if (!jobs.length) return html`<p>${isFiltered ? "No such job is over." : "No job is over."}</p>`;
  return html`<${Table} name="Jobs that are over" columns=${["Cohort", "State", "Owner", "Ended", "Took", "Cases", "Reason"]}>
    ${jobs.map((job) => html`<tr role="row" key=${job.id}>
      <${Cell} name="Cohort" isLong><${Name} job=${job} /><//>
      <${Cell} name="State"><${State} state=${job.state} /><//>
      <${Cell} name="Owner">${job.owner}<//>
      <${Cell} name="Ended"><${When} at=${job.ended} /><//>
      <${Cell} name="Took">${Boolean(job.started && job.ended) && html`<span class="whole">${duration(job.ended - job.started)}</span>`}<//>
      <${Cell} name="Cases">${job.progress ? inWords(job.progress) : count(job.cases)}<//>
      <${Cell} name="Reason" isLong>${job.reason}<//>
    </tr>`)}<//>`;
}
