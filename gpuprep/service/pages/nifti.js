// Volumes as NIfTI-1 in memory: what NiiVue takes, and what the service sends where chunks cannot be read here.

const CODES = new Map([
  [2, Uint8Array], [4, Int16Array], [8, Int32Array], [16, Float32Array], [64, Float64Array], [256, Int8Array], [512, Uint16Array],
  [768, Uint32Array],
]);
const FLOAT32 = 16, RGBA = 2304, HEADER = 352;

/** A volume {data, shape, affine} as the bytes of a .nii file: Float32Array as float32, Uint8Array of 4 bytes a voxel as RGBA. */
export function writeNifti({ data, shape, affine }) {
  const isColor = data instanceof Uint8Array;
  const buffer = new ArrayBuffer(HEADER + data.byteLength);
  const view = new DataView(buffer);
  const spacing = [0, 1, 2].map((axis) => Math.hypot(affine[0][axis], affine[1][axis], affine[2][axis]));
  view.setInt32(0, 348, true);
  [3, ...shape, 1, 1, 1, 1].forEach((value, k) => view.setInt16(40 + 2 * k, value, true));
  view.setInt16(70, isColor ? RGBA : FLOAT32, true);
  view.setInt16(72, 32, true); // bits a voxel, of both
  [1, ...spacing].forEach((value, k) => view.setFloat32(76 + 4 * k, value, true));
  view.setFloat32(108, HEADER, true);
  view.setFloat32(112, 1, true); // slope
  view.setUint8(123, 2); // millimetres
  view.setInt16(254, 1, true); // the affine in srow is to scanner coordinates
  affine.slice(0, 3).forEach((row, r) => row.forEach((value, k) => view.setFloat32(280 + 16 * r + 4 * k, value, true)));
  view.setUint32(344, 0x00312b6e, true); // n+1
  new Uint8Array(buffer, HEADER).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return buffer;
}

/** The voxels of an uncompressed little-endian .nii file: {data, shape}. Throws where it is none. */
export function readNifti(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < HEADER || view.getInt32(0, true) !== 348) throw new Error("no NIfTI-1 file came");
  const shape = [1, 2, 3].map((k) => Math.max(1, view.getInt16(40 + 2 * k, true)));
  const Type = CODES.get(view.getInt16(70, true));
  if (!Type) throw new Error(`voxels of NIfTI's type ${view.getInt16(70, true)} are not shown`);
  const at = view.getFloat32(108, true), count = shape[0] * shape[1] * shape[2];
  if (buffer.byteLength < at + count * Type.BYTES_PER_ELEMENT) throw new Error("a NIfTI file that ends too early came");
  return { data: at % Type.BYTES_PER_ELEMENT ? new Type(buffer.slice(at), 0, count) : new Type(buffer, at, count), shape };
}
