// "Retry these N cases": says first which cases that would be, and does exactly those.
import { html, useState } from "./vendor/preact.js";
import { Confirm } from "./confirm.js";
import { send } from "./fetching.js";
import { counted } from "./numbers.js";
import { Failure } from "./shell.js";

const SHOWN = 200;

/** job: the id of a job that is over; code: of only these failures; onDone: given the new job. */
export function Retry({ job, code, label = "Retry what failed", onDone = (made) => location.assign(`/jobs/${made.id}`) }) {
  const [plan, setPlan] = useState(null);
  const [problem, setProblem] = useState(null);
  const query = code ? `&code=${encodeURIComponent(code)}` : "";
  const url = (dryRun) => `/v1/jobs/${encodeURIComponent(job)}/retry?dry_run=${dryRun}${query}`;
  const look = () => {
    setPlan(null);
    setProblem(null);
    send("POST", url(true)).then(setPlan, setProblem);
  };
  const question = problem ? html`<${Failure} problem=${problem} />`
    : plan ? html`<${Plan} plan=${plan} />`
    : html`<p class="quiet" role="status">Looking which cases that would be …</p>`;
  const yes = plan ? `Retry ${counted(plan.cases, "case")}` : "Retry";
  return html`<${Confirm} label=${label} yes=${yes} no="No" question=${question} onOpen=${look}
    isReady=${plan !== null && plan.cases > 0} act=${async () => onDone(await send("POST", url(false)))} />`;
}

function Plan({ plan }) {
  if (!plan.cases) return html`<p>No case has failed so; there is nothing to retry.</p>`;
  return html`<p>A new job would do ${plan.cases === 1 ? "this case" : `these ${counted(plan.cases, "case")}`} again, with
    the same config:</p>
    ${plan.groups.map((group) => html`<details open=${plan.groups.length === 1}>
      <summary><strong>${group.code || group.kind}</strong> ${counted(group.count, "case")}</summary>
      <ul class="names">${group.cases.slice(0, SHOWN).map((id) => html`<li class="mono">${id}</li>`)}</ul>
      ${group.count > SHOWN && html`<p class="quiet">and ${counted(group.count - SHOWN, "more", "more")}</p>`}
      <p class="quiet">${group.advice}</p></details>`)}`;
}
