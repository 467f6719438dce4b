// Before and after on linked planes: one crosshair in millimetres, one window in the source's units, one choice of labels.
import { html, useEffect, useMemo, useRef, useState } from "./vendor/preact.js";
import { apply } from "./affine.js";
import { useExact } from "./exact.js";
import { FullPlane } from "./full_plane.js";
import { labelTable, Legend } from "./legend.js";
import { drawingLimits } from "./levels.js";
import { PlaneSide } from "./planes.js";
import { usePublished } from "./published.js";
import { Readout } from "./readout.js";
import { SideModel } from "./side_model.js";
import { boxRatio } from "./tiles.js";
import { Controls, Keys } from "./viewer_controls.js";
import { dragged, storedWindow } from "./windows.js";
import { useWork } from "./working.js";

const SIDES = ["before", "after"];
const OTHER = { before: "after", after: "before" };
const NOTHING = { name: "", unit: "", line: null, window: [0, 1], levels: [] }; // where a side has labels only

/** `view` is a case's JSON. */
export function Viewer({ view }) {
  const force = new URLSearchParams(location.search).get("force");
  const [isLost, setLost] = useState(false); // the browser gave up drawing: pictures from here on
  const limits = useMemo(() => (force === "png" || isLost ? null : drawingLimits()), [force, isLost]);
  const models = useMemo(() => Object.fromEntries(SIDES.filter((side) => view[side]).map((side) => [side, new SideModel(view[side])])), [view]);
  const shown = Object.keys(models);
  const names = { before: view.after ? "Before" : "Source", after: view.before || view.before_problem ? "After" : "Stored" };
  const [number, setNumber] = useState(0), [map, setMap] = useState(() => firstMap(view)), [problems, setProblems] = useState({});
  const channels = Object.fromEntries(shown.map((side) => [side, view[side].channels[heldNumber(view[side], number)] ?? NOTHING]));
  const usual = channels[shown[0]]?.window ?? [0, 1];
  const [scene, setScene] = useState(() => ({
    mm: middle(view[shown.at(-1)]), center: null, zoom: 1, plane: "all", isRadiological: true, opacity: 0.5, hidden: new Set(),
    window: usual, layout: "both", isBare: false,
  }));
  const asked = useRef(0); // changes so far, so that tests know when all are drawn
  const asking = (set) => (some) => {
    asked.current += 1;
    set(some);
  };
  const change = asking((some) => setScene((before) => ({ ...before, ...(typeof some === "function" ? some(before) : some) })));
  const table = useMemo(() => labelTable(view, map), [view, map]);
  const { work, isWorking } = useWork();
  const goTo = (mm) => change({ mm: [...mm] });
  const zoomBy = (factor) => change((before) => {
    const zoom = factor === 0 ? 1 : Math.min(16, Math.max(1, before.zoom * factor));
    return { zoom, center: zoom === 1 ? null : before.mm };
  });
  useEffect(() => change({ window: usual }), [number]);
  useEffect(() => change({ hidden: new Set() }), [map]);
  const files = useMemo(() => view.record?.files && new Set(Object.keys(view.record.files)), [view]);
  const exact = useExact({ models, channels, scene, files, force, work });
  usePublished({ view, models, channels, scene, change, goTo, asked, isWorking, shown, map, table, exact });
  const ratio = Math.min(...shown.map((side) => boxRatio(view[side])));
  const labelMaps = [...new Set(shown.flatMap((side) => view[side].labels.map(({ name }) => name)))];
  const Drawn = limits ? LazyGlSide : PlaneSide;
  const drawn = (side) => {
    const ends = storedWindow(scene.window, channels[side], usual);
    return html`<div class="side" key=${side} data-side=${side} hidden=${scene.layout === OTHER[side]}>
      <h2>${names[side]} <span class="quiet">${described(view[side])}</span></h2>
      ${problems[side] && html`<p class="failure" role="alert">${problems[side].message}</p>`}
      <${Drawn} name=${names[side]} model=${models[side]} map=${view[side].labels.find(({ name }) => name === map) ?? null}
        channel=${heldNumber(view[side], number)} scene=${scene} limits=${limits} force=${force} files=${files} ratio=${ratio}
        window=${ends} sourceWindow=${channels[side].line ? scene.window : ends} crop=${side === "before" ? view.crop : null} table=${table} work=${work} onLost=${() => setLost(true)}
        onPick=${goTo} onZoom=${zoomBy} onWindow=${(moved) => change((before) => ({ window: dragged(before.window, moved, usual) }))}
        onFailure=${(problem) => setProblems((before) => ({ ...before, [side]: problem }))} />
      <${Notes} model=${models[side]} channel=${channels[side]} isPicture=${!limits} />
    </div>`;
  };
  if (shown.length === 0) return html`<p class="card" role="note">${view.before_problem ?? "There is nothing to draw."}</p>`;
  return html`<section class="viewer" aria-label="Planes" onKeyDown=${(event) => shortcuts(event, change)}>
    <${Controls} view=${view} scene=${scene} change=${change} usual=${usual} number=${number} setNumber=${asking(setNumber)} channels=${channels}
      labelMaps=${labelMaps} map=${map} setMap=${asking(setMap)} shown=${shown} />
    <div class=${`sides ${shown.length > 1 ? scene.layout : "one"}`}>
      ${SIDES.map((side) => (models[side] ? drawn(side)
        : side === "before" && view.before_problem && html`<p class="card" role="note">The source cannot be shown: ${view.before_problem}</p>`))}
    </div>
    <${Readout} models=${models} channels=${channels} scene=${scene} table=${table} names=${names} width=${scene.window[1] - scene.window[0]} exact=${exact} />
    <${Legend} models=${models} map=${map} table=${table} view=${view} scene=${scene} change=${change} goTo=${goTo} />
    <${FullPlane} models=${models} channels=${channels} scene=${scene} map=${map} number=${number} usual=${usual} names=${names} />
    <${Keys} />
  </section>`;
}

