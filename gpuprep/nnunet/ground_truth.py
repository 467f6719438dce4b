"""The label maps that nnU-Net validates by, beside its arrays: copies of the raw ones."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from gpuprep.host.failpoints import failpoint
from gpuprep.io.text.metaimage import read_meta_header

FOLDER = "gt_segmentations"


def keep_ground_truth(
    dataset: Path, labels: Mapping[str, Path], ending: str, aside: Path
) -> tuple[str, ...]:
    """Copy the label maps of cases that are newer than their copies, or have none.

    Args:
        dataset: The folder of the preprocessed data set.
        labels: The raw file of each case, by its id.
        ending: Of the copies.
        aside: A folder on the same disk for copies that are not whole yet.

    Returns:
        The ids of the cases whose label map was copied.
    """
    folder = dataset / FOLDER
    for each in (folder, aside):
        each.mkdir(parents=True, exist_ok=True)
    copied = []
    for case_id, source in labels.items():
        target = folder / f"{case_id}{ending}"
        if _is_current(source, target):
            continue
        if (voxels := _voxels_beside(source)) is not None:
            _copy(voxels, folder / voxels.name, aside, case_id)
        _copy(source, target, aside, case_id)
        copied.append(case_id)
    return tuple(copied)


def _voxels_beside(source: Path) -> Path | None:
    """The voxels that a MetaImage header names beside it; nnU-Net leaves them, and cannot validate then."""
    if source.suffix != ".mhd":
        return None
    voxels = read_meta_header(source).voxel_path
    beside = voxels != source and voxels.parent == source.parent
    return voxels if beside else None


def _copy(source: Path, target: Path, aside: Path, case_id: str) -> None:
    """A file is there whole, or it is not."""
    partial = aside / target.name
    shutil.copy2(source, partial)
    failpoint("mid_ground_truth", case_id)
    partial.replace(target)


def _is_current(source: Path, target: Path) -> bool:
    """As nnU-Net has it: there, and not older; and of the same size."""
    try:
        there = target.stat()
    except FileNotFoundError:
        return False
    raw = source.stat()
    return there.st_size == raw.st_size and there.st_mtime_ns >= raw.st_mtime_ns
