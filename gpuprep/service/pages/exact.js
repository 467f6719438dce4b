// Where a coarser level is drawn: the value of the voxel itself, read from its chunk once the crosshair rests.
import { useEffect, useState } from "./vendor/preact.js";
import { canRead, readZarrVoxel } from "./zarr_volume.js";

const PATIENCE = 150; // ms

/** By side, {index (1-based, as text), channel, stored} of the last voxel that was read so. */
export function useExact({ models, channels, scene, files, force, work }) {
  const [found, setFound] = useState({});
  useEffect(() => {
    const ends = Object.entries(models).map(([side, model]) => {
      const level = channels[side].levels[0], { index, isInside } = model.voxel(scene.mm);
      if (!(model.image?.number > 0) || !isInside || force || !canRead(level.zarr)) return null;
      return work(async (isWanted) => {
        await new Promise((resolve) => { setTimeout(resolve, PATIENCE); });
        if (!isWanted()) return;
        const stored = await readZarrVoxel(level.zarr, index, files);
        if (isWanted()) setFound((before) => ({ ...before, [side]: { index: index.map((value) => value + 1).join(), channel: channels[side], stored } }));
      }, () => {}); // then the drawn level's value stays, which is said to be one
    });
    return () => ends.forEach((end) => end?.());
  }, [scene.mm.join(), ...Object.values(models).map((model) => model.image?.number ?? -1), ...Object.values(channels)]);
  return found;
}
