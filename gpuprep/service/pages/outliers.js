// What stands out in a cohort: the worst of each kind first, so that no kind is hidden behind another.
import { html, useState } from "./vendor/preact.js";
import { CaseLink, MarkButton } from "./case_link.js";
import { count } from "./numbers.js";

const FEW = 12; // fit the first screen

export const LEAST_CASES = 10; // of fewer the service says nothing

/** Items in an order in which every kind comes once before any comes twice; worst first in each kind. */
export function byTurns(items) {
  const rank = new Map();
  const turns = items.map((item) => {
    const turn = rank.get(item.kind) ?? 0;
    rank.set(item.kind, turn + 1);
    return { item, turn };
  });
  return turns.sort((a, b) => a.turn - b.turn || b.item.score - a.item.score).map(({ item }) => item);
}

export function Outliers({ outliers, cases: all, source, marked, onMark }) {
  const [kind, setKind] = useState("");
  const [isWhole, setWhole] = useState(false);
  const { total, items } = outliers;
  const kinds = [...new Set(items.map((each) => each.kind))];
  const chosen = kind ? items.filter((each) => each.kind === kind) : byTurns(items);
  const shown = isWhole ? chosen : chosen.slice(0, Math.max(FEW, kinds.length));
  return html`<section aria-labelledby="outliers">
    <div class="row"><h2 id="outliers">What stands out</h2>
      ${kinds.length > 1 && html`<${Kinds} ...${{ kinds, items, kind, setKind }} />`}</div>
    ${!items.length && html`<p class="quiet">${all < LEAST_CASES ? `Of fewer than ${LEAST_CASES} cases nothing is said.` : "Nothing: every case is like the others."}</p>`}
    ${shown.length > 0 && html`<ul class="outliers">${shown.map((each) => html`<li>
      <${MarkButton} id=${each.case} marked=${marked} onMark=${onMark} />
      <span class="kind">${each.kind}</span>
      <span><${CaseLink} id=${each.case} source=${source} /> ${each.text}</span></li>`)}</ul>`}
    ${shown.length < chosen.length && html`<button onClick=${() => setWhole(true)}>Show ${count(chosen.length)}</button>`}
    ${total > items.length && html` <span class="quiet">${count(total)} in all; the worst of each kind are listed.</span>`}
  </section>`;
}

function Kinds({ kinds, items, kind, setKind }) {
  const number = (each) => items.filter((one) => one.kind === each).length;
  return html`<label>Kind <select value=${kind} onChange=${(event) => setKind(event.target.value)}>
    <option value="">all (${count(items.length)})</option>
    ${kinds.map((each) => html`<option value=${each}>${each} (${count(number(each))})</option>`)}</select></label>`;
}
