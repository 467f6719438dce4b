// The first words about a cohort: how large it is, what it holds, and whether all is well.
import { html } from "./vendor/preact.js";
import { cases, count } from "./numbers.js";
import { LEAST_CASES } from "./outliers.js";

export function Summary({ qc, channels = [], failures }) {
  const failed = failures?.reduce((sum, each) => sum + each.count, 0) ?? 0;
  const labels = [...new Set(qc.classes.map((each) => each.map))];
  const { total } = qc.outliers;
  const isFine = !failed && !total;
  const words = [
    `${cases(qc.cases)} stored.`,
    failures && (failed ? html`<a href="#failures">${count(failed)} failed</a>.` : "None failed."),
    total ? `${count(total)} ${total === 1 ? "thing stands" : "things stand"} out.` : qc.cases < LEAST_CASES ? "" : "Nothing stands out.",
  ];
  const facts = [
    ["Channels", channels.join(", ")],
    ["Labels", labels.join(", ")],
    ["Classes", qc.classes.length ? count(qc.classes.length) : ""],
    ["Sources lie as", orientations(qc.orientations)],
  ].filter(([, text]) => text);
  return html`<p class=${`verdict ${failed ? "bad" : isFine ? "good" : "warn"}`}>${words.filter(Boolean).map((each, k) => html`${k > 0 && " "}${each}`)}</p>
    ${facts.length > 0 && html`<dl class="glance">${facts.map(([name, text]) => html`<div><dt>${name}</dt><dd>${text}</dd></div>`)}</dl>`}
    ${qc.notes?.map((note) => html`<p class="quiet">${note}</p>`)}`;
}

/** LPS, or of several kinds how many cases each has: LPS 398, RPS 2. */
function orientations(found = []) {
  return found.length === 1 ? found[0].code : found.map(({ code, cases: n }) => `${code} ${count(n)}`).join(", ");
}
