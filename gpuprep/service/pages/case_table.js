// The cases as a table: however many there are, only the rows in sight are in the document.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact.js";
import { useRows } from "./case_rows.js";
import { CaseLink, MarkButton } from "./case_link.js";
import { bytes, cases, count, value } from "./numbers.js";
import { Failure } from "./shell.js";
import { ROW_HEIGHT, scrollTo, windowOf } from "./virtual_window.js";

const HEAD = 36; // px

const along = (numbers, show) => (numbers.every((n) => n === null) ? "–" : numbers.map(show).join(" × "));
const FIXED = [
  { name: "id", title: "Case" },
  { name: "", title: "Size, voxels", show: (row) => along(row.size, count) },
  { name: "", title: "Spacing, mm", show: (row) => along(row.spacing, (x) => value(x, 3)) },
  { name: "bytes", title: "Stored", isNumber: true, show: (row) => bytes(row.bytes ?? NaN) },
  { name: "", title: "Stands out by", show: (row) => [...new Set(row.outliers)].join(", ") },
  { name: "", told: "labels", title: "Labels", show: (row) => row.labels.join(", ") },
  { name: "findings", told: "findings", title: "Findings", show: (row) => row.findings.join(", ") },
];

export function CaseTable({ source, wish, sort, onSort, measures, columns, onColumns, marked, onMark }) {
  const box = useRef(null);
  const [place, setPlace] = useState({ top: 0, height: 500 });
  const [active, setActive] = useState(0);
  const rowsSeen = useRef(0);
  const view = windowOf(place.top, place.height, rowsSeen.current);
  const names = columns.map((each) => each.name);
  const { total, row, problem } = useRows(source, wish, sort, names, view);
  rowsSeen.current = total;
  const { first, last, top, height } = windowOf(place.top, place.height, total);
  useEffect(() => {
    if (box.current) box.current.scrollTop = 0;
    setActive(0);
  }, [JSON.stringify([wish, sort])]);
  const see = () => setPlace({ top: box.current.scrollTop, height: box.current.clientHeight - HEAD });
  useLayoutEffect(see, [total]);
  const focus = useFocus(box, active);
  const onKeyDown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 12, PageUp: -12, Home: -total, End: total }[event.key];
    if (!step || !total) return;
    event.preventDefault();
    const next = Math.min(total - 1, Math.max(0, active + step));
    box.current.scrollTop = scrollTo(next, box.current.scrollTop, place.height, total);
    setActive(next);
    focus();
  };
  const reached = active >= first && active < last ? active : first; // one row is always reached by Tab
  const [id, ...others] = FIXED.filter(({ told }) => !told || source.tells(told));
  const all = [id, ...columns.map((each) => measured(each)), ...others];
  return html`<section aria-labelledby="cases">
    <h2 id="cases">Cases</h2>
    <p class="row"><span role="status">${cases(total)}</span> <${AddColumn} ...${{ measures, columns, onColumns }} /></p>
    ${problem && html`<${Failure} problem=${problem} />`}
    <div class="scroll cases" ref=${box} onScroll=${see} role="region" aria-label="Table of cases" tabindex="0">
      <table aria-rowcount=${total + 1}>
        <thead><tr aria-rowindex="1"><th><span class="unseen">Mark</span></th>
          ${all.map((column) => html`<${Head} key=${column.title} ...${{ column, sort, onSort, onColumns, columns }} />`)}</tr></thead>
        <tbody onKeyDown=${onKeyDown}>
          ${top > 0 && html`<tr class="spacer" aria-hidden="true" style=${{ height: `${top}px` }}><td colspan=${all.length + 1}></td></tr>`}
          ${Array.from({ length: Math.max(0, last - first) }, (_, k) => first + k).map((k) => html`
            <${Row} key=${k} ...${{ k, row: row(k), columns: all, source, marked, onMark, isReached: k === reached, setActive }} />`)}
          ${height - top - (last - first) * ROW_HEIGHT > 0 && html`<tr class="spacer" aria-hidden="true"
            style=${{ height: `${height - top - (last - first) * ROW_HEIGHT}px` }}><td colspan=${all.length + 1}></td></tr>`}
        </tbody>
      </table>
    </div>
  </section>`;
}

function useFocus(box, active) {
  const isWanted = useRef(false);
  useLayoutEffect(() => {
    const target = isWanted.current && box.current.querySelector(`tr[data-row="${active}"] button`);
    if (!target) return;
    target.focus({ preventScroll: true });
    isWanted.current = false;
  });
  return () => { isWanted.current = true; };
}

const measured = ({ name, title, unit }) => ({
  name, title: unit ? `${title}, ${unit}` : title, isNumber: true, isAdded: true, show: (row) => value(row.values?.[name]),
});

function Head({ column, sort, onSort, columns, onColumns }) {
  const { name, title, isNumber, isAdded } = column;
  const order = sort === name || (!sort && name === "id") ? "ascending" : sort === `-${name}` && name ? "descending" : undefined;
  const arrow = { ascending: "▲", descending: "▼" }[order] ?? "";
  return html`<th scope="col" class=${isNumber ? "number" : ""} aria-sort=${name ? order ?? "none" : undefined}>
    ${name ? html`<button class="bare" onClick=${() => onSort(order === "ascending" ? `-${name}` : name)}>${title}${" "}<span aria-hidden="true">${arrow}</span></button>` : title}
    ${isAdded && html`<button class="bare" aria-label=${`Take ${title} out of the table`}
      onClick=${() => onColumns(columns.filter((each) => each.name !== name))}>×</button>`}</th>`;
}

function Row({ k, row, columns, source, marked, onMark, isReached, setActive }) {
  if (!row) return html`<tr data-row=${k} aria-rowindex=${k + 2}><td colspan=${columns.length + 1} class="quiet">…</td></tr>`;
  const tab = isReached ? 0 : -1;
  const isMarked = row.id === marked;
  const mark = (event) => event.target.closest("a, button") || onMark(isMarked ? "" : row.id);
  return html`<tr data-row=${k} aria-rowindex=${k + 2} class=${isMarked ? "lit" : ""} onClick=${mark} onFocusIn=${() => setActive(k)}>
    <td><${MarkButton} id=${row.id} marked=${marked} onMark=${onMark} tabIndex=${tab} /></td>
    ${columns.map((column) => html`<td class=${column.isNumber ? "number" : ""}>${
      column.name === "id" ? html`<${CaseLink} id=${row.id} source=${source} tabIndex=${tab} />` : column.show(row)}</td>`)}</tr>`;
}

function AddColumn({ measures, columns, onColumns }) {
  const left = measures.filter((each) => !columns.some(({ name }) => name === each.name));
  const add = (event) => {
    const found = left.find((each) => each.name === event.target.value);
    if (found) onColumns([...columns, found]);
    event.target.value = "";
  };
  return html`<label>Add a column <select onChange=${add}><option value="">choose …</option>
    ${left.map(({ name, title }) => html`<option value=${name}>${title}</option>`)}</select></label>`;
}
