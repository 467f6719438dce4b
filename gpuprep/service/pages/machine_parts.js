// Parts of the page of the machine: what is taken of what there is, the jobs at work, the warm slots.
import { html } from "./vendor/preact.js";
import { Cell, Table } from "./job_table.js";
import { bytes, counted } from "./numbers.js";
import { duration } from "./times.js";

export function Standing({ told }) {
  const { memory, disk, workers, planned, devices, gpus } = told;
  return html`<section class="meters" aria-label="What is taken now">
    <${Meter} name="Cores" share=${told.busy} text=${told.busy === null ? `${told.cores}` : `${Math.round(100 * told.busy)} % at work`}
      more=${`${counted(told.cores, "core")} for the service${told.load === null ? "" : `; load ${told.load.toFixed(1)}`}`} />
    <${Meter} name="Memory" isScarce share=${memory.used / memory.total} text=${`${bytes(memory.used)} of ${bytes(memory.total)}`}
      more=${`jobs at work are planned to take ${bytes(planned.taken)}`} />
    ${disk ? html`<${Meter} name="Disk" isScarce share=${1 - disk.free / disk.total} text=${`${bytes(disk.free)} free`} more=${`of ${bytes(disk.total)}, for cohorts`} />`
      : html`<${Meter} name="Disk" share=${null} text="not known" more="an object store, or a disk that does not answer" />`}
    <${Meter} name="Workers" share=${workers.taken / workers.capacity} text=${`${workers.taken} of ${workers.capacity}`} more="of all jobs at work here" />
    <${Meter} name="Jobs" share=${told.jobs_working / told.jobs_capacity} text=${`${told.jobs_working} of ${told.jobs_capacity} at work`}
      more=${told.jobs_waiting ? `${told.jobs_waiting} waiting, the first for ${duration(told.longest_wait)}` : "none waits"} />
    ${gpus.map((gpu) => html`<${Meter} key=${gpu.index} name=${`GPU ${gpu.index}`} share=${gpu.busy} text=${gpu.busy === null ? "" : `${Math.round(100 * gpu.busy)} % at work`}
      more=${`${gpu.name}${gpu.memory_used === null || !gpu.memory_total ? "" : `; ${bytes(gpu.memory_used)} of ${bytes(gpu.memory_total)}`}`} />`)}
    ${!gpus.length && html`<${Meter} name="GPUs" share=${null} text="none" more="no NVIDIA driver answers" />`}
    ${devices.capacity > 0 && html`<${Meter} name="CUDA devices" share=${devices.taken / devices.capacity} text=${`${devices.taken} of ${devices.capacity}`} more="shared out among jobs" />`}
  </section>`;
}

/** isScarce: whether little is left of it when the bar is full, as of a disk; cores are there to be busy. */
function Meter({ name, share, text, more, isScarce = false }) {
  const width = Math.min(100, Math.max(0, 100 * (share ?? 0)));
  return html`<div class="card meter"><h2>${name}</h2><p class="figure">${text}</p>
    ${share !== null && html`<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
      <rect class="rest" width="100" height="1" /><rect class=${isScarce && width > 90 ? "bad" : "good"} width=${width} height="1" /></svg>`}
    <p class="quiet">${more}</p></div>`;
}

export function AtWork({ jobs }) {
  return html`<section aria-labelledby="work-title"><h2 id="work-title">Jobs at work</h2>
    ${!jobs.length && html`<p>None. <a href="/jobs">All jobs</a></p>`}
    ${jobs.length > 0 && html`<${Table} name="Jobs at work" columns=${["Cohort", "Owner", "Workers", "For", "Stages"]}>
      ${jobs.map((job, k) => html`<tr role="row" key=${job.job ?? k}>
        <${Cell} name="Cohort" isLong>${job.job ? html`<a href=${`/jobs/${encodeURIComponent(job.job)}`}>${job.cohort}</a>` : html`<span class="quiet">of somebody else</span>`}<//>
        <${Cell} name="Owner">${job.owner}<//>
        <${Cell} name="Workers">${job.workers}<//>
        <${Cell} name="For">${duration(job.seconds)}<//>
        <${Cell} name="Stages" isLong>${inWords(job.stages)}<//>
      </tr>`)}<//>`}</section>`;
}

/** "read 3 s, store 12 s", the longest first. */
const inWords = (stages) => Object.entries(stages).sort((a, b) => b[1] - a[1])
  .map(([name, seconds]) => `${name} ${duration(seconds)}`).join(", ");

export function Slots({ slots }) {
  if (!slots.length) return null;
  return html`<section aria-labelledby="slots-title"><h2 id="slots-title">Warm slots for single volumes</h2>
    <${Table} name="Warm slots" columns=${["Profile", "Slots", "Busy", "Waiting"]}>
      ${slots.map((each) => html`<tr role="row" key=${each.profile}>
        <${Cell} name="Profile" isLong>${each.profile}<//><${Cell} name="Slots">${each.slots}<//>
        <${Cell} name="Busy">${each.busy}<//><${Cell} name="Waiting">${each.waiting}<//></tr>`)}<//></section>`;
}
