// What happens in the service as it happens: its server-sent events, read by fetch, so that a reader that comes
// back says behind which event it goes on (Last-Event-ID) and sees why it is refused.
import { useEffect, useRef, useState } from "./vendor/preact.js";

const BATCH_MS = 300; // pages draw at most so often
const HIDDEN_MS = 30_000; // a browser has few connections for a host; hidden pages let theirs go
const SILENT_MS = 45_000; // the service gives a sign of life every 15 s
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;
const LOST = [401, 403, 404, 422];

/** Takes a stream piece by piece and gives the events that are whole. */
export class EventParser {
  lastId = null;
  #rest = "";
  #name = "";
  #data = "";
  #id = null;

  /** Forget what was cut off; the stream will begin behind the last whole event. */
  reset() {
    [this.#rest, this.#name, this.#data, this.#id] = ["", "", "", this.lastId];
  }

  push(text) {
    const lines = (this.#rest + text).split("\n"); // only a line feed ends a line, whatever a name holds
    this.#rest = lines.pop();
    const found = [];
    for (const line of lines) {
      if (line) {
        this.#take(line);
        continue;
      }
      this.lastId = this.#id;
      if (this.#name && this.#data) found.push(this.#event());
      [this.#name, this.#data] = ["", ""];
    }
    return found;
  }

  #take(line) {
    const place = line.indexOf(": ");
    const [key, given] = [line.slice(0, place), line.slice(place + 2)];
    if (key === "id" && /^\d+$/.test(given)) this.#id = Number(given);
    else if (key === "event") this.#name = given;
    else if (key === "data") this.#data += given;
  }

  #event() {
    let told = {};
    try { told = JSON.parse(this.#data); } catch { /* torn by a crash */ }
    const { event, ...more } = told;
    return { ...more, id: this.lastId, name: this.#name };
  }
}

/**
 * Follow a stream until the function that comes back is called.
 * onEvents: gets batches; onState: "live", "waiting" (tried again), "hidden", "over", "refused".
 * until: says by the last event whether a stream that the service ended is to be let be.
 */
export function follow(url, { onEvents, onState = () => {}, until = () => false }) {
  const stopped = new AbortController();
  const reader = { url, onEvents, onState, until, parser: new EventParser(), last: null, stop: stopped.signal };
  keepReading(reader);
  return () => stopped.abort();
}

async function keepReading(reader) {
  let wait = FIRST_WAIT_MS;
  while (!reader.stop.aborted) {
    if (document.hidden) {
      reader.onState("hidden");
      await becomes(reader.stop, () => !document.hidden);
      continue;
    }
    const { end, told, retryAfter } = await readOnce(reader);
    if (reader.stop.aborted) return;
    if (end === "refused" || (end === "ended" && reader.last && reader.until(reader.last))) {
      reader.onState(end === "refused" ? end : "over");
      return;
    }
    if (end === "hidden") continue;
    reader.onState("waiting");
    if (told) wait = FIRST_WAIT_MS;
    await pause(reader.stop, Math.max(wait, retryAfter * 1000));
    wait = Math.min(2 * wait, LONGEST_WAIT_MS);
  }
}

/** Read one stream to its end: why it ended, and whether it told anything. */
async function readOnce(reader) {
  const cut = new AbortController();
  const unwatch = watchHidden(() => cut.abort("hidden"));
  const silence = timer(SILENT_MS, () => cut.abort("silent"));
  const batch = new Batch(reader.onEvents);
  const stop = () => cut.abort("stopped");
  reader.stop.addEventListener("abort", stop, { once: true });
  let told = false;
  try {
    reader.parser.reset();
    const place = reader.parser.lastId;
    const headers = { Accept: "text/event-stream", ...(place === null ? {} : { "Last-Event-ID": String(place) }) };
    const answer = await fetch(reader.url, { headers, signal: cut.signal, cache: "no-store" });
    if (!answer.ok) return { end: LOST.includes(answer.status) ? "refused" : "busy", retryAfter: retryAfter(answer) };
    reader.onState("live");
    const decoder = new TextDecoder();
    for (const body = answer.body.getReader(); ;) {
      const { done, value } = await body.read();
      if (done) return { end: "ended", told, retryAfter: 0 };
      silence.again();
      const events = reader.parser.push(decoder.decode(value, { stream: true }));
      if (events.length) [told, reader.last] = [true, events.at(-1)];
      batch.add(events);
    }
  } catch {
    return { end: cut.signal.reason === "hidden" ? "hidden" : "broken", told, retryAfter: 0 };
  } finally {
    batch.flush(reader.stop.aborted);
    silence.end();
    unwatch();
    reader.stop.removeEventListener("abort", stop);
  }
}

class Batch {
  #events = [];
  #timer = null;
  constructor(tell) { this.tell = tell; }

  add(events) {
    if (!events.length) return;
    for (const event of events) this.#events.push(event);
    this.#timer ??= setTimeout(() => this.flush(), BATCH_MS);
  }

  flush(isUnwanted = false) {
    clearTimeout(this.#timer);
    const events = this.#events;
    [this.#events, this.#timer] = [[], null];
    if (events.length && !isUnwanted) this.tell(events);
  }
}

const retryAfter = (answer) => Math.min(120, Number(answer.headers.get("retry-after")) || 0);

function timer(milliseconds, act) {
  let id = setTimeout(act, milliseconds);
  return { end: () => clearTimeout(id), again: () => { clearTimeout(id); id = setTimeout(act, milliseconds); } };
}

/** Act once the page has been hidden for long; what comes back ends the watch. */
function watchHidden(act) {
  let id = null;
  const look = () => {
    clearTimeout(id);
    if (document.hidden) id = setTimeout(act, HIDDEN_MS);
  };
  document.addEventListener("visibilitychange", look);
  return () => { clearTimeout(id); document.removeEventListener("visibilitychange", look); };
}

function becomes(stop, isSo) {
  return new Promise((resolve) => {
    const look = () => (isSo() || stop.aborted) && (document.removeEventListener("visibilitychange", look), resolve());
    document.addEventListener("visibilitychange", look);
    stop.addEventListener("abort", look, { once: true });
    look();
  });
}

const pause = (stop, milliseconds) => new Promise((resolve) => {
  const id = setTimeout(resolve, milliseconds);
  stop.addEventListener("abort", () => { clearTimeout(id); resolve(); }, { once: true });
});

/** What `fold(value, events)` makes of a stream, from `start` on; read anew when `url` or `again` changes. */
export function useFeed(url, { start, fold, until, again = 0 }) {
  const [kept, setKept] = useState({ value: start, state: "waiting" });
  const latest = useRef();
  latest.current = { fold, until };
  useEffect(() => {
    setKept({ value: start, state: "waiting" });
    if (!url) return undefined;
    return follow(url, {
      onEvents: (events) => setKept((now) => ({ ...now, value: latest.current.fold(now.value, events) })),
      onState: (state) => setKept((now) => (now.state === state ? now : { ...now, state })),
      until: (event) => Boolean(latest.current.until?.(event)),
    });
  }, [url, again]);
  return kept;
}
