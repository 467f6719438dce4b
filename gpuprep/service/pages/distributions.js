// All distributions of a cohort, group by group.
import { html, useState } from "./vendor/preact.js";
import { Histogram } from "./histogram.js";
import { valueWith } from "./numbers.js";

const FEW = 12; // of a group; a cohort with 300 labels has 300 volumes

export function Distributions({ measures, isNarrowed, brushes, onBrush, marked }) {
  const groups = grouped(measures);
  return html`<section aria-labelledby="distributions">
    <h2 id="distributions">Distributions</h2>
    <p class="quiet">Drag across a plot to select cases, or open its range. Grey are all cases${
      isNarrowed ? ", blue the selected" : ""}; the band is the usual range, the dashed line the median.</p>
    ${[...groups].map(([name, those], k) => html`
      <${Group} key=${name} ...${{ isFirst: k === 0, name, measures: those, isNarrowed, brushes, onBrush, marked }} />`)}
  </section>`;
}

const isWide = matchMedia("(min-width: 40rem)").matches; // on a phone one group at a time

function Group({ isFirst, name, measures, isNarrowed, brushes, onBrush, marked }) {
  const [isWhole, setWhole] = useState(false);
  const [same, spread] = [true, false].map((is) => measures.filter((each) => is === (isSame(each) && !brushes[each.name])));
  const shown = isWhole ? spread : spread.filter((each, k) => k < FEW || brushes[each.name]);
  return html`<details class="group" open=${isFirst || isWide}>
    <summary><h3>${name[0].toUpperCase() + name.slice(1)}</h3></summary>
    ${shown.length > 0 && html`<div class="plots">${shown.map((measure) => html`<${Histogram} key=${measure.name} measure=${measure} isNarrowed=${isNarrowed}
      brush=${brushes[measure.name]} onBrush=${(brush) => onBrush(measure.name, brush)}
      marked=${marked ? marked[measure.name] ?? null : undefined} />`)}</div>`}
    ${same.length > 0 && html`<p class="same"><span class="quiet">The same in all cases that have it:</span> ${same.map(({ title, unit, median }, k) => html`${k > 0 && ", "}
      <span>${title} <strong>${valueWith(median, unit)}</strong></span>`)}</p>`}
    ${shown.length < spread.length && html`<button onClick=${() => setWhole(true)}>Show all ${spread.length}</button>`}
  </details>`;
}

const isSame = ({ counts, low, high, edges }) => counts.length === 1 && low === high && low > edges[0];

function grouped(measures) {
  const groups = new Map();
  for (const each of measures) groups.set(each.group, [...(groups.get(each.group) ?? []), each]);
  return groups;
}
