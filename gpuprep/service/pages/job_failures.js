// What failed in a job, by reason, as it comes; what to do about it as soon as the cohort's own list says so.
import { html, useEffect } from "./vendor/preact.js";
import { getJson } from "./fetching.js";
import { byCount } from "./job_events.js";
import { Cell, Table } from "./job_table.js";
import { count, counted } from "./numbers.js";
import { usePolled } from "./polled.js";
import { Retry } from "./retry.js";
import { actionsOf } from "./states.js";

export function JobFailures({ job, failures, about }) {
  const groups = byCount(failures);
  const isListed = Boolean(job.progress) && groups.length > 0; // else the list is of another run
  const url = `/v1/cohorts/${encodeURIComponent(job.output)}/failures`;
  const list = usePolled(() => (isListed ? getJson(url) : Promise.resolve({ items: [] })), [url, isListed]);
  const key = groups.map((group) => group.reason).join(" ");
  useEffect(() => { list.again(); }, [key, job.state]);
  if (!groups.length) return null;
  const told = new Map((list.value?.items ?? []).map((each) => [each.code || each.kind, each]));
  const may = actionsOf(job, about);
  return html`<section aria-labelledby="failed-title"><h2 id="failed-title">Failed, by reason</h2>
    <${Table} name="Failures by reason" columns=${["Reason", "Cases", "What happened, and what to do", "Which", ...(may.retry ? ["Again"] : [])]}>
      ${groups.map((group) => html`<tr role="row" key=${group.reason}>
        <${Cell} name="Reason"><strong>${group.reason}</strong><br /><span class="quiet">${group.kind}</span><//>
        <${Cell} name="Cases">${count(group.count)}<//>
        <${Cell} name="What" isLong>${told.get(group.reason)?.example}<br />${told.get(group.reason)?.advice}<//>
        <${Cell} name="Which" isLong><${Which} group=${group} /><//>
        ${may.retry && html`<${Cell} name="Again"><${Retry} job=${job.id} code=${group.reason} label=${`Retry ${counted(group.count, "case")}`} /><//>`}
      </tr>`)}
    <//>
  </section>`;
}

function Which({ group }) {
  const rest = group.count - group.cases.length;
  return html`<span class="mono">${group.cases.join(", ")}</span>${rest > 0 && ` and ${counted(rest, "more", "more")}`}`;
}
