// The machine of the service: what is taken of it now, and over the last hour.
import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { getJson } from "./fetching.js";
import { ceiling, joined, smoothed } from "./history.js";
import { Stages } from "./job_parts.js";
import { Lines } from "./lines.js";
import { AtWork, Slots, Standing } from "./machine_parts.js";
import { bytes } from "./numbers.js";
import { usePolled } from "./polled.js";
import { Failure, Loading } from "./shell.js";

const POLL_MS = 5000;
const LEAST_SPAN = 300;
const percent = (share) => `${Math.round(100 * share)} %`;
const count = (number) => (Number.isInteger(number) ? String(number) : number.toFixed(1));

export function Page() {
  const kept = useRef({ history: null, since: 0 });
  const ask = async () => {
    const { history, since } = kept.current;
    const told = await getJson(`/v1/machine?since=${history?.time.at(-1) ?? 0}`);
    const isSame = told.since === since; // else the service began anew meanwhile
    kept.current = { since: told.since, history: isSame ? joined(history, told.history) : told.history };
    return { ...told, history: kept.current.history };
  };
  const { value: told, problem, loading } = usePolled(ask, [], POLL_MS);
  useEffect(() => { document.title = "Machine · gpuprep"; }, []);
  return html`<h1>Machine</h1>
    ${problem && html`<${Failure} problem=${problem} />`}
    ${!told && loading && html`<${Loading} what="what the machine does" />`}
    ${told && html`<${Standing} told=${told} />
      <${OverTime} told=${told} />
      <${AtWork} jobs=${told.at_work} />
      <${Slots} slots=${told.slots} />
      <${Stages} stages=${told.stages} title="Where the time went since the service began" />`}`;
}

function OverTime({ told }) {
  const { history } = told;
  const [cursor, setCursor] = useState(null);
  const last = history.time.at(-1) ?? told.time;
  const first = Math.max(last - 3600, Math.min(history.time[0] ?? last, last - LEAST_SPAN));
  const given = { times: history.time, span: [first, last], every: history.every, cursor, onCursor: setCursor };
  const stages = Object.entries(history.stages).map(([name, values]) => ({ name, values: smoothed(values) }));
  const highest = (lists) => Math.max(1, ...lists.flat().filter((each) => each !== null));
  return html`<section aria-labelledby="time-title"><h2 id="time-title">Over the last hour</h2>
    <div class="charts">
      <${Lines} ...${given} title="Cores at work" most=${1} show=${percent} series=${[{ name: "", values: history.busy }]} />
      <${Lines} ...${given} title="Memory used" most=${told.memory.total} show=${bytes} series=${[{ name: "", values: history.memory }]} />
      ${told.disk && html`<${Lines} ...${given} title="Disk free" most=${told.disk.total} show=${bytes} series=${[{ name: "", values: history.disk }]} />`}
      <${Lines} ...${given} title="Workers, and jobs that wait" most=${ceiling(highest([[told.workers.capacity], history.workers, history.waiting]))} show=${count}
        series=${[{ name: "workers", values: history.workers }, { name: "waiting", values: history.waiting }]} />
      ${stages.length > 0 && html`<${Lines} ...${given} title="Workers at each stage, mean of 30 s" show=${count}
        most=${ceiling(highest(stages.map(({ values }) => values)))} series=${stages} />`}
      ${history.gpus.length > 0 && html`<${Lines} ...${given} title="GPUs at work" most=${1} show=${percent}
        series=${history.gpus.map(({ index, busy }) => ({ name: `GPU ${index}`, values: busy }))} />
      <${Lines} ...${given} title="Memory of GPUs" show=${bytes} most=${highest(told.gpus.map((gpu) => gpu.memory_total ?? 0))}
        series=${history.gpus.map(({ index, memory }) => ({ name: `GPU ${index}`, values: memory }))} />`}
    </div></section>`;
}
