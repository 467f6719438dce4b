"""What nnU-Net knows of a case beside its voxels: how predictions find their way back, where classes lie."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpuprep.store.nnunet.class_locations import Key, Places
from gpuprep.values.geometry import Geometry

_FLAT = (
    999.0  # nnU-Net gives an image of two axes one slice, so many times as thick as a pixel is wide
)
_TURNS = "WithReorient"
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_PROTOCOL = 4  # of pickle: the same bytes under every Python


def case_properties(
    grids: Mapping[str, Any],
    forward: Sequence[int],
    locations: Mapping[Key, Places] | None,
    reader: str = "SimpleITKIO",
) -> dict[str, Any]:
    """The properties in nnU-Net's words.

    Shapes and the box are in the order of the stored axes, ``spacing`` is ``z, y, x``, ``sitk_stuff`` in that
    of SimpleITK. A reader of nibabel's has ``nibabel_stuff`` in its place.

    Args:
        grids: ``geometry`` of the case's record.
        forward: The stored axes, as numbers of ``z, y, x``.
        locations: Voxels of each class; None for a case without a label map.
        reader: nnU-Net's class that reads the data set's files, and writes predictions by these properties.
    """
    grid = Geometry.from_json(grids["oriented"])
    box = [[int(number) for number in grids["crop"][axis]] for axis in forward]
    properties: dict[str, Any] = {
        **_of_reader(reader, grid, grids),
        "spacing": list(grid.spacing_zyx),
        "shape_before_cropping": tuple(grid.shape[axis] for axis in forward),
        "bbox_used_for_cropping": box,
        "shape_after_cropping_and_before_resampling": tuple(stop - start for start, stop in box),
    }
    if locations is not None:
        properties["class_locations"] = dict(locations)
    return properties


def to_pickle(properties: Mapping[str, Any]) -> bytes:
    """The bytes of the file; pickles are written here, and never read."""
    return pickle.dumps(dict(properties), protocol=_PROTOCOL)


def _of_reader(reader: str, grid: Geometry, grids: Mapping[str, Any]) -> dict[str, Any]:
    """What the reader notes of an image for its way back; the ones that turn images, of both ways."""
    if "Nibabel" not in reader and not reader.endswith(_TURNS):
        return {"sitk_stuff": _of_simpleitk(grid)}
    file = Geometry.from_json(grids.get("straight") or grids["source"])
    if "Nibabel" not in reader:
        told = {**_of_simpleitk(grid), "original_orientation": file.orientation}
        return {"sitk_stuff": told}
    affines = {"original_affine": _LPS_TO_RAS @ file.affine}
    if reader.endswith(_TURNS):
        affines["reoriented_affine"] = _LPS_TO_RAS @ grid.affine
    return {"nibabel_stuff": affines}


def _of_simpleitk(grid: Geometry) -> dict[str, tuple[float, ...]]:
    x, y, z = grid.spacing
    if grid.shape[0] == 1 and z == _FLAT * max(x, y):
        ways = grid.direction
        return {
            "spacing": (x, y),
            "origin": grid.origin[:2],
            "direction": (ways[0], ways[1], ways[3], ways[4]),
        }
    return {"spacing": grid.spacing, "origin": grid.origin, "direction": grid.direction}
