// One plane of full resolution on demand, as the service cuts it: for volumes that are drawn at a coarser level.
import { html, useState } from "./vendor/preact.js";
import { pictureAddress, planeTiles } from "./plane_tiles.js";
import { PLANES } from "./tiles.js";
import { storedWindow } from "./windows.js";

export function FullPlane({ models, channels, scene, map, number, usual, names }) {
  const [plane, setPlane] = useState("axial"), [isOpen, setOpen] = useState(false);
  const [failed, setFailed] = useState("");
  return html`<details class="card full" onToggle=${(event) => setOpen(event.target.open)}>
    <summary>Full resolution of one plane</summary>
    ${isOpen && html`<label>Plane <select value=${plane} onChange=${(event) => setPlane(event.target.value)}>
      ${PLANES.map((each) => html`<option value=${each}>${each}</option>`)}</select></label>
      ${failed && html`<p class="failure" role="alert">${failed}</p>`}
      <div class="sides both">${Object.entries(models).map(([side, model]) => html`<${Picture} key=${side} name=${names[side]} model=${model}
        channel=${channels[side]} scene=${scene} plane=${plane} number=${number} usual=${usual} label=${scene.opacity > 0 ? map : ""}
        onFailure=${() => setFailed(`the plane of ${names[side].toLowerCase()} did not come`)} />`)}</div>`}
  </details>`;
}

/** A pixel a voxel where there is room; else as large as fits. */
function Picture({ name, model, channel, scene, plane, number, usual, label, onFailure }) {
  const { side } = model;
  const { index } = model.voxel(scene.mm);
  const view = { ...scene, plane, zoom: 1, center: index };
  const [flat] = planeTiles(model, [1000, 1000], view);
  const width = Math.min(side.shape[flat.across.axis] * pixels(side, flat), 560), height = width * (flat.height / flat.width);
  const [tile] = planeTiles(model, [width + 12, height + 12], view); // 12: the margins of a box
  const window = channel.line ? scene.window : storedWindow(scene.window, channel, usual);
  const has = side.labels.some((each) => each.name === label) ? label : "";
  const address = pictureAddress(side, tile, index, { channel: Math.min(number, Math.max(0, side.channels.length - 1)), window, label: has });
  return html`<figure tabindex="0" aria-label=${`${name}, full resolution`}><div class="picture" style=${{ width: `${tile.width}px`, height: `${tile.height}px` }}>
      <img alt=${`${name}, ${plane} plane ${index[tile.through] + 1} at full resolution`} src=${address} width=${tile.columns} height=${tile.rows}
        style=${{ transform: `matrix(${[...tile.matrix].join(",")})` }} onError=${onFailure} /></div>
    <figcaption class="quiet">${name}: ${"xyz"[tile.through]} = ${index[tile.through] + 1} of ${side.shape[tile.through]}</figcaption></figure>`;
}

/** Pixels for a voxel across, so that the thinner of both sides of a voxel gets at least one. */
const pixels = (side, { across, up }) => Math.max(1, side.spacing[across.axis] / side.spacing[up.axis]);
