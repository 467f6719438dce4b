// What lies over one plane: its letters, the crosshair and the crop box, and the keys and pointers that move the crosshair.
import { apply } from "./affine.js";
import { sideLetters } from "./letters.js";
import { indexAt, pointOf } from "./tiles.js";
import { html } from "./vendor/preact.js";

const THIN = 44; // pixels: there, letters at top and bottom would lie on one another
const STEPS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

export function PlaneOverlay({ tile, name, model, index, crop, isBare, onPick, onZoom, onWindow }) {
  const { left, top, width, height, across, up, through } = tile;
  const letters = sideLetters(model.letters, [across.axis, Math.sign(across.growth)], [up.axis, Math.sign(up.growth)]);
  const [x, y] = pointOf(tile, index);
  const pick = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    onPick(indexAt(tile, [event.clientX - box.left, event.clientY - box.top], index));
  };
  const down = (event) => {
    event.currentTarget.setPointerCapture(event.pointerId);
    event.currentTarget.focus({ preventScroll: true });
    if (event.button === 0 && !event.shiftKey) pick(event);
  };
  const move = (event) => {
    if (event.buttons === 2 || event.buttons === 4 || (event.buttons === 1 && event.shiftKey)) onWindow([event.movementX, event.movementY]);
    else if (event.buttons === 1) pick(event);
  };
  const go = (axis, by) => onPick(index.map((value, k) => (k === axis ? value + by : value)));
  const wheel = (event) => {
    event.preventDefault();
    if (event.ctrlKey) onZoom(event.deltaY < 0 ? 1.25 : 0.8);
    else go(through, Math.sign(event.deltaY) * -tile.upSign);
  };
  const press = (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const times = event.shiftKey ? 10 : 1;
    if (STEPS[event.key]) {
      const [right, upwards] = STEPS[event.key];
      if (right) go(across.axis, right * times * Math.sign(across.growth));
      else go(up.axis, upwards * times * Math.sign(up.growth));
    } else if (event.key === "PageUp") go(through, tile.upSign * times);
    else if (event.key === "PageDown") go(through, -tile.upSign * times);
    else if (event.key === "+" || event.key === "=") onZoom(1.25);
    else if (event.key === "-") onZoom(0.8);
    else if (event.key === "0") onZoom(0);
    else return;
    event.preventDefault();
  };
  return html`<div class=${`plane ${height < THIN ? "thin" : ""}`} tabindex="0" role="application" aria-label=${`${name}, ${tile.plane} plane`} aria-describedby="viewer-keys"
      data-plane=${tile.plane} style=${{ left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` }}
      onPointerDown=${down} onPointerMove=${move} onContextMenu=${(event) => event.preventDefault()} onWheel=${wheel} onKeyDown=${press}>
    ${!isBare && html`<svg class="lines" aria-hidden="true" width=${width} height=${height}>
      ${crop && html`<${Box} tile=${tile} crop=${crop} index=${index} />`}
      <path class="cross" d=${`M0 ${y}H${x - 6}M${x + 6} ${y}H${width}M${x} 0V${y - 6}M${x} ${y + 6}V${height}`} />
    </svg>`}
    ${!isBare && Object.entries(letters).map(([where, letter]) => html`<span class=${`letter ${where}`} aria-hidden="true">${letter}</span>`)}
  </div>`;
}

/** The crop as lines: whole where the plane cuts it, dashed where it lies beside. `crop` are its ends as exact indices. */
function Box({ tile, crop, index }) {
  const [from, to] = [crop.least, crop.most].map((corner) => pointOf(tile, corner));
  const isCut = index[tile.through] >= crop.least[tile.through] && index[tile.through] <= crop.most[tile.through];
  return html`<rect class=${isCut ? "crop" : "crop beside"} x=${Math.min(from[0], to[0])} y=${Math.min(from[1], to[1])}
    width=${Math.abs(to[0] - from[0])} height=${Math.abs(to[1] - from[1])} />`;
}

/** Corners in RAS mm as the ends of a box of exact indices. */
export function boxOf(corners, back) {
  const indices = corners.map((corner) => apply(back, corner));
  const ends = (choose) => [0, 1, 2].map((axis) => choose(...indices.map((index) => index[axis])));
  return { least: ends(Math.min), most: ends(Math.max) };
}
