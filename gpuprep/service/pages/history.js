// The hour that was, as the service tells it piece by piece: columns that are joined, smoothed and cut into lines.

const HOUR = 3600;

/** Two pieces of history in one, without what is older than an hour before its end. */
export function joined(kept, news) {
  if (!kept) return news;
  const time = [...kept.time, ...news.time];
  const cut = time.findIndex((each) => each >= time.at(-1) - HOUR);
  const both = (before, behind, missing) => [
    ...(before ?? kept.time.map(() => missing)), ...(behind ?? news.time.map(() => missing)),
  ].slice(Math.max(cut, 0));
  const stages = {};
  for (const name of new Set([...Object.keys(kept.stages), ...Object.keys(news.stages)])) {
    stages[name] = both(kept.stages[name], news.stages[name], 0);
  }
  const of = (history, index) => history.gpus.find((gpu) => gpu.index === index);
  const gpus = [...new Set([...kept.gpus, ...news.gpus].map((gpu) => gpu.index))].map((index) => ({
    index,
    busy: both(of(kept, index)?.busy, of(news, index)?.busy, null),
    memory: both(of(kept, index)?.memory, of(news, index)?.memory, null),
  }));
  const plain = Object.fromEntries(["busy", "memory", "disk", "workers", "waiting"].map((name) =>
    [name, both(kept[name], news[name], null)]));
  return { every: news.every, time: time.slice(Math.max(cut, 0)), ...plain, stages, gpus };
}

/** Each value the mean of those of the last `count` entries: stages are told only as cases end. */
export function smoothed(values, count = 6) {
  return values.map((_, k) => {
    const part = values.slice(Math.max(0, k - count + 1), k + 1);
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
}

/** An SVG path through points (x, y from 0 to 1, y upwards) of times and values; broken where nothing is known. */
export function pathOf(times, values, [first, last], most, gap) {
  let path = "";
  let before = null;
  times.forEach((time, k) => {
    const value = values[k];
    if (value === null || value === undefined || time < first) { before = null; return; }
    const x = (time - first) / (last - first || 1);
    const y = 1 - Math.min(1, value / (most || 1));
    path += `${before !== null && time - before <= gap ? "L" : "M"}${x.toFixed(4)} ${y.toFixed(4)}`;
    before = time;
  });
  return path;
}

/** The entry whose time is nearest; -1 where there is none. */
export function nearest(times, time) {
  let best = -1;
  times.forEach((each, k) => { if (best < 0 || Math.abs(each - time) < Math.abs(times[best] - time)) best = k; });
  return best;
}

/** A number to end an axis at: 1, 2 or 5 times a power of ten, not below. */
export function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * power >= value * 0.999) * power;
}
