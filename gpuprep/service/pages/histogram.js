// One distribution: all cases in grey, the selected ones in colour, the usual range behind, a marked case as a line.
import { html, useRef, useState } from "./vendor/preact.js";
import { brushOf, dragged, parseBound, placeOf, stepOf, ticksOf } from "./brush.js";
import { cases, count, value, valueWith } from "./numbers.js";

const [WIDTH, HEIGHT, TOP, BOTTOM] = [300, 118, 14, 20]; // of the drawing; text is 11 of these high

const SIDE = 5; // left free for half a mark
const ROOM = WIDTH - 2 * SIDE;
const across = (share) => SIDE + share * ROOM;

/** measure as /qc tells it; brush {low, high} or undefined; marked: the value of the case in the light. */
export function Histogram({ measure, isNarrowed, brush, onBrush, marked }) {
  const { title, unit, median, low, high, missing } = measure;
  return html`<div class="card plot" role="group" aria-label=${title}>
    <h4>${title}${unit && html` <span class="quiet">${unit}</span>`}</h4>
    <${Drawing} ...${{ measure, isNarrowed, brush, onBrush, marked }} />
    <p class="numbers">median ${value(median)} · usual ${value(low)} to ${value(high)}${
      missing > 0 && html` · <span class="quiet">${cases(missing)} without</span>`}</p>
    ${marked !== undefined && html`<p class="numbers lit">marked case: ${
      marked === null ? "has none" : valueWith(marked, unit)}</p>`}
    <${Range} ...${{ measure, isNarrowed, brush, onBrush }} />
  </div>`;
}

function Drawing({ measure, isNarrowed, brush, onBrush, marked }) {
  const [drag, setDrag] = useState(null);
  const box = useRef(null);
  const { edges, counts, selected } = measure;
  const most = Math.max(1, ...counts);
  const share = (event) => {
    const { left, width } = box.current.getBoundingClientRect();
    return (((event.clientX - left) / width) * WIDTH - SIDE) / ROOM;
  };
  const start = (event) => {
    if (event.button !== 0) return;
    box.current.setPointerCapture(event.pointerId);
    setDrag([share(event), share(event)]);
  };
  const move = (event) => drag && setDrag([drag[0], share(event)]);
  const end = (event) => {
    if (drag) onBrush(dragged(drag[0], share(event), edges));
    setDrag(null);
  };
  const range = drag ?? (brush && [brush.low ?? edges[0], brush.high ?? edges[edges.length - 1]].map((x) => placeOf(x, edges)));
  const [from, to] = range ? [Math.min(...range), Math.max(...range)].map((x) => Math.min(1, Math.max(0, x))) : [];
  const [low, high, median] = [measure.low, measure.high, measure.median].map((x) => across(placeOf(x, edges)));
  return html`<svg ref=${box} class="histogram" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label=${said(measure, marked)}
      onPointerDown=${start} onPointerMove=${move} onPointerUp=${end} onPointerCancel=${() => setDrag(null)}>
    ${high > low && html`<rect class="usual" x=${low} y=${TOP} width=${high - low} height=${HEIGHT - TOP - BOTTOM} />`}
    ${range && html`<rect class="brush" x=${across(from)} y=${TOP} width=${Math.max(1, (to - from) * ROOM)} height=${HEIGHT - TOP - BOTTOM} />`}
    <path class="all" d=${bars(counts, most)} />
    ${isNarrowed && html`<path class="chosen" d=${bars(selected, most)} />`}
    <line class="median" x1=${median} x2=${median} y1=${TOP} y2=${HEIGHT - BOTTOM} />
    <line class="axis" x1="0" x2=${WIDTH} y1=${HEIGHT - BOTTOM} y2=${HEIGHT - BOTTOM} />
    <text x="0" y="10">${count(most)}</text>
    <${Ticks} edges=${edges} />
    ${typeof marked === "number" && html`<${Mark} x=${across(placeOf(marked, edges))} />`}
  </svg>`;
}

function bars(counts, most) {
  const [width, room] = [ROOM / counts.length, HEIGHT - TOP - BOTTOM];
  const gap = counts.length > 1 ? Math.min(1, width / 6) : 0;
  return counts.map((n, k) => {
    if (!n) return "";
    const tall = Math.max(1.5, (n / most) * room); // one of ten thousand is seen, too
    return `M${(SIDE + k * width + gap / 2).toFixed(2)} ${HEIGHT - BOTTOM}v${-tall.toFixed(2)}h${(width - gap).toFixed(2)}v${tall.toFixed(2)}z`;
  }).join("");
}

