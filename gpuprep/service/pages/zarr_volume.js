// Voxels straight from the chunks of a store.
import { FetchStore, get, open, registry, root, withRangeCoalescing } from "./vendor/zarrita.js";
import { Blosc } from "./blosc.js";

registry.set("blosc", async () => Blosc);

/** Whether this browser reads a level's chunks: older ones have no Float16Array. */
export function canRead(zarr) {
  return zarr !== null && zarr.codec === "blosc-lz4" && typeof globalThis.Float16Array === "function";
}

/** The voxels of an array, x fastest. `files` are the names in the store, where they are known: what is not among them holds
 * zeros only and is not asked for. */
export async function readZarr(zarr, files) {
  const array = await opened(zarr, files);
  return (await get(array, array.shape.length === 4 ? [zarr.channel ?? 0, null, null, null] : null)).data;
}

/** The value of one voxel, for which one chunk is read. */
export async function readZarrVoxel(zarr, [x, y, z], files) {
  const array = await opened(zarr, files);
  return Number(await get(array, [...(array.shape.length === 4 ? [zarr.channel ?? 0] : []), z, y, x]));
}

const arrays = new Map(); // they keep the indices of their shards

function opened({ store, path }, files) {
  const key = JSON.stringify([store, path]);
  if (!arrays.has(key)) {
    const opening = openArray(store, path, files);
    opening.catch(() => arrays.delete(key));
    arrays.set(key, opening);
  }
  return arrays.get(key);
}

function openArray(store, path, files) {
  const address = new URL(store, location.href).href.replace(/\/$/, "");
  const fetchKnown = async (request) => {
    const name = decodeURIComponent(new URL(request.url).pathname.slice(new URL(address).pathname.length + 1));
    return files && !files.has(name) ? new Response(null, { status: 404 }) : fetch(request);
  };
  const chunks = withRangeCoalescing(new FetchStore(address, { fetch: fetchKnown, useSuffixRequest: true }));
  return open.v3(root(chunks).resolve(path), { kind: "array" });
}
