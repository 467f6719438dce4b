// Which of a volume's levels is drawn: the finest that this browser draws without trouble.

const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;
const MOST = { software: 16e6, gpu: 128e6 }; // voxels: 78 Mvoxel took 45 s in software

/** What draws here: {isSoftware, longest (voxels of an axis), most (voxels)}, or null without WebGL2. */
export function drawingLimits() {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl) return null;
  const told = gl.getExtension("WEBGL_debug_renderer_info");
  const renderer = String(gl.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  const longest = gl.getParameter(gl.MAX_3D_TEXTURE_SIZE);
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  const isSoftware = SOFTWARE.test(renderer);
  return { isSoftware, longest, most: isSoftware ? MOST.software : MOST.gpu };
}

export const voxels = ({ shape }) => shape[0] * shape[1] * shape[2];

/** The number of the finest level within limits; the coarsest where none is. */
export function finestLevel(levels, { longest, most }) {
  const found = levels.findIndex((level) => voxels(level) <= most && Math.max(...level.shape) <= longest);
  return found < 0 ? levels.length - 1 : found;
}

/** The levels to draw one after another: first one that is there at once, then the finest. */
export function steps(levels, limits) {
  const last = finestLevel(levels, limits);
  const first = finestLevel(levels, { ...limits, most: limits.isSoftware ? 1.5e6 : 16e6 });
  return first > last && voxels(levels[last]) > 3 * voxels(levels[first]) ? [first, last] : [last];
}
