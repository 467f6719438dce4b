"""Runs statistics and resampling under ThreadSanitizer; started by test_kernels_races.py with its library."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from cuda_on_cpu.cpu_module import CpuModule
from test_kernels_mutants import narrowed

from gpuprep.grids import GridMapping
from gpuprep.kernels.loader import Engine, read_source
from gpuprep.ops.device import measure_device, resample_device, resample_labels_device


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
    mapping = GridMapping((3, 2, 90), (0.6, 1.3, 1.5))  # several tiles, blocks and chunks
    if source == "statistics":
        measure_device(engine, volume)
        measure_device(engine, volume.astype(np.float32)).percentiles([50])
    elif source == "labels":
        resample_labels_device(engine, volume.astype(np.uint8), mapping, interpolation="linear")
    else:
        kind = "cubic" if source == "resample" else "linear"
        resample_device(engine, volume, mapping, interpolation=kind)
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
