// Where the cohort's page takes its numbers from: a service, or the report's own columns. Both answer alike.
import { whereOf } from "./brush.js";
import { getJson } from "./fetching.js";

export { Embedded } from "./embedded.js";

/** A wish: {search, brushes: {measure: {low, high}}}; what is selected says yes to all of it. */
function asked({ search, brushes }, more = {}) {
  const query = new URLSearchParams();
  for (const [name, given] of Object.entries(more))
    for (const each of [given].flat()) if (each !== "" && each !== undefined) query.append(name, each);
  if (search) query.set("search", search);
  for (const [name, brush] of Object.entries(brushes)) query.append("where", whereOf(name, brush));
  const text = query.toString();
  return text && `?${text}`;
}

export class Remote {
  isLive = true;

  constructor(cohort) {
    this.name = cohort;
    this.root = `/v1/cohorts/${encodeURIComponent(cohort)}`;
  }

  /** The cohort in numbers, and how those that are selected lie among all. */
  overview(wish) {
    return getJson(`${this.root}/qc${asked(wish)}`);
  }

  /** Some rows of the selected cases: {items, total}; each item has `values` of the `measures` that are asked for. */
  rows(wish, { first, limit, sort = "", measures = [] }) {
    return getJson(`${this.root}/cases${asked(wish, { first, limit, sort, measure: measures })}`);
  }

  /** The same of those cases that have a picture. */
  pictured(wish, page) {
    return this.rows(wish, page);
  }

  /** What is measured of one case: {values, outliers}. */
  one(id) {
    return getJson(`${this.root}/qc/cases/${encodeURIComponent(id)}`);
  }

  /** The page of a case. */
  page(id) {
    return `/cohorts/${encodeURIComponent(this.name)}/cases/${encodeURIComponent(id)}`;
  }

  tells() {
    return true;
  }

  picture(id) {
    return `${this.root}/cases/${encodeURIComponent(id)}/thumbnail.png`;
  }
}
