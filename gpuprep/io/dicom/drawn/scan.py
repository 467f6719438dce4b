"""Segmentations and contours as scans: one label map, on the grid of the image they were drawn on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gpuprep.io.dicom.drawn.contours import drawn
from gpuprep.io.dicom.drawn.segmentation import labelled_frames, segmentation
from gpuprep.io.dicom.drawn.structures import chosen, class_of, names_of, structures_in
from gpuprep.io.frames_on_grid import Grid
from gpuprep.io.hashed import file_identity
from gpuprep.io.limits import check_inside, check_limits
from gpuprep.io.rules import Reading
from gpuprep.io.scan import Preview, Scan, volumes_of


def read_structures(reading: Reading, image: Grid | None, volume: str) -> Scan:
    """The label map that a segmentation or a structure set comes to.

    Args:
        image: The grid of the image it was drawn on; without one a segmentation has its own grid.
        volume: The structures that are meant, see ``structures.chosen``.

    Raises:
        InputError: E_NO_GEOMETRY for contours without an image; E_LABEL_OVERLAP; or the file is bad.
    """
    path = Path(reading.path)
    check_inside(path, reading.rules)
    told = structures_in(path)
    choice = chosen(volume, told.names, reading)
    names, dtype = names_of(choice, told.names), _dtype(choice)
    if told.contours:
        grid = _needed(image, reading)
        _check(grid, dtype, reading)
        out = reading.allocate((1, *grid.geometry.shape), dtype)
        out[...] = 0
        drawn(path, choice, names, grid, reading, out[0])
    else:
        found = segmentation(path, reading, image, pixels=True)
        grid = found.placed.grid
        _check(grid, dtype, reading)
        out = reading.allocate((1, *grid.geometry.shape), dtype)
        out[...] = 0
        labelled_frames(found, choice, names, reading, out[0])
    facts: dict[str, Any] = {
        "modality": "RTSTRUCT" if told.contours else "SEG",
        "stored_dtype": str(dtype),
        "structures": {str(value): name for value, name in names.items()},
    }
    return Scan(
        volumes_of(out, grid.geometry),
        tuple(reading.findings.items),
        (file_identity(path),),
        "dicom",
        facts,
        grid.heights,
    )


def peek_structures(reading: Reading, image: Grid | None, volume: str) -> Preview:
    """What the header of a segmentation or of a structure set promises."""
    path = Path(reading.path)
    check_inside(path, reading.rules)
    told = structures_in(path)
    choice = chosen(volume, told.names, reading)
    if told.contours:
        grid = _needed(image, reading)
    else:
        grid = segmentation(path, reading, image, pixels=False).placed.grid
    dtype = _dtype(choice)
    _check(grid, dtype, reading)
    return Preview(
        grid.geometry,
        1,
        str(dtype),
        grid.geometry.voxels * dtype.itemsize,
        path.stat().st_size,
        tuple(reading.findings.items),
        grid.heights,
    )


def tells_structures(path: str) -> bool:
    """Whether a DICOM file is a segmentation or a structure set."""
    return bool(class_of(Path(path)))


def _needed(image: Grid | None, reading: Reading) -> Grid:
    if image is None:
        raise reading.error(
            "E_NO_GEOMETRY",
            "contours have no grid of their own, and the series they were drawn on is not in the input",
            "Put the series into the input, or list both in a manifest.",
        )
    return image


def _check(grid: Grid, dtype: np.dtype[Any], reading: Reading) -> None:
    check_limits(reading.path, (1, *grid.geometry.shape), dtype.itemsize, reading.rules)


def _dtype(choice: list[tuple[int, frozenset[int]]]) -> np.dtype[Any]:
    largest = max((value for value, _ in choice), default=0)
    return np.dtype(np.uint8 if largest < 256 else np.uint16)
