"""The way back: what the record says was done to the grid, undone: resample, crop, orientation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gpuprep.ops.labels import resample_labels
from gpuprep.ops.resample import Resampling, fill_beyond, resample
from gpuprep.values.errors import CorruptStoreError, UsageError
from gpuprep.values.geometry import Box, Geometry, Reorientation
from gpuprep.values.grids import GridMapping
from gpuprep.values.volume import Volume

LabelRule = Literal["nearest", "linear"]
"""``nearest``: the label of the nearest voxel; ``linear``: the label with most weight among eight."""

_SAME_GRID_MM = 1e-6  # a record's own grids follow from one another in float64


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


def to_native(
    stored: Volume,
    record: Mapping[str, Any],
    *,
    label: bool,
    interpolation: LabelRule = "linear",
    outside: float | None = None,
) -> Volume:
    """A volume on a stored case's grid (a prediction, say) back on the grid of the case's source file.

    >>> from gpuprep.store.stored_case import open_case
    >>> case = open_case("cohort/cases/volume-0.zarr")
    >>> organ = Volume(case.labels["segmentation"][...], case.geometry)
    >>> to_native(organ, case.record, label=True).geometry.size
    (40, 36, 20)

    Where that was sheared or uneven, it is the straight grid on which its voxels were brought: neither
    MetaImage nor a spacing and direction can hold the other.

    Args:
        stored: the voxels on the case's grid.
        record: the case's.
        label: whether voxels are labels; images go by linear interpolation.
        interpolation: of labels.
        outside: the value outside the crop, and outside the reference where the case was put on one; by
            default 0 for a label and an image's own minimum.

    Raises:
        UsageError: the voxels' dtype does not hold the value outside.
        CorruptStoreError: the record does not lead from the source to this volume's grid.
    """
    grid = NativeGrid.of(record, stored.geometry)
    array = stored.array
    if label:
        inside = resample_labels(array, Resampling(grid.back, interpolation))
        fill = _fill(outside or 0, inside.dtype)
    else:
        kept = array.dtype if array.dtype.kind in "iu" else np.float32
        inside = resample(array, Resampling(grid.back), dtype=kept)
        fill = _fill(array.min() if outside is None else outside, inside.dtype)
    if grid.bounded:
        fill_beyond(inside, array.shape, grid.back, fill)
    if inside.shape == grid.oriented.shape:
        whole = inside
    else:
        whole = np.full(grid.oriented.shape, fill, inside.dtype)
        whole[grid.box] = inside
    return Volume(grid.reorientation.inverse.view(whole), grid.source)


def _fill(value: Any, dtype: np.dtype[Any]) -> Any:
    """A number in the dtype of voxels, which must hold it."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if value != int(value) or not limits.min <= value <= limits.max:
            raise UsageError(
                f"the value outside, {value}, is none of {dtype}, which has whole numbers "
                f"{limits.min}..{limits.max}",
                advice="choose --outside among them",
            )
    return dtype.type(value)
