// Blosc 1 frames with LZ4 blocks, as gpuprep writes them, in plain JavaScript: the policy of the pages runs no eval, which
// the WebAssembly of npm's numcodecs needs.

const HEADER = 16, SHUFFLE = 1, COPIED = 2, BITSHUFFLE = 4, UNSPLIT = 16, LZ4 = 1;
const LARGEST_SPLIT = 16, LEAST_ELEMENTS = 128; // c-blosc: only such blocks are split, one stream for each byte of an element

/** The codec as zarrita's registry takes it. */
export class Blosc {
  static codecId = "blosc";
  kind = "bytes_to_bytes";
  static fromConfig() { return new Blosc(); }
  decode(frame) { return decodeBlosc(frame); }
}

/** The bytes of a frame (Uint8Array). Throws RangeError where the frame is damaged, Error for other compressors. */
export function decodeBlosc(frame) {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < HEADER || view.getUint32(12, true) !== frame.length) throw new RangeError("a Blosc frame of another size");
  const flags = frame[2], typesize = frame[3], size = view.getUint32(4, true), blocksize = view.getUint32(8, true);
  if (flags & COPIED) {
    if (frame.length < HEADER + size) throw new RangeError("a Blosc frame of another size");
    return frame.slice(HEADER, HEADER + size);
  }
  const out = new Uint8Array(size);
  if (size === 0) return out;
  if (flags >> 5 !== LZ4) throw new Error(`Blosc with compressor ${flags >> 5} instead of LZ4`);
  if (blocksize === 0) throw new RangeError("Blosc blocks of no bytes");
  const shuffled = (flags & SHUFFLE && typesize > 1) || (flags & BITSHUFFLE && blocksize >= typesize);
  const held = shuffled ? new Uint8Array(Math.min(blocksize, size)) : out;
  for (let block = 0, at = 0; at < size; block++, at += blocksize) {
    const length = Math.min(blocksize, size - at);
    const isSplit = !(flags & UNSPLIT) && typesize <= LARGEST_SPLIT && blocksize / typesize >= LEAST_ELEMENTS && length === blocksize;
    readBlock(frame, view, view.getUint32(HEADER + 4 * block, true), isSplit ? typesize : 1, held, shuffled ? 0 : at, length);
    if (!shuffled) continue;
    if (flags & SHUFFLE) unshuffle(held, out, at, length, typesize);
    else unshuffleBits(held, out, at, length, typesize);
  }
  return out;
}

function readBlock(frame, view, from, streams, out, at, length) {
  const each = length / streams;
  for (let k = 0; k < streams; k++) {
    const packed = view.getUint32(from, true);
    from += 4;
    if (from + packed > frame.length) throw new RangeError("a Blosc block behind the end");
    if (packed === each) out.set(frame.subarray(from, from + packed), at);
    else if (decodeLz4(frame, from, from + packed, out, at, at + each) !== at + each) throw new RangeError("a short Blosc block");
    from += packed;
    at += each;
  }
}

function decodeLz4(from, i, end, out, o, last) {
  while (i < end) {
    const token = from[i++];
    let literals = token >> 4;
    if (literals === 15) for (let more = 255; more === 255;) { more = from[i++]; literals += more; }
    if (o + literals > last || i + literals > end) throw new RangeError("LZ4 literals behind the end");
    if (literals > 32) {
      out.set(from.subarray(i, i + literals), o);
      o += literals;
      i += literals;
    } else for (const stop = i + literals; i < stop;) out[o++] = from[i++];
    if (i >= end) break;
    const distance = from[i] | (from[i + 1] << 8);
    i += 2;
    let match = token & 15;
    if (match === 15) for (let more = 255; more === 255;) { more = from[i++]; match += more; }
    match += 4;
    let source = o - distance;
    if (distance === 0 || source < 0 || o + match > last) throw new RangeError("an LZ4 match outside its block");
    if (distance >= match && match > 32) {
      out.copyWithin(o, source, source + match);
      o += match;
    } else for (const stop = o + match; o < stop;) out[o++] = out[source++];
  }
  return o;
}

function unshuffle(held, out, at, length, typesize) {
  const elements = Math.floor(length / typesize), whole = elements * typesize;
  for (let byte = 0; byte < typesize; byte++)
    for (let k = 0, from = byte * elements, to = at + byte; k < elements; k++, to += typesize) out[to] = held[from++];
  for (let k = whole; k < length; k++) out[at + k] = held[k];
}

/** c-blosc shuffles the bits of a block only where the number of its elements is a multiple of 8. */
function unshuffleBits(held, out, at, length, typesize) {
  const elements = Math.floor(length / typesize), row = elements / 8;
  if (elements % 8) {
    out.set(held.subarray(0, length), at);
    return;
  }
  for (let byte = 0; byte < typesize; byte++) {
    for (let bit = 0; bit < 8; bit++) {
      const base = (byte * 8 + bit) * row;
      for (let r = 0, to = at + byte; r < row; r++) {
        const packed = held[base + r];
        if (packed === 0) to += 8 * typesize;
        else for (let e = 0; e < 8; e++, to += typesize) out[to] |= ((packed >> e) & 1) << bit;
      }
    }
  }
  for (let k = elements * typesize; k < length; k++) out[at + k] = held[k];
}
