// Which cases are selected and which is marked: the search box, the ranges that hold, and the way back.
import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { parseWhere, whereOf } from "./brush.js";
import { CaseLink } from "./case_link.js";
import { rangeText } from "./histogram.js";
import { cases, count } from "./numbers.js";

const PAUSE = 250; // ms without a letter before it is searched

export const NOTHING = { wish: { search: "", brushes: {} }, sort: "", marked: "" };

export function Selection({ qc, wish, onWish, onBrush, isNarrowed, marked, onMark, one, source }) {
  const measures = Object.fromEntries(qc.measures.map((each) => [each.name, each]));
  return html`<section class="card selection" aria-label="Selection">
    <${Search} text=${wish.search} onText=${(search) => onWish({ ...wish, search })} />
    <span role="status">${isNarrowed ? `${count(qc.selected)} of ${cases(qc.cases)} selected` : `all ${cases(qc.cases)}`}</span>
    ${Object.entries(wish.brushes).map(([name, brush]) => html`<button class="chip" onClick=${() => onBrush(name, null)}>
      ${measures[name]?.title ?? name}: ${rangeText(brush, measures[name]?.unit)} <span aria-hidden="true">×</span><span class="unseen">clear</span></button>`)}
    ${isNarrowed && html`<button onClick=${() => onWish(NOTHING.wish)}>Select all</button>`}
    ${marked && html`<span class="lit marked">marked: <${CaseLink} id=${marked} source=${source} />${" "}
      ${one.problem && html` <span>(${one.problem.message})</span>`}
      <button onClick=${() => onMark("")}>Unmark</button></span>`}
    ${marked && one.value?.id === marked && one.value.outliers.length > 0 && html`<ul class="reasons" tabindex="0" aria-label="Why it stands out">${
      one.value.outliers.map(({ kind, text }) => html`<li><span class="quiet">${kind}</span> ${text}</li>`)}</ul>`}
  </section>`;
}

function Search({ text, onText }) {
  const [typed, setTyped] = useState(text);
  const timer = useRef(0);
  useEffect(() => setTyped(text), [text]);
  const type = (event) => {
    const { value } = event.target;
    setTyped(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onText(value.trim()), PAUSE);
  };
  return html`<label>Search id or finding <input type="search" value=${typed} onInput=${type} /></label>`;
}

/** The state that an address tells. */
export function stateOf(query) {
  const given = new URLSearchParams(query);
  const found = given.getAll("where").map(parseWhere).filter(Boolean);
  return {
    wish: { search: given.get("search") ?? "", brushes: Object.fromEntries(found.map(({ name, brush }) => [name, brush])) },
    sort: given.get("sort") ?? "",
    marked: given.get("case") ?? "",
  };
}

/** The address that tells a state. */
export function queryOf({ wish, sort, marked }) {
  const query = new URLSearchParams();
  if (wish.search) query.set("search", wish.search);
  for (const [name, brush] of Object.entries(wish.brushes)) query.append("where", whereOf(name, brush));
  if (sort) query.set("sort", sort);
  if (marked) query.set("case", marked);
  return query.toString();
}
