// The three planes of one volume, drawn by NiiVue. Where a voxel lies on the canvas is computed here, from the order of axes that
// NiiVue drew: its own crosshair, letters and indices (RAS order) are not used.
import { NVImage, Niivue, SHOW_RENDER, SLICE_TYPE } from "./vendor/niivue.js";
import { writeNifti } from "./nifti.js";
import { arrange, PLANES } from "./tiles.js";

// NiiVue's slice types 0, 1, 2 are PLANES in their order
const HAIR = 1e-3; // pixels
const ACROSS = [0, 0, 1], UP = [1, 2, 2], THROUGH = [2, 1, 0]; // axes of RAS, by plane

NVImage.prototype.calMinMax = function known() { // several passes over all voxels for a window that the page knows
  Object.assign(this, { cal_min: this.hdr.cal_min, cal_max: this.hdr.cal_max, global_min: this.hdr.cal_min, global_max: this.hdr.cal_max });
  Object.assign(this, { robust_min: this.cal_min, robust_max: this.cal_max });
  return [this.cal_min, this.cal_max, this.cal_min, this.cal_max];
};

class Drawing extends Niivue {
  async initText() {} // letters and names are ours: no font is loaded
  calculateWidthHeight(plane, scale, width, height) { return [width, height]; } // our tiles have the right shape already
}

/** A canvas with planes. Indices here are those of the drawn level, 0-based, x, y, z. */
export class GlPlanes {
  constructor(canvas) {
    this.canvas = canvas;
    this.drawing = new Drawing({
      isResizeCanvas: false, interactive: false, isOrientationTextVisible: false, isColorbar: false, loadingText: "", logLevel: "error",
      crosshairWidth: 0, show3Dcrosshair: false, isNearestInterpolation: true, sagittalNoseLeft: true, isSliceMM: false,
      multiplanarShowRender: SHOW_RENDER.NEVER, isRadiologicalConvention: true, backColor: [0, 0, 0, 1], dragAndDropEnabled: false,
    });
    this.zoom = 1;
    this.plane = "all";
  }

  async start() {
    await this.drawing.attachToCanvas(this.canvas, false);
    this.drawing.setSliceType(SLICE_TYPE.MULTIPLANAR);
  }

  get volume() { return this.drawing.volumes[0]; }

  /** Draws another volume; its labels are gone then. */
  async setImage(volume, [low, high]) {
    const image = await this.#image(volume, low, high);
    this.drawing.volumes.splice(0, Infinity, image);
    Object.assign(this.drawing, { back: image, overlays: [] });
    this.drawing.updateGLVolume();
    this.setView({});
  }

  /** Lays colours (RGBA bytes on the image's own grid) over the image, or none. */
  async setColors(colors) {
    const [image] = this.drawing.volumes;
    const laid = colors && await this.#image({ data: colors, shape: this.shape, affine: this.affine }, 0, 255);
    if (image !== this.drawing.volumes[0]) return; // another volume came meanwhile
    this.drawing.volumes.splice(1, Infinity, ...(laid ? [laid] : []));
    this.drawing.overlays = this.drawing.volumes.slice(1);
    if (laid) this.drawing.refreshLayers(laid, 1);
    else this.drawing.updateGLVolume();
    this.draw();
  }

