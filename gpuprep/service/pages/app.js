// Draws the page that the address names. Each page is a module with one component, loaded when it is needed.
import { Component, html, render } from "./vendor/preact.js";
import { Problem } from "./fetching.js";
import { Failure, Shell } from "./shell.js";

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
    let drawn = null;
    try {
      const given = Object.fromEntries(names.map((name, k) => [name, decode(found[k + 1])]));
      const { Page } = await load();
      drawn = html`<${Page} ...${given} />`;
    } catch (error) {
      drawn = html`<${Broken} error=${error} />`;
    }
    render(html`<${Shell}><${Guarded}>${drawn}<//><//>`, target);
    return;
  }
}

/** A part of the address as text. */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Problem({ detail: `${part} in the address is no text`, advice: "After each % an address has two digits of a byte: see whether the link was copied whole." });
  }
}

/** Shows what is in it, or, once that cannot be drawn, says so instead of leaving nothing. */
class Guarded extends Component {
  componentDidCatch(error) {
    console.error(error);
    this.setState({ error });
  }

  render({ children }, { error }) {
    return error ? html`<${Broken} error=${error} />` : children;
  }
}

function Broken({ error }) {
  document.title = "Cannot be shown · gpuprep";
  return html`<h1>This page cannot be shown</h1>
    <${Failure} problem=${error instanceof Problem ? error : { message: String(error?.message ?? error), advice: "Load it again; if it stays so, the service may have been replaced by another version: clear the browser's cache." }} />`;
}

start();
