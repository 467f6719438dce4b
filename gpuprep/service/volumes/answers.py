"""What a client may have of a case that was prepared for it: files that its slot writes."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gpuprep.export.files import write_voxels
from gpuprep.inference.patches import GridPatches
from gpuprep.store.layout import CASE_SUFFIX, RECORD_FILE
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.errors import UsageError
from gpuprep.values.units import human_bytes

Kind = Literal["zarr", "case", "npy", "nifti"]
KINDS: tuple[str, ...] = get_args(Kind)
MEDIA = {
    "zarr": "application/zip",
    "case": "application/zip",
    "npy": "application/x-npy",
    "npz": "application/x-npz",
    "nifti": "application/x-nifti",
}
MOST_BYTES = 8 << 30
"""Of the patches of one answer."""
_WRITTEN = (1980, 1, 1, 0, 0, 0)  # so that equal cases are equal zips


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which answer a client wants; ``patch`` is voxels along ``z, y, x``, for ``npy`` alone."""

    kind: Kind = "zarr"
    patch: tuple[int, int, int] | None = None
    overlap: float = 0.5
    """Of neighbouring patches, as a fraction of a patch: at least 0, below 1."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Wanted:
        patch = fields["patch"]
        return cls(**{**fields, "patch": None if patch is None else tuple(patch)})


def write_answer(case: Path, wanted: Wanted, folder: Path) -> tuple[Path, str]:
    """Write the answer about a stored case into a folder; returns its file and media type.

    Raises:
        UsageError: the patches are impossible, or more than an answer may have.
    """
    identity = case.name.removesuffix(CASE_SUFFIX)
    if wanted.kind in ("zarr", "case"):
        file = folder / f"{identity}{CASE_SUFFIX}.zip"
        _zip(case, file, inside="" if wanted.kind == "zarr" else f"{case.name}/")
        return file, MEDIA[wanted.kind]
    with StoredCase(case) as stored:
        image = np.asarray(stored.image)
        if wanted.kind == "nifti":
            file = folder / f"{identity}.nii"
            write_voxels(image, stored.geometry, file)
            return file, MEDIA["nifti"]
    if wanted.patch is None:
        file = folder / f"{identity}.npy"
        np.save(file, image)
        return file, MEDIA["npy"]
    patches, offsets = _cut(image, wanted.patch, wanted.overlap)
    file = folder / f"{identity}.npz"
    np.savez(file, patches=patches, offsets=offsets)
    return file, MEDIA["npz"]


def _zip(case: Path, file: Path, inside: str) -> None:
    """The files of a case as they are, not compressed again, the record last."""
    paths = sorted(path for path in case.rglob("*") if path.is_file())
    paths.sort(key=lambda path: path == case / RECORD_FILE)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            entry = zipfile.ZipInfo(f"{inside}{path.relative_to(case)}", _WRITTEN)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())


def _cut(
    image: NDArray[Any], patch: tuple[int, int, int], overlap: float
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Patches ``n, (c,) z, y, x`` that cover an image, and where they start, below 0 where it is smaller."""
    grid = GridPatches(image, patch, step=1 - overlap)
    shape = (len(grid), *image.shape[:-3], *patch)
    size = len(grid) * int(np.prod([float(edge) for edge in shape[1:]])) * image.itemsize
    if size > MOST_BYTES:
        raise UsageError(
            f"{len(grid)} patches of {patch} voxels are {human_bytes(size)}, and an answer may have "
            f"{human_bytes(MOST_BYTES)}",
            advice="ask for smaller or fewer patches, or for the image",
        )
    patches = np.empty(shape, image.dtype)
    offsets = np.empty((len(grid), 3), np.int64)
    for number, start, voxels in grid:
        patches[number], offsets[number] = voxels, start
    return patches, offsets
