// Draws the page that the address names. Each page is a module with one component, loaded when it is needed.
import { html, render } from "./vendor/preact.js";
import { Shell } from "./shell.js";

const part = "([^/]+)";
const PAGES = [
  [/^\/$/, () => import("./home.js")],
  [new RegExp(`^/cohorts/${part}/?$`), () => import("./cohort.js"), "cohort"],
  [new RegExp(`^/cohorts/${part}/cases/${part}/?$`), () => import("./case.js"), "cohort", "id"],
  [/^\/input\/?$/, () => import("./case.js")],
  [/^\/jobs\/?$/, () => import("./jobs.js")],
  [new RegExp(`^/jobs/${part}/?$`), () => import("./job.js"), "job"],
  [/^\/machine\/?$/, () => import("./machine.js")],
];

async function start() {
  const target = document.getElementById("page");
  for (const [pattern, load, ...names] of PAGES) {
    const found = pattern.exec(location.pathname);
    if (!found) continue;
    const given = Object.fromEntries(names.map((name, k) => [name, decodeURIComponent(found[k + 1])]));
    const { Page } = await load();
    render(html`<${Shell}><${Page} ...${given} /><//>`, target);
    return;
  }
}

start();
