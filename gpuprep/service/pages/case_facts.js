// What is known of a case beside its planes: findings, where it comes from, every resolved number, the record, downloads.
import { html } from "./vendor/preact.js";

export function CaseFacts({ view }) {
  return html`
    <h2>Findings</h2>
    ${view.findings.length === 0 ? html`<p class="quiet">None.</p>` : html`<ul class="findings">${counted(view.findings).map(([each, times]) => html`
      <li><code>${each.code}</code> ${each.text}${times > 1 && ` (${times} times)`}${Object.keys(each.values ?? {}).length > 0 && html` <span class="quiet mono">${pairs(each.values)}</span>`}</li>`)}</ul>`}
    <h2>Downloads</h2>
    ${view.downloads.length === 0 ? html`<p class="quiet">None.</p>` : html`<ul>${view.downloads.map((each) => html`
      <li><a href=${each.url} download>${each.name}</a></li>`)}</ul>`}
    <h2>Where it comes from</h2>
    <${Rows} caption="Provenance" rows=${view.provenance} />
    <details><summary>Every resolved number (${view.numbers.length})</summary>
      <${Rows} caption="Numbers" head=${["step", "what", "value"]} rows=${view.numbers} /></details>
    ${view.record && html`<details><summary>The record</summary>
      <pre class="scroll" tabindex="0" role="region" aria-label="The record">${JSON.stringify(view.record, null, 2)}</pre></details>`}`;
}

function Rows({ caption, head, rows }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}><table>
    ${head && html`<thead><tr>${head.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>`}
    <tbody>${rows.map((row) => html`<tr>${row.map((each, k) => (k === 0 ? html`<th scope="row">${each}</th>` : html`<td class="value">${each}</td>`))}</tr>`)}</tbody>
  </table></div>`;
}

/** Equal findings once, with how often they are there: one of each channel's file, as a rule. */
function counted(findings) {
  const found = new Map();
  for (const each of findings) {
    const key = JSON.stringify([each.code, each.text, each.values]);
    found.set(key, [each, (found.get(key)?.[1] ?? 0) + 1]);
  }
  return [...found.values()];
}

const pairs = (values) => Object.entries(values).map(([name, value]) => `${name} ${JSON.stringify(value)}`).join(", ");
