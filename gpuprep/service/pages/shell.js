// What every page has around it, and the few things that all of them show.
import { html, useEffect, useState } from "./vendor/preact.js";
import { getJson } from "./fetching.js";

const LINKS = [["/", "Cohorts"], ["/jobs", "Jobs"], ["/machine", "Machine"]];

export function Shell({ children }) {
  const about = useLoaded(() => getJson("/v1/about"), []);
  const here = location.pathname.startsWith("/cohorts") ? "/" : `/${location.pathname.split("/")[1]}`;
  const links = about.value?.pages ?? LINKS.map(([href]) => href);
  return html`
    <a class="skip" href="#main">Skip to the page</a>
    <header class="top">
      <a class="brand" href="/">gpuprep</a>
      <nav aria-label="Pages">
        ${LINKS.filter(([href]) => links.includes(href)).map(([href, name]) => html`
          <a href=${href} aria-current=${href === here ? "page" : undefined}>${name}</a>`)}
      </nav>
      <span class="who">${about.value?.who}</span>
    </header>
    <main id="main" tabindex="-1">
      ${about.problem?.status === 401 ? html`<${LogIn} />` : children}
    </main>`;
}

function LogIn() {
  return html`<h1>Not logged in</h1>
    <p>Open the link that <code>gpuprep serve</code> or <code>gpuprep view</code> printed; it works once, for ten
    minutes. Start the command again for another.</p>`;
}

/** What a promise gives: {value, problem, loading}; asked again when one of `when` changes. */
export function useLoaded(ask, when) {
  const [state, setState] = useState({ loading: true });
  useEffect(() => {
    let isWanted = true;
    setState((before) => ({ ...before, loading: true }));
    ask().then(
      (value) => isWanted && setState({ value, loading: false }),
      (problem) => isWanted && setState({ problem, loading: false }),
    );
    return () => { isWanted = false; };
  }, when);
  return state;
}

export function Failure({ problem }) {
  if (problem.status === 401) return html`<div class="failure" role="alert"><strong>The session is over</strong>
    <p>It lasts twelve hours, and ends with the service. Open a new link: <code>gpuprep serve</code> prints one when it starts.</p></div>`;
  return html`<div class="failure" role="alert"><strong>${problem.message}</strong>
    ${problem.advice && html`<p>${problem.advice}</p>`}</div>`;
}

export function Loading({ what = "" }) {
  return html`<p class="quiet" role="status">Loading ${what} …</p>`;
}
