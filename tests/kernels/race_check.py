"""Runs kernels under ThreadSanitizer; started by test_races.py with its library."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import gpuprep.ops.device.clahe as clahe_launch
import gpuprep.ops.device.median as median_launch
import gpuprep.ops.device.scatter as scatter
from gpuprep.kernels.compiler import read_source
from gpuprep.kernels.loader import Engine
from gpuprep.ops.curve import Curve
from gpuprep.ops.device import arguments
from gpuprep.ops.device.clahe import clahe_device
from gpuprep.ops.device.curve import curved_device
from gpuprep.ops.device.labels import resample_labels_device
from gpuprep.ops.device.median import median_device
from gpuprep.ops.device.pointwise import find_mask_device, masked_device, restore_device
from gpuprep.ops.device.profiles import find_box_device, slice_ranges_device
from gpuprep.ops.device.resample import resample_device
from gpuprep.ops.device.statistics import measure_device
from gpuprep.ops.pointwise import IDENTITY
from gpuprep.ops.resample import Resampling
from gpuprep.ops.table import Table
from gpuprep.values.grids import GridMapping
from kernels.cuda_on_cpu.cpu_module import CpuModule
from kernels.mutants import narrowed
from kernels.test_scatter import assert_scattered


def launch_filters(engine: Engine, source: str, volume: np.ndarray) -> None:
    if source == "clahe":
        clahe_launch._SHARE = 256  # several blocks count a tile
        clahe_device(engine, volume, (2, 3, 100), (0.0, 6.0), bins=7)
        clahe_device(engine, volume.astype(np.float32), (1, 3, 30), (0.0, 6.0))
        return
    median_launch.MOST_GRID = 1  # one block goes over all rows and slices
    for size in (3, 5):
        median_device(engine, np.resize(volume, (5, 9, 40)), size)


def launch_all(engine: Engine, source: str, volume: np.ndarray) -> None:
    """Launch every kernel of a source at least once, over several blocks, tiles and chunks."""
    mapping = GridMapping((3, 2, 90), (0.6, 1.3, 1.5))
    labels = volume.astype(np.uint8)
    if source == "statistics":
        measure_device(engine, volume)
        measure_device(engine, volume.astype(np.float32)).percentiles([50])
    elif source == "curve":
        bent = Curve(Table((-5.0, 3.0, 9.0), (0.0, 2.0, 3.0)))
        for kind in (np.int16, np.float32, np.float64):
            curved_device(engine, volume.astype(kind), bent, labels)
    elif source in ("median", "clahe"):
        launch_filters(engine, source, volume)
    elif source == "profiles":
        narrow = volume[:, :, :100]  # neighbouring blocks share columns
        for axis in range(3):
            slice_ranges_device(engine, narrow, axis)
        find_box_device(engine, [narrow], 3)
        arguments.MOST_GRID = 1  # one block goes over all slices
        find_box_device(engine, [narrow], 3)
    elif source == "pointwise":
        masked_device(engine, volume, find_mask_device(engine, [labels, labels], 0), IDENTITY)
        restore_device(engine, volume.astype(np.float64), np.empty(volume.shape, np.float32))
    elif source == "labels":
        resample_labels_device(engine, labels, Resampling(mapping))
    elif source == "scatter":
        scatter.MOST_GRID = 2  # for all boxes
        assert_scattered(engine, "i2", chunk=(4, 9, 40), patch=(7, 8, 50))
    else:
        kind = "cubic" if source in ("resample", "plane") else "linear"
        resample_device(engine, volume, Resampling(mapping, kind), chunk=16)
        resample_device(engine, volume[:, :, :100], Resampling(mapping, kind), chunk=16)


def main(source: str, right: str, wrong: str) -> None:
    """Launch every kernel of a source once, with ``wrong`` in place of ``right`` (empty: unchanged)."""

    def load(name: str) -> CpuModule:
        text = narrowed(read_source(name))
        if name == source and right:
            assert text.count(right) == 1
            text = text.replace(right, wrong)
        return CpuModule(text, flags=("-fsanitize=thread", "-g"))

    engine = Engine(np, load, np.asarray)
    volume = (np.indices((2, 3, 280)).sum(0) % 7).astype(np.int16)[:, :, :140]  # a block per row
    launch_all(engine, source, volume)
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
