"""Small cohorts: volumes to read, a run over them, and every byte of what it stored."""

import json
from pathlib import Path

import nibabel
import numpy as np

import gpuprep
from gpuprep.config.file import parse_config
from gpuprep.values.events import Notice

CONFIG = {
    "image": {
        "intensity": [{"clip": {"low": -1000, "high": 400}}, {"rescale": {"to": [0, 1]}}],
        "resample": {"spacing": [1.0, 1.0, 1.5]},
    },
}


def run(source, output, config=CONFIG, **options):
    options.setdefault("scheduler", "serial")
    return gpuprep.run(source, output, config=parse_config(config), **options)


def run_told(source, output, config=CONFIG, **options):
    """The report of a run, and the texts of its notices."""
    told: list[str] = []

    def listen(event: object) -> None:
        if isinstance(event, Notice):
            told.append(event.message)

    return run(source, output, config, listeners=[listen], **options), told


def contents(root: Path) -> dict[str, bytes]:
    """Every stored byte of a cohort by path, with times and durations taken out of the records."""
    found = {}
    for path in sorted(root.joinpath("cases").rglob("*")):
        if path.name == "record.json":
            record = json.loads(path.read_text())
            for name in ("timings", "written", "record_crc32c"):
                record.pop(name)
            found[str(path.relative_to(root))] = json.dumps(record, sort_keys=True).encode()
        elif path.is_file():
            found[str(path.relative_to(root))] = path.read_bytes()
    return found


def write_pair(folder: Path, number: int) -> None:
    """One volume-N / segmentation-N pair: a bright ball in noise, label 1 around label 2."""
    random = np.random.default_rng(number)
    shape = (40 + 3 * number, 36, 20 + number)  # x, y, z as nibabel has it
    grid = np.stack(np.indices(shape), -1) - (np.array(shape) - 1) / 2
    radius = np.linalg.norm(grid * [0.8, 0.8, 1.6], axis=-1)
    voxels = (random.normal(-700, 60, shape) + 760 * (radius < 11)).astype(np.int16)
    label = (radius < 11).astype(np.uint8) + (radius < 5)
    affine = np.diag([-0.8, -0.8, 1.6, 1.0] if number % 2 else [0.8, 0.8, 1.6, 1.0])
    affine[:3, 3] = [number, 10, -30]
    for name, array in (("volume", voxels), ("segmentation", label)):
        nibabel.save(nibabel.Nifti1Image(array, affine), folder / f"{name}-{number}.nii.gz")


def write_pairs(folder: Path, count: int) -> Path:
    """Pairs 0 to ``count`` - 1 in a new folder."""
    folder.mkdir(parents=True)
    for number in range(count):
        write_pair(folder, number)
    return folder
