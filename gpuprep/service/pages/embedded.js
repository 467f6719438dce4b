// A cohort that a report has in itself: counted in the browser, with the rules of the service.
import { binAt, holds } from "./brush.js";

const MOST_OUTLIERS = 200; // told at once, as by the service

/** Bytes of base64; numbers are little-endian, as on every browser's machine. */
function decoded(text) {
  const letters = atob(text);
  return Uint8Array.from({ length: letters.length }, (_, k) => letters.charCodeAt(k));
}

/** Columns by name; `kindOf` says by its bytes per case what a column holds. */
const decodedAll = (given, cases, kindOf) => Object.fromEntries(Object.entries(given ?? {}).map(([name, text]) => {
  const bytes = decoded(text);
  return [name, new (kindOf(bytes.length / cases))(bytes.buffer)];
}));

export class Embedded {
  isLive = false;

  constructor(data) {
    this.name = data.name;
    this.data = data;
    this.columns = decodedAll(data.columns, data.ids.length, (size) => (size === 8 ? Float64Array : Float32Array));
    this.classes = decodedAll(data.classes, data.ids.length, () => Uint8Array);
    this.rowOf = new Map(data.ids.map((id, row) => [id, row]));
    this.kinds = new Map(); // in which a case stands out
    for (const { case: id, kind } of data.qc.outliers.items) this.kinds.set(id, [...(this.kinds.get(id) ?? []), kind]);
    this.lower = data.ids.map((id, row) => `${id}\n${data.rows?.findings?.[row] ?? ""}`.toLowerCase()); // what is searched
  }

  async overview(wish) {
    const rows = this.selected(wish);
    const chosen = new Set(rows);
    const { qc } = this.data;
    const items = qc.outliers.items.filter((each) => chosen.has(this.rowOf.get(each.case)));
    return {
      ...qc,
      selected: rows.length,
      outliers: rows.length === this.lower.length ? qc.outliers : { total: items.length, items: items.slice(0, MOST_OUTLIERS) },
      measures: qc.measures.map((each) => ({ ...each, selected: this.counts(each, rows) })),
      classes: qc.classes.map((each) => ({ ...each, selected: this.present(each, rows) })),
    };
  }

  async rows(wish, page) {
    return this.part(this.sorted(this.selected(wish), page.sort), page);
  }

  async pictured(wish, page) {
    const rows = this.selected(wish).filter((row) => this.picture(this.data.ids[row]));
    return this.part(this.sorted(rows, page.sort), page);
  }

  part(rows, { first, limit, measures = [] }) {
    const items = rows.slice(first, first + limit).map((row) => this.item(row, measures));
    return { items, total: rows.length };
  }

  async one(id) {
    const row = this.rowOf.get(id);
    const names = Object.keys(this.columns);
    return {
      values: Object.fromEntries(names.map((name) => [name, this.value(name, row)])),
      outliers: this.data.qc.outliers.items.filter((each) => each.case === id),
    };
  }

  page() {
    return null;
  }

  /** Whether it has a column at all: of very many cases a report leaves out texts that are the same for all. */
  tells(name) {
    return Boolean(this.data.rows?.[name] ?? this.columns[name]);
  }

  picture(id) {
    return this.data.thumbnails?.[id] ?? null;
  }

  /** The rows that say yes to all of a wish, in their own order. */
  selected({ search, brushes }) {
    const text = search.toLowerCase();
    const wanted = Object.entries(brushes).map(([name, brush]) => [this.columns[name], brush]);
    const rows = [];
    for (let row = 0; row < this.lower.length; row += 1)
      if (this.lower[row].includes(text) && wanted.every(([column, brush]) => column && holds(brush, column[row])))
        rows.push(row);
    return rows;
  }

  counts({ name, edges }, rows) {
    const counts = new Array(edges.length - 1).fill(0);
    const [first, last] = [edges[0], edges[counts.length]];
    for (const row of rows) {
      const value = this.columns[name][row];
      if (!Number.isNaN(value)) counts[binAt(Math.min(last, Math.max(first, value)), edges)] += 1;
    }
    return counts;
  }

  present({ map, value, selected }, rows) {
    const column = this.classes[`${map} ${value}`];
    return column ? rows.reduce((sum, row) => sum + column[row], 0) : selected;
  }

  /** Rows by a key, missing values last both ways, equal ones in their own order. */
  sorted(rows, sort = "") {
    const falls = sort.startsWith("-");
    const name = falls ? sort.slice(1) : sort;
    if (!name || name === "id") return falls ? rows.toReversed() : rows;
    const key = this.key(name);
    return rows.toSorted((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a - b;
      return (falls ? y - x : x - y) || a - b;
    });
  }

  key(name) {
    const column = this.columns[name] ?? this.data.rows?.[name] ?? [];
    return (row) => (typeof column[row] === "string" ? words(column[row]).length : column[row] ?? NaN);
  }

  value(name, row) {
    const found = this.columns[name]?.[row];
    return found === undefined || Number.isNaN(found) ? null : found;
  }

  item(row, measures) {
    const { ids, rows = {} } = this.data;
    const along = (name) => ["x", "y", "z"].map((axis) => this.value(`${name}_${axis}`, row));
    return {
      id: ids[row],
      size: along("shape"),
      spacing: along("spacing"),
      bytes: rows.bytes?.[row] ?? this.value("bytes", row),
      channels: words(rows.channels?.[row]),
      labels: words(rows.labels?.[row]),
      findings: words(rows.findings?.[row]),
      outliers: this.kinds.get(ids[row]) ?? [],
      values: Object.fromEntries(measures.map((name) => [name, this.value(name, row)])),
    };
  }
}

const words = (text) => (text ? text.split(", ") : []);
