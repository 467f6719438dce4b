import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";
import { goldens, page } from "./pages.mjs";

const { Blosc, decodeBlosc } = await page("blosc.js");
const frames = goldens.blosc.map((row) => ({ ...row, frame: new Uint8Array(Buffer.from(row.frame, "base64")) }));

for (const { name, frame, sha256 } of frames) {
  test(`as numcodecs decodes it: ${name}`, () => {
    assert.equal(createHash("sha256").update(decodeBlosc(frame)).digest("hex"), sha256);
  });
}

test("a frame inside a longer buffer", () => {
  const { frame, sha256 } = frames.at(-1), buffer = new Uint8Array(frame.length + 7);
  buffer.set(frame, 3);
  assert.equal(createHash("sha256").update(new Blosc().decode(buffer.subarray(3, 3 + frame.length))).digest("hex"), sha256);
});

test("a damaged frame ends in an error or in other bytes, never in a hang or outside its block", () => {
  for (const { frame } of frames.filter((_, k) => k % 5 === 0)) {
    for (let at = 16; at < frame.length; at += 97) {
      const bad = frame.slice();
      bad[at] ^= 0x5a;
      try {
        assert.equal(decodeBlosc(bad).length, decodeBlosc(frame).length);
      } catch (problem) {
        assert.ok(problem instanceof Error && problem.name !== "AssertionError", String(problem));
      }
    }
  }
});

test("a frame cut short, and one of another compressor, are refused", () => {
  const { frame } = frames[1];
  assert.throws(() => decodeBlosc(frame.subarray(0, frame.length - 1)), RangeError);
  assert.throws(() => decodeBlosc(frame.subarray(0, 5)), RangeError);
  const zstd = frames.find(({ name }) => name === "float16 balanced").frame.slice();
  zstd[2] = (zstd[2] & 31) | (4 << 5);
  assert.throws(() => decodeBlosc(zstd), /compressor 4/);
});
