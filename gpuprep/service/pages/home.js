// The first page: which cohorts there are.
import { html } from "./vendor/preact.js";
import { getJson } from "./fetching.js";
import { Failure, Loading, useLoaded } from "./shell.js";

export function Page() {
  const { value, problem, loading } = useLoaded(() => getJson("/v1/cohorts"), []);
  return html`<h1>Cohorts</h1>
    ${problem && html`<${Failure} problem=${problem} />`}
    ${loading && html`<${Loading} what="cohorts" />`}
    ${value && html`<ul>${value.items.map((each) => html`
      <li><a href=${`/cohorts/${encodeURIComponent(each.name)}`}>${each.name}</a> ${each.cases} cases</li>`)}</ul>`}`;
}
