// What failed, by reason, with what to do about it.
import { html } from "./vendor/preact.js";
import { cases, count } from "./numbers.js";
import { Retry } from "./retry.js";
import { Failure } from "./shell.js";
import { isOver } from "./states.js";

const FEW = 20;

/** job: the cohort's last, which is retried; without one the failures are only told, with a `hint`. */
export function Failures({ groups, problem, job, mayRetry, hint }) {
  if (problem) return html`<${Failure} problem=${problem} />`;
  if (!groups?.length) return null;
  const retries = mayRetry && job && isOver(job.state);
  return html`<section class="card" aria-labelledby="failures">
    <h2 id="failures">What failed</h2>
    ${groups.map((group) => html`<${Group} key=${group.code + group.example} group=${group} job=${retries ? job : null} />`)}
    ${groups.length > 1 && retries && html`<${Retry} job=${job.id} label="Retry all that failed" />`}
    ${hint && html`<p class="quiet">${hint}</p>`}
  </section>`;
}

function Group({ group, job }) {
  const { code, count: n, example, advice, cases: ids } = group;
  return html`<div class="reason">
    <p><strong>${cases(n)}</strong> <code>${code}</code></p>
    <p>${example}</p>
    ${advice && html`<p class="quiet">${advice}</p>`}
    <details><summary>Which${n > FEW ? `, the first ${FEW}` : ""}<span class="unseen"> failed with ${code}</span></summary>
      <ul class="names">${ids.slice(0, FEW).map((id) => html`<li class="mono">${id}</li>`)}</ul></details>
    ${job && html`<${Retry} job=${job.id} code=${code} label=${n === 1 ? "Retry this case" : `Retry these ${count(n)}`} />`}
  </div>`;
}
