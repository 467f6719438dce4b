import assert from "node:assert/strict";
import test from "node:test";
import { page } from "./pages.mjs";

const { readVolume } = await page("volume_source.js");
const { writeNifti } = await page("nifti.js");
const AFFINE = [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]];
const LEVEL = { shape: [2, 2, 2], affine: AFFINE, nii: "/v1/volume.nii", zarr: null };
const busy = () => new Response('{"detail": "8 volumes are being sent"}', { status: 503, headers: { "retry-after": "0.001" } });

/** Has the service answer in this order, the last answer for good; how often it was asked is counted. */
function answers(...given) {
  const told = { asked: 0 };
  globalThis.fetch = async () => given[Math.min(told.asked++, given.length - 1)]();
  return told;
}

test("a volume is asked for again when the service says so", async () => {
  const data = Float32Array.from({ length: 8 }, (_, k) => k);
  const told = answers(busy, busy, () => new Response(writeNifti({ data, shape: LEVEL.shape, affine: AFFINE })));
  const found = await readVolume(LEVEL);
  assert.deepEqual([[...found.data], told.asked], [[...data], 3]);
});

test("but not for ever, and not after any other refusal", async () => {
  const told = answers(busy);
  await assert.rejects(readVolume(LEVEL), { message: "8 volumes are being sent", status: 503 });
  assert.equal(told.asked, 10);
  const other = answers(() => new Response("{}", { status: 500, headers: { "retry-after": "0.001" } }));
  await assert.rejects(readVolume(LEVEL), { status: 500 });
  assert.equal(other.asked, 1);
});
