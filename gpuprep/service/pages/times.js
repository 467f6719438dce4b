// Times and durations as people say them.
import { html, useEffect, useState } from "./vendor/preact.js";

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** A duration in the two largest units that it has: "40 ms", "7.5 s", "3 min 20 s". */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const whole = Math.max(0, seconds);
  if (whole < 0.9995) return whole < 0.0005 ? "0 s" : `${Math.round(1000 * whole)} ms`;
  if (whole < 9.95) return `${Number(whole.toFixed(1))} s`;
  let rest = Math.round(whole);
  const first = UNITS.findIndex(([, size]) => rest >= size);
  const [name, size] = UNITS[first];
  const text = `${Math.floor(rest / size)} ${name}`;
  rest %= size;
  const next = UNITS[first + 1];
  const more = next ? Math.floor(rest / next[1]) : 0;
  return more ? `${text} ${more} ${next[0]}` : text;
}

/** How long ago, or in how long, a time in seconds since the epoch is. */
export function ago(at, now) {
  const passed = now - at;
  if (Math.abs(passed) < 1.5) return "now";
  return passed > 0 ? `${duration(coarse(passed))} ago` : `in ${duration(coarse(-passed))}`;
}

/** Seconds without the small unit that nobody needs of a time long past: minutes say no seconds. */
function coarse(seconds) {
  const [, size] = [["d", 86400, 3], ["h", 3600, 10], ["min", 60, 2]].find((unit) => seconds >= unit[1] * unit[2]) ?? ["s", 1];
  return Math.floor(seconds / size) * size;
}

/** The date and time in the reader's own zone, to the second, with the zone's name. */
export function absolute(at) {
  return new Date(at * 1000).toLocaleString(undefined, {
    year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
    timeZoneName: "short",
  });
}

/** Seconds since the epoch, anew every so many milliseconds while somebody looks. */
export function useNow(every = 1000) {
  const [now, setNow] = useState(Date.now() / 1000);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || setNow(Date.now() / 1000), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

/** A time: how long ago, with the date and time behind it where there is room (`full`), else as its title. */
export function When({ at, full = false }) {
  const now = useNow(full ? 1000 : 5000);
  if (!at) return null;
  const text = absolute(at);
  return html`<time dateTime=${new Date(at * 1000).toISOString()} title=${full ? undefined : text}>
    ${ago(at, now)}${full && html` <span class="quiet">(${text})</span>`}</time>`;
}
