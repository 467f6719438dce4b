// In how many cases each class of a label is, and what was found odd about cases.
import { html } from "./vendor/preact.js";
import { cases, count, value } from "./numbers.js";

export function Classes({ classes, selected, isNarrowed }) {
  if (!classes.length) return null;
  return html`<section aria-labelledby="classes">
    <h2 id="classes">Classes</h2>
    <div class="scroll short" tabindex="0" role="region" aria-label="Table of classes"><table>
      <thead><tr><th>Label</th><th class="number">Value</th><th>Class</th><th>Present in</th><th class="number">Absent</th>
        ${isNarrowed && html`<th class="number">Of ${count(selected)} selected</th>`}</tr></thead>
      <tbody>${classes.map((each) => html`<tr>
        <td>${each.map}</td><td class="number">${each.value}</td><td>${each.name}</td>
        <td><${Share} part=${each.present} whole=${each.present + each.absent} /></td>
        <td class="number">${count(each.absent)}</td>${isNarrowed && html`<td class="number">${count(each.selected)}</td>`}</tr>`)}</tbody>
    </table></div>
  </section>`;
}

function Share({ part, whole }) {
  const percent = whole ? (100 * part) / whole : 0;
  return html`<svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="rest" width="100" height="10" />
    <rect class="part" width=${percent} height="10" /></svg> ${count(part)} <span class="quiet">${value(percent, 3)} %</span>`;
}

/** What was found odd; a click on a code searches for it, and so selects its cases. */
export function Findings({ findings, cases: all, onSearch }) {
  if (!findings.length) return null;
  return html`<section class="card" aria-labelledby="findings">
    <h2 id="findings">Findings</h2>
    <ul class="codes">${findings.map(({ code, text, cases: n }) => html`<li><button class="bare" title="Select these cases" onClick=${() => onSearch(code)}><code>${code}</code></button> ${text}${" "}<span class="quiet">${n === all ? `in all ${cases(n)}` : `in ${cases(n)}`}</span></li>`)}</ul>
  </section>`;
}
