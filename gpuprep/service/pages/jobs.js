// The jobs: those at work and in the queue, in the order in which they will begin, and those that are over.
import { html, useEffect, useState } from "./vendor/preact.js";
import { useFeed } from "./events.js";
import { getJson } from "./fetching.js";
import { Ended, Queue } from "./job_table.js";
import { counted } from "./numbers.js";
import { usePolled } from "./polled.js";
import { Spoken } from "./progress.js";
import { Failure, Loading, useLoaded } from "./shell.js";
import { ENDED, OPEN, STATES } from "./states.js";
import { Submitting } from "./submitting.js";

const POLL_MS = 2000;
const LONG_POLL_MS = 10_000; // of a long queue
const A_PAGE = 50;
const MOST_PAGES = 10;
const SHOWN = 200;

/** The filters that the address has. */
export function filtersOf(search) {
  const given = new URLSearchParams(search);
  const state = given.get("state") ?? "";
  return {
    state: state in STATES ? state : "",
    owner: given.get("owner") ?? "",
    cohort: given.get("cohort") ?? "",
    after: /^\d{1,18}$/.test(given.get("after") ?? "") ? given.get("after") : "",
  };
}

/** Where jobs of some states are listed, by the filters; "" where the filter leaves none of them. */
export function urlOf(filters, states, more) {
  const wanted = filters.state ? states.filter((state) => state === filters.state) : states;
  if (!wanted.length) return "";
  const query = new URLSearchParams(wanted.map((state) => ["state", state]));
  for (const name of ["owner", "cohort"]) if (filters[name]) query.set(name, filters[name]);
  for (const [name, value] of Object.entries(more)) if (value) query.set(name, value);
  return `/v1/jobs?${query}`;
}

/** Those at work first, the oldest before; then those that wait, by their place. */
export function inOrder(jobs) {
  const place = (job) => (job.queue ? job.queue.position : 0);
  return [...jobs].sort((a, b) => place(a) - place(b) || a.started - b.started || a.created - b.created);
}

const ask = (url) => (url ? getJson(url) : Promise.resolve({ items: [], next: null }));

/** All jobs of a list, page by page: the service tells the newest first, and the head of a queue is old. */
async function askAll(url) {
  const items = [];
  let { items: found, next } = await ask(url);
  items.push(...found);
  for (let k = 1; next && k < MOST_PAGES; k += 1) {
    ({ items: found, next } = await ask(`${url}&after=${next}`));
    items.push(...found);
  }
  return items;
}

export function Page() {
  const filters = filtersOf(location.search);
  const openUrl = filters.after ? "" : urlOf(filters, OPEN, { limit: 500 });
  const endedUrl = urlOf(filters, ENDED, { limit: A_PAGE, after: filters.after });
  const isFiltered = Boolean(filters.state || filters.owner || filters.cohort);
  const about = useLoaded(() => getJson("/v1/about"), []);
  const [isLong, setLong] = useState(false);
  const open = usePolled(() => askAll(openUrl), [], !openUrl ? 0 : isLong ? LONG_POLL_MS : POLL_MS);
  const ended = usePolled(() => ask(endedUrl), []);
  const feed = useFeed("/v1/events?after=end", { start: { told: 0, now: "" }, fold: folded });
  useEffect(() => {
    if (!feed.value.told && feed.state !== "live") return;
    open.again();
    ended.again();
  }, [feed.value.told, feed.state]);
  useEffect(() => { document.title = "Jobs · gpuprep"; }, []);
  const changed = () => { open.again(); ended.again(); };
  const jobs = inOrder(open.value ?? []);
  useEffect(() => setLong(jobs.length > SHOWN), [jobs.length > SHOWN]);
  const waiting = jobs.filter((job) => job.state === "queued").length;
  const summary = `${counted(jobs.length - waiting, "job")} at work, ${waiting} waiting`;
  const problem = open.problem ?? ended.problem;
  return html`<h1>Jobs</h1>
    <${Filters} filters=${filters} />
    ${problem && html`<${Failure} problem=${problem} />`}
    <${Spoken} text=${open.value ? summary : ""} now=${feed.value.now} />
    ${openUrl && html`<section aria-labelledby="queue-title">
      <h2 id="queue-title">At work and in the queue</h2>
      <${Link} state=${feed.state} text=${open.value ? summary : ""} />
      ${open.value ? html`<${Queue} jobs=${jobs.slice(0, SHOWN)} about=${about.value} onChange=${changed} isFiltered=${isFiltered} />`
        : open.loading && html`<${Loading} what="jobs" />`}
      ${jobs.length > SHOWN && html`<p class="quiet">${counted(jobs.length - SHOWN, "more", "more")} behind these.</p>`}
    </section>`}
    ${endedUrl && html`<section aria-labelledby="ended-title">
      <h2 id="ended-title">${filters.after ? "Older jobs that are over" : "Over"}</h2>
      ${ended.value ? html`<${Ended} jobs=${ended.value.items} isFiltered=${isFiltered} />` : ended.loading && html`<${Loading} what="jobs" />`}
      <${Pages} filters=${filters} next=${ended.value?.next} />
    </section>`}
    <${Submitting} />`;
}

/** How often something happened, and the last of it in words. */
export function folded(before, events) {
  const last = events.at(-1);
  const state = STATES[last.name.replace("job.", "")];
  return { told: before.told + events.length, now: state ? `${last.cohort}: ${state.text}` : before.now };
}

function Link({ state, text }) {
  const words = { live: "live", waiting: "connection lost, trying again", hidden: "paused", refused: "not live" };
  return html`<p class="quiet"><span class=${`dot ${state}`} aria-hidden="true"></span>${words[state] ?? state}${text && `; ${text}`}</p>`;
}

function Filters({ filters }) {
  const [isChanged, setChanged] = useState(false);
  return html`<form class="filters" method="get" action="/jobs" onInput=${() => setChanged(true)}>
    <label>State <select name="state">
      <option value="">all</option>
      ${Object.entries(STATES).map(([name, { text }]) => html`
        <option value=${name} selected=${name === filters.state}>${text}</option>`)}
    </select></label>
    <label>Cohort <input name="cohort" value=${filters.cohort} maxlength="100" size="14" autocomplete="off" /></label>
    <label>Owner <input name="owner" value=${filters.owner} maxlength="100" size="10" autocomplete="off" /></label>
    <button type="submit" class=${isChanged ? "main" : ""}>Show</button>
    ${(filters.state || filters.owner || filters.cohort) && html`<a href="/jobs">Show all</a>`}
  </form>`;
}

function Pages({ filters, next }) {
  const to = (after) => {
    const query = new URLSearchParams(Object.entries({ ...filters, after }).filter(([, value]) => value));
    return `/jobs${query.size ? `?${query}` : ""}`;
  };
  if (!next && !filters.after) return null;
  return html`<nav class="pages" aria-label="Pages of jobs">
    ${filters.after && html`<a href=${to("")}>Newest jobs</a>`}
    ${next && html`<a href=${to(next)}>Older jobs</a>`}
  </nav>`;
}
