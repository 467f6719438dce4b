"""PNG and TIFF pictures as volumes: one slice each, or a stack of pages or files, decoded by Pillow.

A picture says nothing of the patient. Its spacing comes from the manifest, or its place from the DICOM
slices it was drawn on (``Source.slices``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from gpuprep.io.grid import as_one_slice, check_grid, grid_of, placement
from gpuprep.io.hashed import file_identity
from gpuprep.io.limits import check_capacity, check_inside, check_limits
from gpuprep.io.picture_file import check_sums, opened_picture, pixels_of
from gpuprep.io.picture_samples import Samples, resolution_mm, samples_of
from gpuprep.io.rules import Reading
from gpuprep.io.scan import Preview, Scan, volumes_of
from gpuprep.io.voxels import report_not_finite
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError
from gpuprep.values.geometry import Geometry

_DEFLATED = frozenset({"tiff_adobe_deflate", "tiff_deflate"})
_LOSSY = frozenset({"jpeg", "old_jpeg", "webp"})
_PACKED = 8  # pixels of one bit in a byte, where one has a byte in memory


@dataclass(frozen=True, slots=True)
class _Placing:
    """A grid, the slice at which each file begins, and the slices' heights where they are uneven."""

    geometry: Geometry
    begins: Sequence[int]
    heights: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class _Pages:
    """The pictures of one file, as its header says: all of one size and kind."""

    path: Path
    number: int
    rows: int
    columns: int
    samples: Samples
    compression: str
    resolution: tuple[float, float] | None

    @property
    def kind(self) -> tuple[int, int, Samples]:
        return self.rows, self.columns, self.samples


def read_picture(source: Source, reading: Reading) -> Scan:
    """The pages of a file as slices in their order, or a file each as slices in the order of the files.

    Raises:
        InputError: E_COLOURS if it is no one intensity, E_NO_GEOMETRY without a spacing, E_LIMIT,
            E_TRUNCATED, E_NOT_VOLUME if pages differ, E_UNREADABLE.
    """
    pages, placing = _checked(source, reading)
    geometry, samples = placing.geometry, pages[0].samples
    dtype = np.dtype(samples.dtype)
    voxels = reading.allocate((1, *geometry.shape), dtype)
    for one in pages:
        check_sums(one.path)
    for place, one in zip(placing.begins, pages, strict=True):
        for offset, plane in enumerate(_planes(one, reading)):
            voxels[0, place + offset] = plane
    report_not_finite(voxels, reading)
    identity = tuple(file_identity(one.path) for one in pages)
    facts = {"stored_dtype": str(dtype), "bits": samples.bits, "mode": samples.mode}
    facts |= {"compression": pages[0].compression}
    items = tuple(reading.findings.items)
    return Scan(volumes_of(voxels, geometry), items, identity, "picture", facts, placing.heights)


def peek_picture(source: Source, reading: Reading) -> Preview:
    """What the header of each picture promises; no pixel is decoded."""
    pages, placing = _checked(source, reading)
    dtype = np.dtype(pages[0].samples.dtype)
    size = sum(one.path.stat().st_size for one in pages)
    geometry, items = placing.geometry, tuple(reading.findings.items)
    decoded = geometry.voxels * dtype.itemsize
    return Preview(geometry, 1, str(dtype), decoded, size, items, placing.heights)


def _checked(source: Source, reading: Reading) -> tuple[list[_Pages], _Placing]:
    """The pages of each file, and where they lie."""
    files = [Path(file) for file in source.files] or [Path(source.path)]
    check_limits(reading.path, (len(files),), 1, reading.rules)
    pages = [_opened(file, reading) for file in files]
    first = pages[0]
    for one in pages:
        if one.kind != first.kind:
            text = f"{_told(first)}, then {_told(one)}"
            raise InputError(
                "E_NOT_VOLUME", f"pictures of one stack differ: {text}", path=str(one.path)
            )
    number = sum(one.number for one in pages)
    itemsize = np.dtype(first.samples.dtype).itemsize
    check_limits(reading.path, (1, number, first.rows, first.columns), itemsize, reading.rules)
    _report_kind(first, reading)
    if source.slices:
        return pages, _on_slices(source, pages, reading)
    shape = (number, first.rows, first.columns)
    geometry = _spaced(source.spacing, shape, first.resolution, reading)
    return pages, _Placing(
        geometry, list(accumulate((one.number for one in pages[:-1]), initial=0))
    )


def _told(pages: _Pages) -> str:
    samples = pages.samples
    shown = ", zero being white" if samples.white_is_zero else ""
    return f"{pages.columns}×{pages.rows} {samples.mode} of {samples.bits} bits{shown}"


def _report_kind(first: _Pages, reading: Reading) -> None:
    mode = first.samples.mode
    if not first.samples.is_grey:
        kind = "a palette" if mode in ("P", "PA") else f"colours or transparency ({mode})"
        reading.report(
            "E_COLOURS",
            f"the picture has {kind}, not one intensity",
            advice="Save it as grey, with one number per pixel.",
            ways={"fix": "takes equal colours as grey, and a palette's indices as values"},
        )
    if first.samples.white_is_zero:
        done = "are" if reading.findings.fixes("W_MONOCHROME1") else "are not"
        reading.report(
            "W_MONOCHROME1",
            f"zero is white in the picture, and values {done} inverted",
            ways={"fix": "inverts them"},
        )
    if first.compression in _LOSSY:
        reading.report("W_LOSSY", f"the picture is compressed with loss ({first.compression})")