  async #image(volume, low, high) {
    const image = await NVImage.new(writeNifti(volume), "volume.nii", "gray", 1, null, low, high);
    if (image.hdr.datatypeCode !== 2304) Object.assign(this, { shape: volume.shape, affine: volume.affine });
    return image;
  }

  setWindow([low, high]) {
    if (!this.volume || (this.volume.cal_min === low && this.volume.cal_max === high)) return;
    Object.assign(this.volume, { cal_min: low, cal_max: high });
    this.drawing.refreshLayers(this.volume, 0);
    this.draw();
  }

  /** Any of {index, center (of the zoomed view), zoom, plane ("all" or one of PLANES), isRadiological, opacity}. */
  setView({ index = this.index, center = this.center, zoom = this.zoom, plane = this.plane, isRadiological = this.isRadiological ?? true, opacity = this.opacity ?? 1 }) {
    Object.assign(this, { index, center, zoom, plane, isRadiological, opacity });
    if (!this.volume || !index) return;
    const { scene, opts } = this.drawing;
    scene.crosshairPos = this.#fraction(index);
    opts.isRadiologicalConvention = isRadiological;
    this.drawing.overlayAlphaShader = opacity;
    const { extentsMinOrtho: least, extentsMaxOrtho: most } = this.volume;
    const at = this.#fraction(center ?? index);
    const pan = [0, 1, 2].map((k) => { // so that the view's centre is in the middle, and no border comes in
      const middle = least[k] + at[k] * (most[k] - least[k]), wanted = (least[k] + most[k]) / 2 - zoom * middle;
      return Math.min((1 - zoom) * least[k], Math.max((1 - zoom) * most[k], wanted));
    });
    scene.pan2Dxyzmm = Float32Array.of(...pan, zoom);
    const { width, height } = this.canvas;
    this.drawing.customLayout = arrange(this.#extents(), [width, height], plane).map((tile) => ({
      sliceType: PLANES.indexOf(tile.plane), // NiiVue gives fractions back to WebGL, which rounds down, from the canvas' lower border
      position: [(tile.left + HAIR) / width, (tile.top - 2 * HAIR) / height, (tile.width + HAIR) / width, (tile.height + HAIR) / height],
    }));
    this.draw();
  }

  /** Fits the canvas to its box of CSS pixels. */
  resize(width, height) {
    const ratio = window.devicePixelRatio || 1;
    const size = [Math.max(2, Math.round(width * ratio)), Math.max(2, Math.round(height * ratio))];
    if (this.canvas.width === size[0] && this.canvas.height === size[1]) return;
    [this.canvas.width, this.canvas.height] = size;
    const [wide, high] = size.map((value) => `${value / ratio}px`); // a pixel of ours is one of the screen's
    Object.assign(this.canvas.style, { width: wide, height: high });
    this.setView({});
  }

  draw() {
    if (this.volume && this.index) this.drawing.drawScene();
  }

  stop() {
    this.drawing.cleanup();
    this.drawing.gl?.getExtension("WEBGL_lose_context")?.loseContext();
  }

  #extents() { // in mm along R, A, S
    const { dimsRAS, pixDimsRAS } = this.volume;
    return [1, 2, 3].map((k) => dimsRAS[k] * pixDimsRAS[k]);
  }

  #fraction(index) { // along R, A, S, from edge to edge of the volume
    return this.volume.permRAS.map((signed) => {
      const axis = Math.abs(signed) - 1, fraction = (index[axis] + 0.5) / this.shape[axis];
      return signed > 0 ? fraction : 1 - fraction;
    });
  }

  /** What is drawn where, in CSS pixels of the canvas. */
  tiles() {
    if (!this.volume) return [];
    const ratio = this.canvas.width / (this.canvas.clientWidth || this.canvas.width);
    return this.drawing.screenSlices.map((slice) => this.#tile(slice, ratio));
  }

  #tile({ axCorSag, leftTopWidthHeight, leftTopMM, fovMM }, ratio) {
    const [left, top, width, height] = leftTopWidthHeight.map((value) => Math.round(value) / ratio);
    const { extentsMinOrtho: least, extentsMaxOrtho: most, permRAS } = this.volume;
    const side = (world, from, size) => { // the index along one side of the tile: at its start, and its growth from end to end
      const signed = permRAS[world], axis = Math.abs(signed) - 1, count = this.shape[axis];
      const extent = most[world] - least[world], start = (from - least[world]) / extent, growth = size / extent;
      const first = signed > 0 ? start * count - 0.5 : (1 - start) * count - 0.5;
      return { axis, first, growth: (signed > 0 ? growth : -growth) * count };
    };
    const across = side(ACROSS[axCorSag], leftTopMM[0], fovMM[0]);
    const up = side(UP[axCorSag], leftTopMM[1], fovMM[1]);
    const through = Math.abs(permRAS[THROUGH[axCorSag]]) - 1;
    return { plane: PLANES[axCorSag], left, top, width, height, across, up, through, upSign: Math.sign(permRAS[THROUGH[axCorSag]]) };
  }
}
