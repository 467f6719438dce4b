// What lies under the crosshair, in words and numbers.
import { html, useEffect, useState } from "./vendor/preact.js";
import { flipped } from "./affine.js";
import { told } from "./windows.js";

const PATIENCE = 300; // ms: a screen reader is not told every step of a drag

export function Readout({ models, channels, scene, table, names, width, exact }) {
  const point = (mm) => mm.map((value) => value.toFixed(2)).join(", ");
  const rows = Object.entries(models).map(([side, model]) => ({ side, model, at: model.at(scene.mm, channels[side], exact[side]) }));
  const spoken = rows.map(({ side, at }) => `${names[side]}: voxel ${at.index.join(" ")}, ${valueText(at, channels[side], width)}`).join("; ");
  return html`<div class="readout card">
    <p class="where"><span>RAS <strong data-read="ras">${point(scene.mm)}</strong> mm</span>
      <span>LPS <strong data-read="lps">${point(flipped(scene.mm))}</strong> mm</span></p>
    <div class="scroll" tabindex="0" role="region" aria-label="Under the crosshair"><table>
      <thead><tr><td></td><th scope="col">voxel x y z, from 1</th><th scope="col">value</th><th scope="col">as stored</th><th scope="col">label</th></tr></thead>
      <tbody>${rows.map(({ side, at }) => html`<tr data-side=${side}>
        <th scope="row">${names[side]}</th>
        <td class="mono" data-read="index">${at.index.join(" ")}${!at.isInside && html` <span class="quiet">(outside; the nearest)</span>`}</td>
        <td data-read="value">${valueText(at, channels[side], width)}</td>
        <td data-read="stored">${at.stored === null ? "–" : `${at.isNear ? "≈ " : ""}${Number(at.stored.toPrecision(7))}`}</td>
        <td data-read="label">${labelText(at, table)}</td>
      </tr>`)}</tbody>
    </table></div>
    <${Spoken} text=${spoken} />
  </div>`;
}

function valueText({ stored, value, isNear }, { unit, line }, width) {
  if (stored === null) return "–";
  if (!line) return "no line leads back";
  return `${isNear ? "≈ " : ""}${told(value, width)}${unit ? ` ${unit}` : ""}`;
}

/** The name of a label's value. */
export const labelOf = (value, table) => (value === 0 ? "background" : table.get(value)?.name ?? "(not in the table)");

export const labelText = ({ label, isLabelNear }, table) => (label === null ? "–" : `${isLabelNear ? "≈ " : ""}${label} ${labelOf(label, table)}`);

/** The same for screen readers, once the crosshair rests. */
function Spoken({ text }) {
  const [said, setSaid] = useState("");
  useEffect(() => {
    const later = setTimeout(() => setSaid(text), PATIENCE);
    return () => clearTimeout(later);
  }, [text]);
  return html`<p class="unseen" aria-live="polite">${said}</p>`;
}
