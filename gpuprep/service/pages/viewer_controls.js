// What one may set: window, channel, labels, layout; and the list of keys.
import { html, useEffect, useState } from "./vendor/preact.js";
import { PLANES } from "./tiles.js";
import { asEnds, asLevel } from "./windows.js";

export function Controls({ view, scene, change, usual, number, setNumber, channels, labelMaps, map, setMap, shown }) {
  const unit = Object.values(channels).map((channel) => channel.unit).find(Boolean);
  const names = shown.map((side) => view[side].channels.map(({ name }) => name)).sort((a, b) => b.length - a.length)[0] ?? [];
  const { level, width } = asLevel(scene.window);
  return html`<div class="controls card" role="group" aria-label="What is shown">
    <${Presets} windows=${view.windows} isAssumed=${view.windows_assumed} usual=${usual} window=${scene.window} change=${change} />
    <${Figure} label="Level" unit=${unit} value=${level} onValue=${(value) => change({ window: asEnds({ level: value, width }) })} />
    <${Figure} label="Width" unit=${unit} value=${width} onValue=${(value) => value > 0 && change({ window: asEnds({ level, width: value }) })} />
    <${Figure} label="From" value=${scene.window[0]} onValue=${(value) => value < scene.window[1] && change({ window: [value, scene.window[1]] })} />
    <${Figure} label="To" value=${scene.window[1]} onValue=${(value) => value > scene.window[0] && change({ window: [scene.window[0], value] })} />
    ${names.length > 1 && html`<${Choice} label="Channel" value=${number} onValue=${(value) => setNumber(Number(value))}
      options=${names.map((name, k) => [k, name])} />`}
    ${labelMaps.length > 0 && html`<${Choice} label="Labels" value=${map} onValue=${setMap}
      options=${[["", "none"], ...labelMaps.map((name) => [name, name])]} />
      <label>Opacity <input type="range" min="0" max="1" step="0.05" value=${scene.opacity} disabled=${!map}
        onInput=${(event) => change({ opacity: Number(event.target.value) })} /></label>`}
    <${Choice} label="Planes" value=${scene.plane} onValue=${(plane) => change({ plane })} options=${[["all", "all three"], ...PLANES.map((plane) => [plane, plane])]} />
    ${shown.length > 1 && html`<${Choice} label="Sides" value=${scene.layout} onValue=${(layout) => change({ layout })}
      options=${[["both", "both"], ["before", "before"], ["after", "after"]]} />`}
    <label><input type="checkbox" checked=${scene.isRadiological} onChange=${(event) => change({ isRadiological: event.target.checked })} /> Radiological
      <span class="quiet">(the patient’s right on the left)</span></label>
    <label><input type="checkbox" checked=${!scene.isBare} onChange=${(event) => change({ isBare: !event.target.checked })} /> Crosshair and letters</label>
  </div>`;
}

function Presets({ windows, isAssumed, usual, window: ends, change }) {
  const same = (other) => Math.abs(other[0] - ends[0]) < 1e-6 && Math.abs(other[1] - ends[1]) < 1e-6;
  const all = [["this case’s own", usual], ...windows.map((each) => [`${each.name} (${each.level} / ${each.width}${isAssumed ? ", if these are HU" : ""})`, asEnds(each)])];
  const chosen = all.findIndex(([, other]) => same(other));
  return html`<label>Window <select value=${chosen} onChange=${(event) => change({ window: all[event.target.value][1] })}>
    ${chosen < 0 && html`<option value="-1">set by hand</option>`}
    ${all.map(([name], k) => html`<option value=${k}>${name}</option>`)}</select></label>`;
}

function Choice({ label, value, options, onValue }) {
  return html`<label>${label} <select value=${value} onChange=${(event) => onValue(event.target.value)}>
    ${options.map(([each, name]) => html`<option value=${each}>${name}</option>`)}</select></label>`;
}

/** A number to type; taken over when it is one. */
function Figure({ label, unit, value, onValue }) {
  const shown = String(Number(value.toPrecision(6)));
  const [text, setText] = useState(shown);
  useEffect(() => setText(shown), [shown]);
  const take = () => {
    const number = Number(text);
    if (text.trim() !== "" && Number.isFinite(number)) onValue(number);
    else setText(shown);
  };
  return html`<label>${label} <input class="figure" inputmode="decimal" value=${text} onInput=${(event) => setText(event.target.value)}
    onChange=${take} onKeyDown=${(event) => event.key === "Enter" && take()} />${unit && html` <span class="quiet">${unit}</span>`}</label>`;
}

const KEYS = [
  ["Tab", "to the next plane or control"], ["← → ↑ ↓", "crosshair by one voxel in the plane, by ten with Shift"],
  ["Page Up, Page Down", "to the next plane towards R, A or S, and back"], ["+ − 0", "larger, smaller, whole"],
  ["r", "radiological or not"], ["l", "labels on or off"], ["x", "lines and letters on or off"],
  ["Pointer", "click or drag: crosshair; wheel: planes; Ctrl and wheel: size; right button or Shift and drag: window"],
];

export function Keys() {
  return html`<details class="keys"><summary>Keys</summary>
    <dl id="viewer-keys">${KEYS.map(([key, does]) => html`<dt>${key}</dt><dd>${does}</dd>`)}</dl></details>`;
}
