// The page of a cohort that a service has: live while a job makes it, with what failed and how to retry it.
import { html, useMemo, useState } from "./vendor/preact.js";
import { CohortView } from "./cohort_view.js";
import { Failures } from "./failures.js";
import { getJson } from "./fetching.js";
import { Running, useLastJob } from "./running.js";
import { queryOf, stateOf } from "./selection.js";
import { useLoaded } from "./shell.js";
import { Remote } from "./source.js";
import { OPEN, mayChange } from "./states.js";

const isOpen = (job) => job !== undefined && OPEN.includes(job.state);
const OTHERS = html`<code>gpuprep status</code> on the cohort's folder gives the commands that retry.`;

export function Page({ cohort }) {
  document.title = `${cohort} · gpuprep`;
  const source = useMemo(() => new Remote(cohort), [cohort]);
  const [renewal, setRenewal] = useState(0);
  const who = useLoaded(() => getJson("/v1/about"), []).value;
  const jobs = useLastJob(cohort, who?.pages.includes("/jobs"), () => setRenewal((n) => n + 1));
  const { job } = jobs;
  const about = useLoaded(() => getJson(source.root), [source, renewal]);
  const failed = useLoaded(() => getJson(`${source.root}/failures`), [source, renewal]);
  const groups = failed.value?.items;
  const remember = (state) => {
    const query = queryOf(state);
    history.replaceState(null, "", query ? `?${query}` : location.pathname);
  };
  return html`<${CohortView} source=${source} start=${stateOf(location.search)} onChange=${remember} renewal=${renewal}
    isBegun=${!isOpen(job)} channels=${about.value?.channels} failures=${groups}
    above=${html`<${Running} job=${job} />`}
    aside=${html`<${Failures} groups=${groups} problem=${failed.problem} job=${job}
      mayRetry=${job && mayChange(who, job)} hint=${jobs.isKnown && !job && OTHERS} />`} />`;
}
