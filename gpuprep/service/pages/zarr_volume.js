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
export async function readZarr({ store, path, channel }, files) {
  const address = new URL(store, location.href).href.replace(/\/$/, "");
  const fetchKnown = async (request) => {
    const name = decodeURIComponent(new URL(request.url).pathname.slice(new URL(address).pathname.length + 1));
    return files && !files.has(name) ? new Response(null, { status: 404 }) : fetch(request);
  };
  const chunks = withRangeCoalescing(new FetchStore(address, { fetch: fetchKnown, useSuffixRequest: true }));
  const array = await open.v3(root(chunks).resolve(path), { kind: "array" });
  const selection = array.shape.length === 4 ? [channel ?? 0, null, null, null] : null;
  const { data } = await get(array, selection);
  return data;
}
