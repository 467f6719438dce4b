// A case's name that leads to its page, and the button that marks it in all plots.
import { html } from "./vendor/preact.js";

export function CaseLink({ id, source, tabIndex }) {
  const page = source.page(id);
  return page ? html`<a class="case" href=${page} tabindex=${tabIndex}>${id}</a>` : html`<span class="case">${id}</span>`;
}

export function MarkButton({ id, marked, onMark, ...more }) {
  const isMarked = id === marked;
  return html`<button class="marker" aria-pressed=${isMarked} aria-label=${`Mark ${id} in all plots`} title="Mark in all plots"
    onClick=${() => onMark(isMarked ? "" : id)} ...${more}><svg viewBox="0 0 12 12" aria-hidden="true"><path d="M1 2h10L6 11z" /></svg></button>`;
}
