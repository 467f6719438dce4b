// The labels of the chosen map: colour, name, how much of it there is on each side; each can be hidden.
import { html, useState } from "./vendor/preact.js";
import { count } from "./numbers.js";

const AT_ONCE = 40;

export function Legend({ models, map, table, view, scene, change, goTo }) {
  const [search, setSearch] = useState("");
  const sides = Object.keys(models).filter((side) => view[side].labels.some(({ name }) => name === map));
  if (!map || sides.length === 0) return null;
  const rows = [...table.values()];
  const wanted = rows.filter(({ name, value }) => `${value} ${name}`.toLowerCase().includes(search.toLowerCase()));
  const hide = (value) => change((before) => {
    const hidden = new Set(before.hidden);
    if (!hidden.delete(value)) hidden.add(value);
    return { hidden };
  });
  const find = (value) => {
    for (const side of [...sides].reverse()) {
      const mm = placeOf(models[side], value, scene.mm);
      if (mm) return goTo(mm);
    }
    return undefined;
  };
  return html`<details class="legend label-list card" open=${rows.length <= AT_ONCE}>
    <summary>Labels of ${map}: ${rows.length}</summary>
    ${rows.length > 10 && html`<label>Search <input type="search" value=${search} onInput=${(event) => setSearch(event.target.value)} /></label>`}
    <div class="scroll tall" tabindex="0" role="region" aria-label="Labels"><table>
      <thead><tr><th scope="col">shown</th><th scope="col">value</th><th scope="col">name</th>${sides.map((side) => html`
        <th scope="col" class="number">${side}: voxels</th><th scope="col" class="number">ml</th>`)}</tr></thead>
      <tbody>${wanted.map((row) => html`<tr key=${row.value}>
        <td><label class="swatch"><input type="checkbox" aria-label=${`show ${row.name}`} checked=${!scene.hidden.has(row.value)} onChange=${() => hide(row.value)} />
          <svg width="16" height="16" aria-hidden="true"><rect width="16" height="16" fill=${row.color} /></svg></label></td>
        <td class="number">${row.value}</td>
        <td><button type="button" class="plain" title="put the crosshair into it" onClick=${() => find(row.value)}>${row.name}</button></td>
        ${sides.map((side) => html`<td class="number">${count(row.sides[side]?.voxels)}</td>
          <td class="number">${row.sides[side]?.ml?.toFixed(2) ?? "–"}</td>`)}
      </tr>`)}</tbody></table></div>
  </details>`;
}

/** The values of a label map by value, of both sides together, since only one may name or count them: {value, name, color, sides}. */
export function labelTable(view, map) {
  const rows = new Map();
  for (const side of ["after", "before"]) {
    for (const each of view[side]?.labels.find(({ name }) => name === map)?.values ?? []) {
      if (!rows.has(each.value)) rows.set(each.value, { value: each.value, name: each.name, color: each.color, sides: {} });
      rows.get(each.value).sides[side] = each;
    }
  }
  return new Map([...rows].sort(([a], [b]) => a - b));
}

/** The middle of the voxel of a label that is nearest to a point; null where none is drawn. */
function placeOf({ labels }, value, mm) {
  if (!labels) return null;
  const { data, shape, affine } = labels;
  let best = null, least = Infinity;
  for (let k = data.indexOf(value); k >= 0; k = data.indexOf(value, k + 1)) {
    const x = k % shape[0], y = Math.floor(k / shape[0]) % shape[1], z = Math.floor(k / (shape[0] * shape[1]));
    const at = affine.slice(0, 3).map((row) => row[0] * x + row[1] * y + row[2] * z + row[3]);
    const distance = (at[0] - mm[0]) ** 2 + (at[1] - mm[1]) ** 2 + (at[2] - mm[2]) ** 2;
    if (distance < least) [best, least] = [at, distance];
  }
  return best;
}
