// How a job is submitted: these pages only follow them.
import { html } from "./vendor/preact.js";

export const shellLines = (address) => [
  `export GPUPREP_URL=${address}`,
  "export GPUPREP_TOKEN=gpr_…   # gpuprep serve token NAME --scope submit makes one",
  "gpuprep jobs submit ROOT:FOLDER COHORT --set 'image.resample.spacing=[1,1,1]' --watch",
].join("\n");

export const pythonLines = (address) => [
  "import gpuprep",
  "",
  `client = gpuprep.Client("${address}", token="gpr_…")`,
  'job = client.submit("ROOT", "FOLDER", "COHORT", {"image": {"resample": {"spacing": [1, 1, 1]}}})',
  "print(client.wait(job.id).state)",
].join("\n");

export function Submitting() {
  return html`<details class="submitting"><summary>Submit a job</summary>
    <p>From a shell:</p>
    <pre tabindex="0" aria-label="Shell commands that submit a job"><code>${shellLines(location.origin)}</code></pre>
    <p>From Python:</p>
    <pre tabindex="0" aria-label="Python lines that submit a job"><code>${pythonLines(location.origin)}</code></pre>
    <p class="quiet">ROOT is one of the service's roots, FOLDER the input below it, COHORT the name of what is made.</p>
  </details>`;
}
