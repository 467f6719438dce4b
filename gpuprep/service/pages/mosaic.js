// Small pictures of the selected cases, a page of them at a time, in the order of the table.
import { html, useEffect, useState } from "./vendor/preact.js";
import { cases, count } from "./numbers.js";
import { Failure, useLoaded } from "./shell.js";

const PAGE = matchMedia("(min-width: 40rem)").matches ? 20 : 10;

export function Mosaic({ source, wish, sort, marked, onMark }) {
  const [first, setFirst] = useState(0);
  const key = JSON.stringify([wish, sort]);
  useEffect(() => setFirst(0), [key]);
  const { value, problem } = useLoaded(() => source.pictured(wish, { first, limit: PAGE, sort }), [key, first, source]);
  if (problem) return html`<${Failure} problem=${problem} />`;
  const { items = [], total = 0 } = value ?? {};
  const turn = (step) => setFirst(Math.max(0, first + step * PAGE));
  return html`<section aria-labelledby="mosaic">
    <h2 id="mosaic">Pictures</h2>
    ${!source.isLive && value && html`<p class="quiet">${total ? `of ${cases(total)}` : "None of these cases has one."}</p>`}
    <ul class="mosaic">${items.map(({ id }) => html`<li key=${id} class=${id === marked ? "lit" : ""}>
      <${Tile} id=${id} source=${source} onMark=${onMark} /></li>`)}</ul>
    ${total > PAGE && html`<nav class="pager" aria-label="Pages of pictures">
      <button disabled=${first === 0} onClick=${() => turn(-1)}>Previous</button>
      <span role="status">${count(first + 1)} to ${count(Math.min(total, first + PAGE))} of ${cases(total)}</span>
      <button disabled=${first + PAGE >= total} onClick=${() => turn(1)}>Next</button></nav>`}
  </section>`;
}

function Tile({ id, source, onMark }) {
  const [isMissing, setMissing] = useState(false);
  const [picture, page] = [source.picture(id), source.page(id)];
  const isShown = picture && !isMissing;
  const shown = html`<span class="thumb">${isShown
    ? html`<img src=${picture} alt=${id} loading="lazy" decoding="async" onError=${() => setMissing(true)} />`
    : html`<span class="quiet">no picture</span>`}</span><span class="name" aria-hidden=${isShown ? "true" : undefined}>${id}</span>`;
  return page ? html`<a href=${page}>${shown}</a>` : html`<button onClick=${() => onMark(id)}>${shown}</button>`;
}
