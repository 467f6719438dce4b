// Voxels of a level, by the road that works here: chunks, or a NIfTI file of the service.
import { Problem } from "./fetching.js";
import { readNifti } from "./nifti.js";
import { canRead, readZarr } from "./zarr_volume.js";

const TRIES = 10;

/** Voxels of a level as {data, shape, affine, road, note}; `force` "nii" reads no chunks. Chunks that cannot be read are told in
 * `note`, and the service, which checks them, is asked. */
export async function readVolume(level, { force, files } = {}) {
  if (force === "nii" || !canRead(level.zarr)) return readFile(level, "");
  try {
    const count = level.shape[0] * level.shape[1] * level.shape[2], data = await readZarr(level.zarr, files);
    if (data.length !== count) throw new Error(`the store gave ${data.length} voxels instead of ${count}`);
    return { data, shape: level.shape, affine: level.affine, road: "chunks", note: "" };
  } catch (problem) {
    return readFile(level, `The chunks could not be read here (${problem.message}); the service read them.`);
  }
}

async function readFile(level, note) {
  const answer = await fetchInTurn(level.nii);
  if (!answer.ok) throw new Problem({ ...(await answer.json().catch(() => ({}))), status: answer.status });
  const { data, shape } = readNifti(await answer.arrayBuffer());
  if (shape.some((size, axis) => size !== level.shape[axis]))
    throw new Error(`the service gave ${shape.join(" × ")} voxels instead of ${level.shape.join(" × ")}`);
  return { data, shape, affine: level.affine, road: "nii", note };
}

/** What the service gives; while it sends as many volumes as it does at once, it is asked again when it says so. */
async function fetchInTurn(url) {
  for (let tries = 1; ; tries++) {
    const answer = await fetch(url);
    const seconds = answer.status === 503 ? Number(answer.headers.get("retry-after")) : 0;
    if (!seconds || tries === TRIES) return answer;
    await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(seconds, 10)));
  }
}

/** Image values as float32, which the planes are drawn from. */
export function asFloat32(volume) {
  return volume.data instanceof Float32Array ? volume : { ...volume, data: new Float32Array(volume.data) };
}

/** The value of one voxel, and null outside. */
export function valueAt({ data, shape }, [x, y, z]) {
  const value = data[x + shape[0] * (y + shape[1] * z)];
  return value === undefined ? null : Number(value);
}
