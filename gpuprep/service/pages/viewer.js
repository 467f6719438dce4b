// Before and after on linked planes: one crosshair in millimetres, one window in the source's units, one choice of labels.
import { html, useEffect, useMemo, useRef, useState } from "./vendor/preact.js";
import { apply } from "./affine.js";
import { drawingLimits } from "./levels.js";
import { Legend } from "./legend.js";
import { PlaneSide } from "./planes.js";
import { Readout } from "./readout.js";
import { SideModel } from "./side_model.js";
import { Controls, Keys } from "./viewer_controls.js";
import { dragged, storedWindow } from "./windows.js";

const SIDES = ["before", "after"];
const NAMES = { before: "Before", after: "After" };

/** `view` is a case's JSON. */
export function Viewer({ view }) {
  const force = new URLSearchParams(location.search).get("force");
  const limits = useMemo(() => (force === "png" ? null : drawingLimits()), [force]);
  const models = useMemo(() => Object.fromEntries(SIDES.filter((side) => view[side]).map((side) => [side, new SideModel(view[side])])), [view]);
  const shown = Object.keys(models);
  const [channel, setChannel] = useState(0), [map, setMap] = useState(() => firstMap(view)), [ticks, setTicks] = useState(0);
  const channels = Object.fromEntries(shown.map((side) => [side, view[side].channels[Math.min(channel, view[side].channels.length - 1)]]));
  const usual = channels[shown[0]]?.window ?? [0, 1];
  const [scene, setScene] = useState(() => ({
    mm: middle(view[shown.at(-1)]), center: null, zoom: 1, plane: "all", isRadiological: true, opacity: 0.5, hidden: new Set(),
    window: usual, layout: "both",
  }));
  const [problems, setProblems] = useState({});
  const change = (some) => setScene((before) => ({ ...before, ...(typeof some === "function" ? some(before) : some) }));
  const files = useMemo(() => view.record?.files && new Set(Object.keys(view.record.files)), [view]);
  const loaded = useRef(new Set());

  const goTo = (mm) => change({ mm: [...mm] });
  const zoomBy = (factor) => change((before) => {
    const zoom = factor === 0 ? 1 : Math.min(16, Math.max(1, before.zoom * factor));
    return { zoom, center: zoom === 1 ? null : before.mm };
  });
  const told = (side) => () => { loaded.current.add(side); setTicks((count) => count + 1); };
  const failed = (side) => (problem) => { loaded.current.add(side); setProblems((before) => ({ ...before, [side]: problem })); };
  usePublished({ view, models, channels, scene, goTo, loaded, shown, map });

  const labelMaps = [...new Set(shown.flatMap((side) => view[side].labels.map(({ name }) => name)))];
  const mapOf = (side) => view[side].labels.find(({ name }) => name === map) ?? null;
  const common = { channel, scene, limits, force, files, onPick: goTo, onZoom: zoomBy };
  return html`<section class="viewer" aria-label="Planes" onKeyDown=${(event) => shortcuts(event, change)}>
    <${Controls} view=${view} scene=${scene} change=${change} usual=${usual} channel=${channel} setChannel=${setChannel}
      names=${channelNames(view, shown)} labelMaps=${labelMaps} map=${map} setMap=${setMap} shown=${shown} />
    <div class=${`sides ${scene.layout}`}>
      ${SIDES.filter((side) => scene.layout !== OTHER[side]).map((side) => {
        if (!models[side]) return html`<${Missing} name=${NAMES[side]} text=${side === "before" ? view.before_problem : null} />`;
        const Drawn = limits ? LazyGlSide : PlaneSide;
        return html`<div class="side" key=${side} data-side=${side}>
          <h2>${NAMES[side]} <span class="quiet">${described(view[side])}</span></h2>
          ${problems[side] && html`<p class="failure" role="alert">${problems[side].message}</p>`}
          <${Drawn} ...${common} name=${NAMES[side]} side=${side} model=${models[side]} map=${mapOf(side)} labelMap=${map}
            channel=${Math.min(channel, view[side].channels.length - 1)}
            window=${storedWindow(scene.window, channels[side], usual)} sourceWindow=${scene.window}
            crop=${side === "before" ? view.crop : null} onLoaded=${told(side)} onFailure=${failed(side)}
            onWindow=${(moved) => change((before) => ({ window: dragged(before.window, moved, usual) }))} />
          <${Drawing} model=${models[side]} levels=${channels[side].levels} ticks=${ticks} />
        </div>`;
      })}
    </div>
    <${Readout} models=${models} channels=${channels} scene=${scene} map=${map} names=${NAMES} ticks=${ticks} width=${scene.window[1] - scene.window[0]} />
    <${Legend} models=${models} map=${map} view=${view} scene=${scene} change=${change} goTo=${goTo} />
    <${Keys} />
  </section>`;
}

const OTHER = { before: "after", after: "before" };

/** NiiVue is loaded only where it can draw. */
function LazyGlSide(props) {
  const [part, setPart] = useState(null);
  useEffect(() => { import("./gl_side.js").then(({ GlSide }) => setPart(() => GlSide), props.onFailure); }, []);
  return part ? html`<${part} ...${props} />` : html`<div class="stage"><p class="wait" role="status">Loading …</p></div>`;
}

function Missing({ name, text }) {
  return html`<div class="side"><h2>${name}</h2><p class="card" role="note">${text ?? `There is nothing ${name.toLowerCase()}.`}</p></div>`;
}

/** Which level is drawn, where it is not the finest. */
function Drawing({ model, levels }) {
  const number = model.image?.number;
  if (!number) return null;
  return html`<p class="quiet level">Drawn at level ${number} of ${levels.length - 1} (${model.image.shape.join(" × ")} voxels): the whole volume
    is too large for this browser. Values are those of this level; “Full resolution” below shows a plane exactly.</p>`;
}

const described = (side) => `${side.shape.join(" × ")} voxels, ${side.spacing.map((value) => Number(value.toFixed(4))).join(" × ")} mm`
  + `${side.oblique_degrees > 0.05 ? `, oblique by ${side.oblique_degrees.toFixed(1)}°` : ""}`;
const middle = (side) => (side ? apply(side.affine, side.shape.map((size) => Math.floor((size - 1) / 2))) : [0, 0, 0]);
const firstMap = (view) => (view.after?.labels[0] ?? view.before?.labels[0])?.name ?? "";
const channelNames = (view, shown) => shown.map((side) => view[side].channels.map(({ name }) => name)).sort((a, b) => b.length - a.length)[0] ?? [];

function shortcuts(event, change) {
  if (event.ctrlKey || event.altKey || event.metaKey || ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName)) return;
  if (event.key === "r") change((before) => ({ isRadiological: !before.isRadiological }));
  else if (event.key === "l") change((before) => ({ opacity: before.opacity > 0 ? 0 : 0.5 }));
  else return;
  event.preventDefault();
}

/** What tests in a browser ask the page. */
function usePublished({ view, models, channels, scene, goTo, loaded, shown, map }) {
  useEffect(() => {
    window.gpuprepView = {
      get ready() { return shown.every((side) => loaded.current.has(side)); },
      goTo,
      state: () => ({
        id: view.id, mm: scene.mm, window: scene.window, isRadiological: scene.isRadiological, map,
        ...Object.fromEntries(shown.map((side) => [side, { ...models[side].at(scene.mm, channels[side]), letters: models[side].letters,
          level: models[side].image?.number ?? null, road: models[side].image?.road ?? "png" }])),
      }),
    };
  });
}
