"""SimpleITK: ReadImage, DICOMOrient, Clamp, Resample, and zarr-python for the chunks gpuprep writes too.

The target grid is gpuprep's ``centered``; labels take the nearest voxel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import zarr

from gpuprep.values.geometry import Geometry
from gpuprep.values.grids import map_spacing
from paths import Stages, Stopwatch, Task, Work

_INTERPOLATORS = {"cubic": sitk.sitkBSpline, "linear": sitk.sitkLinear}


def prepare(task: Task) -> Work:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(task.threads)
    interpolator = _INTERPOLATORS[task.options["interpolation"]]
    low, high = task.clip

    def work() -> Stages:
        watch = Stopwatch()
        image = sitk.ReadImage(task.image)
        label = sitk.ReadImage(task.label)
        watch("read")
        image, label = (sitk.DICOMOrient(volume, "LPS") for volume in (image, label))
        watch("orient")
        image = sitk.Clamp(image, sitk.sitkFloat32, low, high)
        watch("clip")
        grid = _grid(image, task)
        image = sitk.Resample(
            image, grid.size, sitk.Transform(), interpolator,
            grid.origin, grid.spacing, grid.direction, low, sitk.sitkFloat32,
        )  # fmt: skip
        watch("resample")
        label = sitk.Resample(
            label, grid.size, sitk.Transform(), sitk.sitkNearestNeighbor,
            grid.origin, grid.spacing, grid.direction, 0.0, sitk.sitkUInt8,
        )  # fmt: skip
        watch("labels")
        voxels = (sitk.GetArrayViewFromImage(image) - low) / np.float32(high - low)
        np.clip(voxels, 0, 1, out=voxels)
        watch("rescale")
        _store(voxels.astype(task.options["dtype"]), Path(task.folder) / "image")
        _store(sitk.GetArrayViewFromImage(label), Path(task.folder) / "label")
        watch("store")
        return watch.stages

    return work


def stored(task: Task) -> tuple[np.ndarray, np.ndarray]:
    image, label = (zarr.open_array(Path(task.folder) / name)[...] for name in ("image", "label"))
    return image, label


def _grid(image: Any, task: Task) -> Geometry:
    shape = tuple(reversed(image.GetSize()))
    source = Geometry(shape, image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    return map_spacing(source, task.spacing).on(source)


def _store(voxels: np.ndarray, path: Path) -> None:
    shard = tuple(-(-n // 32) * 32 for n in voxels.shape)
    array = zarr.create_array(
        str(path), shape=voxels.shape, dtype=voxels.dtype, chunks=(32, 32, 32), shards=shard,
        compressors=zarr.codecs.BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"),
    )  # fmt: skip
    array[...] = voxels
