// One side drawn by NiiVue: loads its voxels level by level, and lays our lines and letters over the planes.
import { html, useEffect, useMemo, useRef, useState } from "./vendor/preact.js";
import { GlPlanes } from "./gl_planes.js";
import { paint } from "./label_colors.js";
import { steps } from "./levels.js";
import { boxOf, PlaneOverlay } from "./plane_overlay.js";
import { onGrid } from "./side_model.js";
import { asFloat32, readVolume } from "./volume_source.js";

export function GlSide({ name, model, channel, map, scene, limits, force, files, window: ends, crop, onPick, onZoom, onWindow, onLoaded, onFailure }) {
  const box = useRef(), canvas = useRef(), planes = useRef();
  const [tiles, setTiles] = useState([]), [image, setImage] = useState(null), [labels, setLabels] = useState(null);
  const levels = model.side.channels[channel].levels;
  const now = useRef();
  now.current = { ends };
  const look = () => setTiles(planes.current?.tiles() ?? []);

  useEffect(() => {
    let isWanted = true;
    (async () => {
      if (!planes.current) {
        const made = new GlPlanes(canvas.current);
        await made.start();
        planes.current = made;
      }
      for (const number of steps(levels, limits)) {
        const volume = asFloat32(await readVolume(levels[number], { force, files }));
        if (!isWanted) return;
        fit();
        await planes.current.setImage(volume, now.current.ends);
        if (!isWanted) return;
        model.setImage({ ...volume, number });
        setImage({ ...volume, number });
      }
      onLoaded();
    })().catch((problem) => isWanted && onFailure(problem));
    return () => { isWanted = false; };
  }, [levels]);

  useEffect(() => {
    let isWanted = true;
    setLabels(null);
    model.setLabels(null);
    if (!map || !image) return undefined;
    const level = map.levels[Math.min(image.number, map.levels.length - 1)];
    readVolume(level, { force, files }).then((volume) => {
      if (!isWanted) return;
      model.setLabels({ ...volume, map });
      setLabels(volume);
    }).catch((problem) => isWanted && onFailure(problem));
    return () => { isWanted = false; };
  }, [map, image]);

  const grid = useMemo(() => labels && image && onGrid(labels, image), [labels, image]);
  useEffect(() => {
    if (!planes.current?.volume) return;
    planes.current.setColors(grid && paint(grid, map.values, scene.hidden)).then(onLoaded);
  }, [grid, scene.hidden]);

  useEffect(() => planes.current?.setWindow(ends), [ends[0], ends[1], image]);

  const index = image && model.drawnVoxel(scene.mm);
  const center = image && model.drawnVoxel(scene.center ?? scene.mm);
  useEffect(() => {
    if (!image) return;
    planes.current.setView({
      index, center, zoom: scene.zoom, plane: scene.plane, isRadiological: scene.isRadiological, opacity: scene.opacity,
    });
    look();
  }, [index?.join(), center?.join(), scene.zoom, scene.plane, scene.isRadiological, scene.opacity, image]);

  const fit = () => {
    planes.current?.resize(box.current.clientWidth, box.current.clientHeight);
    look();
  };
  useEffect(() => {
    const observer = new ResizeObserver(fit);
    observer.observe(box.current);
    return () => {
      observer.disconnect();
      planes.current?.stop();
    };
  }, []);

  const box3 = useMemo(() => crop && image && boxOf(crop.corners, model.image.back), [crop, image]);
  return html`<div class="stage" ref=${box}>
    <canvas ref=${canvas} aria-hidden="true"></canvas>
    ${index && tiles.map((tile) => html`<${PlaneOverlay} key=${tile.plane} tile=${tile} name=${name} model=${model} index=${index} crop=${box3}
      onPick=${(exact) => onPick(model.pointOfDrawn(held(exact, image.shape)))} onZoom=${onZoom} onWindow=${onWindow} />`)}
    ${!image && html`<p class="wait" role="status">Reading voxels …</p>`}
  </div>`;
}

const held = (exact, shape) => exact.map((value, axis) => Math.min(shape[axis] - 1, Math.max(0, Math.round(value))));
