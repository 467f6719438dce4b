// A report's own script: draws the cohort from the numbers in the document, over what the document shows without it.
import { html, render } from "./vendor/preact.js";
import { CohortView } from "./cohort_view.js";
import { Embedded } from "./embedded.js";
import { Failures } from "./failures.js";
import { NOTHING } from "./selection.js";

function start() {
  const told = document.getElementById("report-data");
  const target = document.getElementById("report");
  if (!told || !target) return;
  const data = JSON.parse(told.textContent);
  target.replaceChildren();
  render(html`<${CohortView} source=${new Embedded(data)} start=${NOTHING} channels=${data.channels} failures=${data.failures}
    aside=${html`<${Failures} groups=${data.failures} />`} />`, target);
}

start();
