// Lines over time as SVG: no library, colours of the page, values for the eye, the pointer and the keyboard.
import { html, useRef } from "./vendor/preact.js";
import { nearest, pathOf } from "./history.js";
import { ago } from "./times.js";

/**
 * title; times: seconds; series: [{name, values}]; span: [first, last] seconds; most: end of the axis;
 * show: a value as text; cursor: a time that is pointed at, or null; onCursor: told where one points.
 */
export function Lines({ title, times, series, span, most, every, show, cursor, onCursor }) {
  const drawing = useRef();
  const at = times.length ? (cursor === null ? times.length - 1 : nearest(times, cursor)) : -1;
  const value = (values) => (at < 0 || values[at] === null || values[at] === undefined ? "–" : show(values[at]));
  const when = cursor === null || at < 0 ? "now" : ago(times[at], span[1]);
  const place = at < 0 ? 0 : (times[at] - span[0]) / (span[1] - span[0] || 1);
  const point = (event) => {
    const box = drawing.current.getBoundingClientRect();
    onCursor(span[0] + ((event.clientX - box.left) / box.width) * (span[1] - span[0]));
  };
  const step = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -12, PageDown: 12 }[event.key];
    if (event.key === "Escape") onCursor(null);
    if (by === undefined || at < 0) return;
    event.preventDefault();
    onCursor(times[Math.min(times.length - 1, Math.max(0, at + by))]);
  };
  const told = series.map(({ name, values }) => `${name ? `${name} ` : ""}${value(values)}`).join(", ");
  return html`<figure class="lines">
    <figcaption><strong>${title}</strong>${cursor !== null && html` <span class="quiet">${when}</span>`}
      <ul class="legend">${series.map(({ name, values }, k) => html`<li key=${name}>
        ${series.length > 1 && html`<svg class="key" viewBox="0 0 2 1" aria-hidden="true"><path class=${`s${k % 8}`} d="M0 .5H2" /></svg>`}
        ${name && html`<span class="quiet">${name}</span> `}<span class="figure">${value(values)}</span></li>`)}</ul>
    </figcaption>
    <div class="drawing" ref=${drawing} tabindex="0" role="slider" aria-label=${`${title}: time; arrow keys move, Escape is now`}
      aria-valuemin=${Math.round(span[0])} aria-valuemax=${Math.round(span[1])} aria-valuenow=${Math.round(at < 0 ? span[1] : times[at])}
      aria-valuetext=${`${when}: ${told}`}
      onPointerMove=${point} onPointerLeave=${() => onCursor(null)} onKeyDown=${step} onBlur=${() => onCursor(null)}>
      <span class="end quiet" aria-hidden="true">${show(most)}</span>
      <svg viewBox="0 -0.03 1 1.06" preserveAspectRatio="none" aria-hidden="true">
        <path class="grid" d="M0 0H1M0 .5H1M0 1H1" />
        ${series.map(({ name, values }, k) => html`<path key=${name} class=${`s${k % 8}`} d=${pathOf(times, values, span, most, 3.5 * every)} />`)}
        ${cursor !== null && html`<path class="cursor" d=${`M${place} 0V1`} />`}
      </svg>
    </div>
    <div class="axis quiet" aria-hidden="true"><span>${ago(span[0], span[1])}</span><span>now</span></div>
  </figure>`;
}
