// One side as pictures of planes at full resolution, made by the service: for browsers without WebGL2. Voxels are read too, for
// the readout.
import { html, useEffect, useMemo, useRef, useState } from "./vendor/preact.js";
import { finestLevel } from "./levels.js";
import { boxOf, PlaneOverlay } from "./plane_overlay.js";
import { pictureAddress, planeTiles } from "./plane_tiles.js";
import { asFloat32, readVolume } from "./volume_source.js";

const READ = { longest: Infinity, most: 16e6 };

export function PlaneSide({ name, model, channel, map, scene, force, files, ratio, sourceWindow, crop, work, onPick, onZoom, onWindow, onFailure }) {
  const box = useRef();
  const [size, setSize] = useState([0, 0]), [image, setImage] = useState(null);
  const { side } = model;
  useEffect(() => {
    const observer = new ResizeObserver(() => box.current?.clientWidth && setSize([box.current.clientWidth, box.current.clientHeight]));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);

  const levels = side.channels[channel]?.levels;
  useEffect(() => work(async (isWanted) => {
    model.setImage(null); // of another channel
    if (!levels) { // labels without an image
      model.setImage({ data: new Float32Array(), shape: side.shape, affine: side.affine, number: 0, road: "png" });
      setImage({});
      return;
    }
    const number = finestLevel(levels, READ);
    const volume = asFloat32(await readVolume(levels[number], { force: "nii" }));
    if (!isWanted()) return;
    model.setImage({ ...volume, number, road: "png" });
    setImage(volume);
  }, onFailure), [levels]);
  useEffect(() => work(async (isWanted) => {
    model.setLabels(null);
    if (!map) return;
    const number = finestLevel(map.levels, READ), volume = await readVolume(map.levels[number], { force: "nii" });
    if (isWanted()) model.setLabels({ ...volume, map, number });
  }, onFailure), [map, image]);

  const { index } = model.voxel(scene.mm);
  const center = model.voxel(scene.center ?? scene.mm).index;
  const tiles = size[0] > 0 ? planeTiles(model, size, { ...scene, center }) : [];
  const box3 = useMemo(() => crop && boxOf(crop.corners, model.back), [crop, model]);
  const label = scene.opacity > 0 ? map?.name ?? "" : "";
  return html`<div class="stage pictures" ref=${box} style=${{ aspectRatio: String(ratio) }}>
    ${tiles.map((tile) => html`<div key=${tile.plane}>
      <div class="picture" style=${{ left: `${tile.left}px`, top: `${tile.top}px`, width: `${tile.width}px`, height: `${tile.height}px` }}>
        <img alt="" src=${pictureAddress(side, tile, index, { channel, window: sourceWindow, label })} width=${tile.columns} height=${tile.rows}
          style=${{ transform: `matrix(${tile.matrix.join(",")})` }} onError=${() => onFailure(new Error("a plane did not come"))} /></div>
      <${PlaneOverlay} tile=${tile} name=${name} model=${model} index=${index} crop=${box3} isBare=${scene.isBare}
        onPick=${(exact) => onPick(model.pointOf(model.held(exact)))} onZoom=${onZoom} onWindow=${onWindow} />
    </div>`)}
  </div>
  <div class="sliders">${tiles.map((tile) => html`<label key=${tile.plane}>${tile.plane} <input type="range" min="1" max=${side.shape[tile.through]}
    value=${index[tile.through] + 1} onInput=${(event) => onPick(model.pointOf(index.map((value, axis) => (axis === tile.through ? event.target.value - 1 : value))))} /></label>`)}</div>`;
}
