// One side drawn by NiiVue: reads its voxels level by level, and lays our lines and letters over the planes.
import { html, useEffect, useMemo, useRef, useState } from "./vendor/preact.js";
import { GlPlanes } from "./gl_planes.js";
import { paint } from "./label_colors.js";
import { steps, voxels } from "./levels.js";
import { boxOf, PlaneOverlay } from "./plane_overlay.js";
import { onGrid } from "./side_model.js";
import { asFloat32, readVolume } from "./volume_source.js";

const SLOW = { software: 2e6, gpu: 3e7 }; // voxels: from here on, a new window takes so long that a drag waits for its end
const PATIENCE = 150; // ms

export function GlSide({ name, model, channel, map, scene, limits, force, files, ratio, window: ends, crop, table, work, onPick, onZoom, onWindow, onFailure, onLost }) {
  const box = useRef(), canvas = useRef(), planes = useRef(), now = useRef();
  const [tiles, setTiles] = useState([]), [image, setImage] = useState(null), [labels, setLabels] = useState(null);
  const { side } = model;
  const levels = side.channels[channel]?.levels ?? side.labels[0]?.levels;
  now.current = ends;
  const fit = () => {
    if (!box.current?.clientWidth) return; // hidden
    planes.current?.resize(box.current.clientWidth, box.current.clientHeight);
    setTiles(planes.current?.tiles() ?? []);
  };

  useEffect(() => {
    const observer = new ResizeObserver(fit), drawn = canvas.current;
    observer.observe(box.current);
    drawn.addEventListener("webglcontextlost", onLost);
    return () => {
      observer.disconnect();
      drawn.removeEventListener("webglcontextlost", onLost);
      planes.current?.stop();
    };
  }, []);

  useEffect(() => work(async (isWanted) => {
    model.setImage(null); // of another channel
    setImage(null);
    const read = (level) => (side.channels[channel] ? readVolume(level, { force, files }) : dark(level));
    const numbers = steps(levels, limits), first = read(levels[numbers[0]]); // asked for before drawing is set up
    const start = planes.current ? null : started(canvas.current);
    start?.catch(() => isWanted() && onLost());
    for (const number of numbers) {
      const volume = asFloat32(await (number === numbers[0] ? first : read(levels[number])));
      if (start) planes.current ??= await start;
      if (!isWanted()) return;
      fit();
      await planes.current.setImage(rising(volume, now.current), rising.ends(now.current));
      if (!isWanted()) return;
      const held = { ...volume, data: now.current[0] <= now.current[1] ? planes.current.volume.img : volume.data, number }; // one copy
      model.setImage(held);
      setImage(held);
    }
  }, onFailure), [levels]);

  useEffect(() => {
    setLabels(null);
    model.setLabels(null);
    if (!map || !image) return undefined;
    return work(async (isWanted) => {
      const number = Math.min(image.number, map.levels.length - 1), volume = await readVolume(map.levels[number], { force, files });
      if (!isWanted()) return;
      model.setLabels({ ...volume, number });
      setLabels(volume);
    }, onFailure);
  }, [map, image]);

  const grid = useMemo(() => labels && image && onGrid(labels, image), [labels, image]);
  useEffect(() => {
    if (!image) return undefined;
    return work(async () => planes.current.setColors(grid && paint(grid, [...table.values()], scene.hidden)), onFailure);
  }, [grid, table, scene.hidden]);

  useEffect(() => work(async (isWanted) => {
    if (image && voxels(image) > SLOW[limits.isSoftware ? "software" : "gpu"]) await new Promise((resolve) => { setTimeout(resolve, PATIENCE); });
    if (isWanted()) planes.current?.setWindow(rising.ends(ends));
  }, onFailure), [ends[0], ends[1], image]);

  const index = image && model.drawnVoxel(scene.mm);
  const center = image && model.drawnVoxel(scene.center ?? scene.mm);
  useEffect(() => {
    if (!image) return;
    planes.current.setView({
      index, center, zoom: scene.zoom, plane: scene.plane, isRadiological: scene.isRadiological, opacity: scene.opacity,
    });
    setTiles(planes.current.tiles());
  }, [index?.join(), center?.join(), scene.zoom, scene.plane, scene.isRadiological, scene.opacity, image]);

  const box3 = useMemo(() => crop && image && boxOf(crop.corners, model.image.back), [crop, image]);
  return html`<div class="stage" ref=${box} style=${{ aspectRatio: String(ratio) }}>
    <canvas ref=${canvas} aria-hidden="true"></canvas>
    ${index && tiles.map((tile) => html`<${PlaneOverlay} key=${tile.plane} tile=${tile} name=${name} model=${model} index=${index} crop=${box3}
      isBare=${scene.isBare} onPick=${(exact) => onPick(model.pointOfDrawn(model.held(exact, image.shape)))} onZoom=${onZoom} onWindow=${onWindow} />`)}
    ${!image && html`<p class="wait" role="status">Reading voxels …</p>`}
  </div>`;
}

/** NiiVue's windows rise: where stored values fall as the source's rise, their negatives are drawn. */
function rising(volume, [low, high]) {
  return low <= high ? volume : { ...volume, data: volume.data.map((value) => -value) };
}
rising.ends = ([low, high]) => (low <= high ? [low, high] : [-low, -high]);

async function started(canvas) {
  const made = new GlPlanes(canvas);
  await made.start();
  return made;
}

/** What labels without an image are drawn on. */
async function dark({ shape, affine }) {
  return { data: new Float32Array(shape[0] * shape[1] * shape[2]), shape, affine, road: "none" };
}
