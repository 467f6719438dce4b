// One case, or one input file: its planes before and after, and everything that is known of it.
import { html, useEffect } from "./vendor/preact.js";
import { CaseFacts } from "./case_facts.js";
import { getJson } from "./fetching.js";
import { Failure, Loading, useLoaded } from "./shell.js";
import { Viewer } from "./viewer.js";

const draws = "WebGL2RenderingContext" in window && new URLSearchParams(location.search).get("force") !== "png";
if (draws) import("./gl_side.js").catch(() => {}); // while the case is asked for; a failure is told where it is needed

export function Page({ cohort, id }) {
  const url = id === undefined ? "/v1/input" : `/v1/cohorts/${encodeURIComponent(cohort)}/cases/${encodeURIComponent(id)}`;
  const { value: view, problem, loading } = useLoaded(() => getJson(url), [url]);
  useEffect(() => { document.title = `${view?.id ?? id ?? "input"} – gpuprep`; }, [view, id]);
  return html`<p class="crumbs">${cohort && html`<a href="/">Cohorts</a> › <a href=${`/cohorts/${encodeURIComponent(cohort)}`}>${cohort}</a>`}</p>
    <h1>${view?.id ?? id ?? "Input"}</h1>
    ${problem && html`<${Failure} problem=${problem} />`}
    ${loading && html`<${Loading} what="the case" />`}
    ${view && html`<${Viewer} view=${view} /><${CaseFacts} view=${view} />`}`;
}
