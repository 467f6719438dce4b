// A cohort in the eyes of its page and of the report: what stands out, what is selected, and how all of it is spread.
import { html, useEffect, useState } from "./vendor/preact.js";
import { CaseTable } from "./case_table.js";
import { Classes, Findings } from "./classes.js";
import { Distributions } from "./distributions.js";
import { Mosaic } from "./mosaic.js";
import { Outliers } from "./outliers.js";
import { usePolled } from "./polled.js";
import { NOTHING, Selection } from "./selection.js";
import { Failure, Loading } from "./shell.js";
import { Summary } from "./summary.js";

/**
 * start: {wish, sort, marked} of the address; onChange is told of every other; renewal: another number when the cohort has
 * changed; isBegun: false while its job has not stored anything; aside: drawn beside the outliers.
 */
export function CohortView({ source, start, onChange, channels, failures, renewal = 0, isBegun = true, above, aside }) {
  const [state, setState] = useState(start);
  const { wish, sort, marked } = state;
  const change = (some) => setState((before) => ({ ...before, ...some }));
  useEffect(() => onChange?.(state), [state]);
  const isNarrowed = wish.search !== "" || Object.keys(wish.brushes).length > 0;
  const all = usePolled(() => source.overview(NOTHING.wish), [source, renewal]);
  const some = usePolled(() => (isNarrowed ? source.overview(wish) : Promise.resolve(null)), [source, JSON.stringify(wish), renewal]);
  const qc = isNarrowed ? some.value ?? all.value : all.value;
  const problem = all.problem ?? some.problem;
  const one = usePolled(() => (marked ? source.one(marked).then((told) => ({ id: marked, ...told })) : Promise.resolve(null)),
    [source, marked, renewal]);
  const onMark = (id) => change({ marked: id });
  const onBrush = (name, brush) => {
    const { [name]: _, ...others } = wish.brushes;
    change({ wish: { ...wish, brushes: brush ? { ...others, [name]: brush } : others } });
  };
  if (!all.value) return html`<h1>${source.name}</h1>${above}<${Waiting} problem=${problem} isBegun=${isBegun} />`;
  const seen = { source, wish, sort, marked, onMark };
  return html`<h1>${source.name}</h1>
    <${Summary} ...${{ qc: all.value, channels, failures }} />
    ${above}
    ${problem && html`<${Failure} problem=${problem} />`}
    <div class="card"><${Outliers} outliers=${all.value.outliers} cases=${all.value.cases} ...${seen} /></div>
    <div class="abreast">${aside}<${Findings} findings=${all.value.findings} cases=${all.value.cases} onSearch=${(search) => change({ wish: { ...wish, search } })} /></div>
    <${Selection} ...${{ qc, wish, marked, one, onBrush, onMark, source, isNarrowed }} onWish=${(next) => change({ wish: next })} />
    <${Mosaic} ...${seen} />
    <${Distributions} measures=${qc.measures} brushes=${wish.brushes} marked=${marked && one.value?.id === marked ? one.value.values : undefined} ...${{ isNarrowed, onBrush }} />
    <${Classes} classes=${qc.classes} selected=${qc.selected} isNarrowed=${isNarrowed} />
    <${Columns} qc=${qc} ...${seen} onSort=${(next) => change({ sort: next })} />`;
}

function Waiting({ problem, isBegun }) {
  if (!problem) return html`<${Loading} what="the cohort" />`;
  return isBegun ? html`<${Failure} problem=${problem} /><p><a href="/">All cohorts</a></p>` : html`<p class="quiet">No case is stored yet.</p>`;
}

/** The table; measures that are brushed have a column of their own. */
function Columns({ qc, ...seen }) {
  const [added, setAdded] = useState([]);
  const brushed = qc.measures.filter(({ name }) => seen.wish.brushes[name] && !added.some((each) => each.name === name));
  return html`<${CaseTable} ...${seen} measures=${qc.measures} columns=${[...added, ...brushed]} onColumns=${setAdded} />`;
}
