"""Stored arrays back to ``.nii``, ``.nii.gz`` and ``.mha`` files, on their own grid or on the source's.

The way back undoes, in reverse, what the record says was done to the grid: resample, crop, orientation.
Intensities stay as stored. NIfTI keeps its geometry in float32 (about 1e-5 mm), MetaImage in full.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gpuprep.errors import CorruptStoreError, StoreError, UsageError
from gpuprep.geometry import Box, Geometry, Reorientation
from gpuprep.grids import GridMapping
from gpuprep.ops.beyond import fill_beyond
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.resample import resample
from gpuprep.store.reader import Case, StoredArray, open_cohort
from gpuprep.volume import Volume

SUFFIXES = (".nii", ".nii.gz", ".mha")
_SHOWN = 8  # names listed in an error
_SAME_GRID_MM = 1e-6  # a record's own grids follow from one another in float64


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written, and the grid and dtype of its voxels."""

    path: Path
    geometry: Geometry
    dtype: str

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "geometry": self.geometry.to_json(),
            "dtype": self.dtype,
        }


@dataclass(frozen=True, slots=True)
class NativeGrid:
    """The steps from a source's grid (a sheared one straightened) to a case's, as its record tells them."""

    source: Geometry
    oriented: Geometry
    reorientation: Reorientation
    box: Box
    mapping: GridMapping
    bounded: bool
    """Whether the stored grid is a reference's, so that it may hold a part of the source only."""

    @classmethod
    def of(cls, record: Mapping[str, Any], stored: Geometry) -> NativeGrid:
        """The steps out of a record; CorruptStoreError where they do not end at ``stored``."""
        try:
            grids = record["geometry"]
            source = Geometry.from_json(grids.get("straight", grids["source"]))
            told = Geometry.from_json(grids["oriented"])
            oriented, reorientation = source.reorient(told.orientation)
            z, y, x = (slice(start, stop) for start, stop in grids["crop"])
            steps = record["mapping"]
            mapping = GridMapping(stored.shape, tuple(steps["scale"]), tuple(steps["offset"]))
            apart = max(
                oriented.distance(told), mapping.on(oriented.crop((z, y, x))).distance(stored)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptStoreError(f"the record's geometry cannot be read ({error!r})") from error
        if not apart <= _SAME_GRID_MM:
            raise CorruptStoreError(
                f"the record's steps lead {apart:.3g} mm away from the stored grid",
                advice="run the case again",
            )
        return cls(source, oriented, reorientation, (z, y, x), mapping, "reference" in grids)

    @property
    def back(self) -> GridMapping:
        """From the stored grid to the cropped source: the inverse of the resampling."""
        cropped = self.oriented.crop(self.box).shape
        a, b, c = (1.0 / scale for scale in self.mapping.scale)
        u, v, w = (
            -offset / scale
            for offset, scale in zip(self.mapping.offset, self.mapping.scale, strict=True)
        )
        return GridMapping(cropped, (a, b, c), (u, v, w))


def export_case(
    output: Path,
    case_id: str,
    file: Path,
    *,
    label: str | None = None,
    channel: int | None = None,
    native: bool = False,
    overwrite: bool = False,
) -> Exported:
    """Write one array of a stored case to a file; returns what was written.

    Args:
        output: the cohort's folder.
        file: the target; its suffix (.nii, .nii.gz, .mha) chooses the format.
        label: the label map to write; None for the image.
        channel: which channel of a multi-channel image, from 0.
        native: bring the voxels back to the grid of the source file, or to the straight grid that
            took the place of a sheared or uneven one.
        overwrite: replace a file that is there.

    Raises:
        UsageError: the suffix, case, label or channel is unknown (the message lists what exists), or
            the file cannot be written.
        CorruptStoreError: the case's bytes are damaged.
    """
    _check_target(file, overwrite=overwrite)
    case = find_case(output, case_id)
    stored = Volume(_read(case, label, channel), case.geometry)
    volume = to_native(stored, case.record, label=label is not None) if native else stored
    with whole_file(file) as partial:
        write_volume(volume, partial)
    return Exported(file, volume.geometry, str(_portable(volume.array).dtype))


def to_native(stored: Volume, record: Mapping[str, Any], *, label: bool) -> Volume:
    """A volume on a stored case's grid (a prediction, say) back on the grid of the case's source file.

    Where that was sheared or uneven, it is the straight grid on which its voxels were brought: neither
    MetaImage nor a spacing and direction can hold the other.

    Labels go by the nearest voxel, images by linear interpolation. Outside the crop, and outside the
    reference where the case was put on one, a label is 0 and an image its own minimum.

    Raises:
        CorruptStoreError: the record does not lead from the source to this volume's grid.
    """
    grid = NativeGrid.of(record, stored.geometry)
    if label:
        inside, fill = resample_labels(stored.array, grid.back), 0
    else:
        kept = stored.array.dtype if stored.array.dtype.kind in "iu" else np.float32
        inside = resample(stored.array, grid.back, interpolation="linear", dtype=kept)
        fill = inside.dtype.type(stored.array.min())
    if grid.bounded:
        fill_beyond(inside, stored.array.shape, grid.back, fill)
    if inside.shape == grid.oriented.shape:
        whole = inside
    else:
        whole = np.full(grid.oriented.shape, fill, inside.dtype)
        whole[grid.box] = inside
    return Volume(grid.reorientation.inverse.view(whole), grid.source)


def write_volume(volume: Volume, file: Path) -> None:
    """Write a 3-D volume as the format of the file's suffix; float16 becomes float32."""
    array = np.ascontiguousarray(_portable(volume.array))
    if file.name.lower().endswith(".mha"):
        _write_metaimage(array, volume.geometry, file)
    else:
        _write_nifti(array, volume.geometry, file)


def find_case(output: Path, case_id: str) -> Case:
    """A case of a cohort; UsageError lists the cases there are."""
    try:
        cohort = open_cohort(output)
    except StoreError as error:
        raise UsageError(error.message, advice=error.advice) from error
    if case_id not in cohort:
        raise UsageError(f"{output} holds no case {case_id!r}", advice=_choose(cohort.ids, "cases"))
    return cohort[case_id]


def find_label(case: Case, name: str) -> StoredArray:
    """A label map of a case; UsageError lists those there are."""
    if name not in case.labels:
        raise UsageError(
            f"case {case.id} has no label {name!r}", advice=_choose(tuple(case.labels), "labels")
        )
    return case.labels[name]


def _read(case: Case, label: str | None, channel: int | None) -> NDArray[Any]:
    if label is not None:
        if channel is not None:
            raise UsageError("--label and --channel exclude one another: a label has no channels")
        return np.asarray(find_label(case, label))
    if case.image is None:
        raise UsageError(
            f"case {case.id} holds labels only",
            advice=f"name one with --label: {', '.join(case.labels)}",
        )
    if case.image.ndim == 3:
        if channel not in (None, 0):
            raise UsageError(f"case {case.id} has one channel, not a channel {channel}")
        return np.asarray(case.image)
    if channel is None or not 0 <= channel < len(case.image):
        named = ", ".join(f"{n} ({name})" for n, name in enumerate(case.channel_names))
        raise UsageError(
            f"case {case.id} has {len(case.image)} channels and one file holds one",
            advice=f"choose with --channel: {named or f'0 … {len(case.image) - 1}'}",
        )
    return np.asarray(case.image[channel])


def _portable(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _write_nifti(array: NDArray[Any], geometry: Geometry, file: Path) -> None:
    """sform and qform alike (code 1, scanner), so that no reader has to choose."""
    import nibabel

    image = nibabel.Nifti1Image(array.T, geometry.affine_ras)
    image.set_qform(geometry.affine_ras, code=1)
    image.set_sform(geometry.affine_ras, code=1)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, file)


def _write_metaimage(array: NDArray[Any], geometry: Geometry, file: Path) -> None:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    SimpleITK.WriteImage(image, str(file), useCompression=True)


def _check_target(file: Path, *, overwrite: bool) -> None:
    if suffix_of(file) is None:
        raise UsageError(
            f"{file}: no format is known by that suffix", advice=f"use {', '.join(SUFFIXES)}"
        )
    if not file.parent.is_dir():
        raise UsageError(f"folder {file.parent} does not exist")
    if file.is_dir():
        raise UsageError(f"{file} is a folder")
    if file.exists() and not overwrite:
        raise UsageError(f"{file} exists already", advice="choose another name, or --overwrite")


def suffix_of(file: Path) -> Literal[".nii", ".nii.gz", ".mha"] | None:
    """The suffix that names a format we write, or None."""
    name = file.name.lower()
    return next((suffix for suffix in (".nii", ".nii.gz", ".mha") if name.endswith(suffix)), None)


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """A name to write to, beside the file, which then appears whole or not at all.

    Raises:
        UsageError: it cannot be written there.
    """
    partial = file.with_name(f".{os.getpid()}-{file.name}")
    try:
        yield partial
        partial.replace(file)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot write {file}: {reason}") from error
    finally:
        partial.unlink(missing_ok=True)


def _choose(names: tuple[str, ...], what: str) -> str:
    if not names:
        return f"there are no {what}"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{what}: {', '.join(names[:_SHOWN])}{more}"
