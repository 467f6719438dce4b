"""Stored cases of a cohort, and one array of a case to a file, on its own grid or on the source's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.export.files import check_target, portable, write_voxels
from gpuprep.export.native import LabelRule, to_native
from gpuprep.host.atomic import whole_file
from gpuprep.store.array import StoredArray
from gpuprep.store.reader import Cohort, open_cohort
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.errors import StoreError, UsageError
from gpuprep.values.geometry import Geometry
from gpuprep.values.volume import Volume

_SHOWN = 8  # names listed in an error


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


def export_case(
    output: Path,
    case_id: str,
    file: Path,
    *,
    label: str | None = None,
    channel: int | None = None,
    native: bool = False,
    interpolation: LabelRule = "linear",
    outside: float | None = None,
    overwrite: bool = False,
    output_name: str | None = None,
) -> Exported:
    """Write one array of a stored case to a file, intensities as stored; returns what was written.

    >>> export_case(Path("cohort"), "volume-0", Path("organ.nii.gz"), label="segmentation").geometry.size
    (32, 29, 21)

    Args:
        output: the cohort's folder.
        file: the target; its suffix (.nii, .nii.gz, .mha) chooses the format.
        label: the label map to write; None for the image.
        channel: which channel of a multi-channel image, from 0.
        native: bring the voxels back to the grid of the source file, or to the straight grid that
            took the place of a sheared or uneven one.
        interpolation: of a label that is brought back.
        outside: what the source holds outside the crop (see ``to_native``).
        overwrite: replace a file that is there.
        output_name: the output to take, where cases have several; by default the first.

    Raises:
        UsageError: the suffix, case, label or channel is unknown (the message lists what exists), or
            the file cannot be written.
        CorruptStoreError: the case's bytes are damaged.
    """
    check_target(file, overwrite=overwrite)
    case = find_case(output, case_id, output_name)
    volume = Volume(_read(case, label, channel), case.geometry)
    if native:
        volume = to_native(
            volume,
            case.record,
            label=label is not None,
            interpolation=interpolation,
            outside=outside,
        )
    return write_exported(volume.array, volume.geometry, file)


def write_exported(array: NDArray[Any], geometry: Geometry, file: Path) -> Exported:
    """Write ``z, y, x`` or ``c, z, y, x``; the file appears whole or not at all."""
    array = portable(array)
    with whole_file(file) as partial:
        write_voxels(array, geometry, partial)
    return Exported(file, geometry, str(array.dtype))


def find_case(output: Path, case_id: str, output_name: str | None = None) -> StoredCase:
    """A case of a cohort, by default its first output; UsageError lists the cases there are.

    >>> find_case(Path("cohort"), "volume-1").geometry.spacing
    (1.0, 1.0, 1.5)
    """
    cohort = find_cohort(output, output_name)
    check_case(cohort, case_id)
    return cohort[case_id]


def check_case(cohort: Cohort, case_id: str) -> None:
    """UsageError lists the cases there are, where one is not among them."""
    if case_id not in cohort:
        raise UsageError(
            f"{cohort.path} holds no case {case_id!r}", advice=_choose(cohort.ids, "cases")
        )


def find_cohort(output: Path, output_name: str | None = None) -> Cohort:
    """The cohort of a folder, by default of the cases' first output; UsageError where there is none."""
    try:
        return open_cohort(output, output=output_name)
    except StoreError as error:
        raise UsageError(error.message, advice=error.advice) from error


def find_label(case: StoredCase, name: str) -> StoredArray:
    """A label map of a case; UsageError lists those there are."""
    if name not in case.labels:
        raise UsageError(
            f"case {case.id} has no label {name!r}", advice=_choose(tuple(case.labels), "labels")
        )
    return case.labels[name]


def _read(case: StoredCase, label: str | None, channel: int | None) -> NDArray[Any]:
    if label is not None:
        if channel is not None:
            raise UsageError("--label and --channel exclude one another: a label has no channels")
        find_label(case, label)
        return case.read_classes(label)
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


def _choose(names: tuple[str, ...], what: str) -> str:
    if not names:
        return f"there are no {what}"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{what}: {', '.join(names[:_SHOWN])}{more}"