def _spaced(
    spacing: Sequence[float],
    shape: tuple[int, int, int],
    resolution: tuple[float, float] | None,
    reading: Reading,
) -> Geometry:
    """The grid at the origin along L, P and S."""
    flat = shape[0] == 1 and len(spacing) < 3
    if len(spacing) < (2 if shape[0] == 1 else 3):
        known = "×".join(f"{step:g}" for step in spacing) or "no spacing"
        dense = "×".join(f"{step:.4g}" for step in resolution or ())
        printed = f" (its resolution for printing, {dense} mm, is not taken for one)" * bool(dense)
        reading.report(
            "E_NO_GEOMETRY",
            f"pictures have no spacing of their own, and {shape[0]} slices have {known} in the "
            f"input{printed}",
            advice="Give it in mm as 'x y z' in the column spacing of a manifest ('x y' for one slice).",
            ways={"warn": "takes 1 mm"},
        )
    x, y, z = (*spacing, 1.0, 1.0, 1.0)[:3] if spacing else (1.0, 1.0, 1.0)
    affine = placement([(x, 0.0, 0.0), (0.0, y, 0.0), (0.0, 0.0, z)], (0.0, 0.0, 0.0))
    geometry = grid_of(affine, shape, reading)
    reading.report(
        "W_NO_AFFINE", "pictures are not placed in the patient; axes were taken as L, P, S"
    )
    check_grid(geometry, reading)
    return as_one_slice(geometry, reading) if flat else geometry


def _on_slices(source: Source, pages: list[_Pages], reading: Reading) -> _Placing:
    """The grid of the DICOM slices that the pictures were drawn on, and the slice of each picture.

    The first picture by name is of the first slice by name, and so on.
    """
    from gpuprep.io.dicom.scan import placed_slices  # loads pydicom

    geometry, heights, paths = placed_slices(source.slices, reading)
    places = {path: place for place, path in enumerate(paths)}
    single = all(one.number == 1 for one in pages)
    drawn = (len(pages), pages[0].rows, pages[0].columns)
    if not single or drawn != geometry.shape or len(places) != len(source.slices):
        text = f"{len(pages)} pictures of {drawn[2]}×{drawn[1]} for {geometry.describe()}"
        raise InputError(
            "E_NOT_VOLUME",
            f"the pictures are not one for each slice that they were drawn on: {text}",
            path=reading.path,
            advice="Bring the missing files back, or leave the label out.",
        )
    return _Placing(geometry, [places[path] for path in source.slices], heights)


def _planes(pages: _Pages, reading: Reading) -> Iterator[np.ndarray[Any, Any]]:
    mirrored = pages.samples.white_is_zero and reading.findings.fixes("W_MONOCHROME1")
    with opened_picture(pages.path) as picture:
        for number in range(pages.number):
            picture.seek(number)
            if (picture.height, picture.width, samples_of(picture)) != pages.kind:
                text = (
                    f"page {number + 1} of {pages.number} is of another size or kind than the first"
                )
                raise InputError("E_NOT_VOLUME", text, path=str(pages.path))
            values = pages.samples.stored(_grey(pixels_of(picture), pages))
            yield pages.samples.as_shown(values) if mirrored else values


def _grey(pixels: np.ndarray[Any, Any], pages: _Pages) -> np.ndarray[Any, Any]:
    """One number per pixel; of colours where they are equal and nothing is transparent."""
    if pixels.ndim == 2:
        return pixels
    mode = pages.samples.mode
    has_alpha = mode in ("LA", "RGBA")
    colours, alpha = (pixels[..., :-1], pixels[..., -1]) if has_alpha else (pixels, None)
    opaque = alpha is None or bool((alpha == np.iinfo(alpha.dtype).max).all())
    plain = mode in ("LA", "RGB", "RGBA", "RGBX")
    if not (opaque and plain) or (colours != colours[..., :1]).any():
        text = f"the picture has colours that differ, of 16 bits, or transparency ({mode})"
        raise InputError(
            "E_COLOURS",
            text,
            path=str(pages.path),
            advice="Choose one channel, and save it as grey.",
        )
    return np.asarray(colours[..., 0])


def _opened(path: Path, reading: Reading) -> _Pages:
    """What the header says; length and limits are checked before a pixel is decoded."""
    check_inside(path, reading.rules)
    with opened_picture(path) as picture:
        number = int(getattr(picture, "n_frames", 1))
        compression = str(picture.info.get("compression", "deflate"))
        size, resolution = (picture.height, picture.width), resolution_mm(picture)
        pages = _Pages(path, number, *size, samples_of(picture), compression, resolution)
    itemsize = np.dtype(pages.samples.dtype).itemsize
    check_limits(path, (1, number, pages.rows, pages.columns), itemsize, reading.rules)
    needed, held = number * pages.rows * pages.columns * itemsize, path.stat().st_size
    if compression in ("deflate", "raw", *_DEFLATED):
        packed = needed // _PACKED if itemsize == 1 else needed
        check_capacity(path, packed, held, deflated=compression != "raw")
    return pages