/** NiiVue is loaded only where it can draw. */
function LazyGlSide(props) {
  const [part, setPart] = useState(null);
  useEffect(() => props.work(async () => {
    const { GlSide } = await import("./gl_side.js");
    setPart(() => GlSide);
  }, props.onFailure), []);
  if (part) return html`<${part} ...${props} />`;
  return html`<div class="stage" style=${{ aspectRatio: String(props.ratio) }}><p class="wait" role="status">Loading …</p></div>`;
}

/** What one should know of what is drawn: the level, where it is not the finest, and the service's own notes. */
function Notes({ model, channel, isPicture }) {
  const level = model.image?.number;
  const notes = [...(model.side.notes ?? []), ...(channel.notes ?? []), model.image?.note, model.labels?.note,
    isPicture && "Planes are pictures of the service: labels have its own opacity."].filter(Boolean);
  return html`
    ${level > 0 && html`<p class="quiet level">${tellLevel(model, channel, isPicture)}</p>`}
    ${notes.length > 0 && html`<ul class="quiet notes">${notes.map((note) => html`<li>${note}</li>`)}</ul>`}`;
}

const tellLevel = ({ image }, { levels }, isPicture) => `${isPicture ? "Values near the crosshair are of" : "Drawn at"} level ${image.number} of `
  + `${levels.length - 1} (${image.shape.join(" × ")} voxels): the whole volume is too large for this browser.`
  + `${isPicture ? "" : " “Full resolution” below shows a plane as it is stored."}`;
const heldNumber = (side, number) => Math.min(number, side.channels.length - 1);
const described = (side) => `${side.shape.join(" × ")} voxels, ${side.spacing.map((value) => Number(value.toFixed(4))).join(" × ")} mm`
  + `${side.oblique_degrees > 0.05 ? `, oblique by ${side.oblique_degrees.toFixed(1)}°` : ""}`;
const middle = (side) => (side ? apply(side.affine, side.shape.map((size) => Math.floor((size - 1) / 2))) : [0, 0, 0]);
const firstMap = (view) => (view.after?.labels[0] ?? view.before?.labels[0])?.name ?? "";

function shortcuts(event, change) {
  if (event.ctrlKey || event.altKey || event.metaKey || ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName)) return;
  if (event.key === "r") change((before) => ({ isRadiological: !before.isRadiological }));
  else if (event.key === "l") change((before) => ({ opacity: before.opacity > 0 ? 0 : 0.5 }));
  else if (event.key === "x") change((before) => ({ isBare: !before.isBare }));
  else return;
  event.preventDefault();
}