function Ticks({ edges }) {
  const [first, last] = farEnds(edges);
  let free = first ? 6.4 * first.length : 0; // where the next text may begin
  const end = last ? WIDTH - 6.4 * last.length : WIDTH;
  const shown = [];
  for (const tick of ticksOf(edges)) {
    const [x, text] = [across(placeOf(tick, edges)), value(tick)];
    const half = text.length * 3.2;
    if (x - half < free || x + half > end) continue;
    shown.push({ x, text });
    free = x + half + 6;
  }
  return html`${first && html`<text x="0" y=${HEIGHT - 4}>${first}</text>`}
    ${last && html`<text x=${WIDTH} y=${HEIGHT - 4} text-anchor="end">${last}</text>`}
    ${shown.map(({ x, text }) => html`<line class="axis" x1=${x} x2=${x} y1=${HEIGHT - BOTTOM} y2=${HEIGHT - BOTTOM + 4} />
    <text x=${x} y=${HEIGHT - 4} text-anchor="middle">${text}</text>`)}`;
}

/** What is written at the ends of an axis whose first or last bin reaches much farther than the others. */
function farEnds(edges) {
  const bins = edges.length - 1;
  if (bins < 3) return [];
  const usual = 1.5 * (edges[2] - edges[1]);
  return [edges[1] - edges[0] > usual && `${value(edges[0])} …`, edges[bins] - edges[bins - 1] > usual && `… ${value(edges[bins])}`];
}

const Mark = ({ x }) => html`<path class="mark" d=${`M${x} ${TOP}V${HEIGHT - BOTTOM}M${x - 4} ${TOP - 6}h8l-4 6z`} />`;

function said({ title, unit, edges, counts, median, low, high }, marked) {
  const total = counts.reduce((sum, n) => sum + n, 0);
  const range = `${value(edges[0])} to ${valueWith(edges[edges.length - 1], unit)}`;
  const mark = typeof marked === "number" ? `, marked case ${valueWith(marked, unit)}` : "";
  return `${title}: ${cases(total)} from ${range}, median ${value(median)}, usual ${value(low)} to ${value(high)}${mark}`;
}

/** The range in figures, for the keyboard, and the bars as a table. */
function Range({ measure, isNarrowed, brush, onBrush }) {
  const [isOpen, setOpen] = useState(false);
  const { edges, counts, selected, unit, title } = measure;
  const change = (end) => (event) => {
    const bound = parseBound(event.target.value);
    if (bound === undefined) return;
    const { low = null, high = null } = brush ?? {};
    onBrush(end === "low" ? brushOf(bound, high) : brushOf(low, bound));
  };
  const bound = (end, name) => html`<label>${name} <input type="number" step=${stepOf(edges)} value=${brush?.[end] ?? ""}
    aria-label=${`${title}, ${end === "low" ? "lowest" : "highest"} ${unit}`} onChange=${change(end)} /></label>`;
  return html`<details onToggle=${(event) => setOpen(event.target.open)}>
    <summary>${brush ? html`<span class="lit">${rangeText(brush, unit)}</span>` : "select a range, see figures"}<span class="unseen"> of ${title}</span></summary>
    ${isOpen && html`<div class="range">${bound("low", "from")}${bound("high", "to")}
      <button disabled=${!brush} onClick=${() => onBrush(null)}>Clear</button></div>
    <div class="scroll short" tabindex="0" role="region" aria-label=${`${title} in figures`}><table>
      <thead><tr><th class="number">from</th><th class="number">to</th><th class="number">cases</th>${isNarrowed && html`<th class="number">selected</th>`}</tr></thead>
      <tbody>${counts.map((n, k) => html`<tr><td class="number">${value(edges[k])}</td><td class="number">${value(edges[k + 1])}</td>
        <td class="number">${count(n)}</td>${isNarrowed && html`<td class="number">${count(selected[k])}</td>`}</tr>`)}</tbody>
    </table></div>`}
  </details>`;
}

export function rangeText({ low, high }, unit) {
  if (low === null) return `at most ${valueWith(high, unit)}`;
  if (high === null) return `at least ${valueWith(low, unit)}`;
  return `${value(low)} to ${valueWith(high, unit)}`;
}
