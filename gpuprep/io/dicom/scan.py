"""A DICOM series as a scan: audited, placed by its positions, decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gpuprep.io.dicom.audit import audit_each, no_intensity
from gpuprep.io.dicom.choice import check_alike, chosen
from gpuprep.io.dicom.itk_pixels import check_readable
from gpuprep.io.dicom.length import check_length
from gpuprep.io.dicom.meaning import padding_of
from gpuprep.io.dicom.mosaic import unfolded
from gpuprep.io.dicom.pixels import likely_pixels, read_pixels
from gpuprep.io.dicom.positions import normal_of, slice_heights, tilted, unit
from gpuprep.io.dicom.series import lost_slices, series_of_folder
from gpuprep.io.dicom.slice import Slice, read_slices
from gpuprep.io.dicom.uptake import factor_of
from gpuprep.io.grid import check_grid, grid_of, placement
from gpuprep.io.hashed import file_identity
from gpuprep.io.limits import check_inside, check_limits
from gpuprep.io.rules import Reading
from gpuprep.io.scan import Preview, Scan, Voxels, volumes_of
from gpuprep.io.suv import Factor, NoSuvError
from gpuprep.io.uptake import suv_factors
from gpuprep.io.voxels import report_not_finite
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError
from gpuprep.values.geometry import Geometry


def read_dicom(source: Source, reading: Reading) -> Scan:
    """One series, or one enhanced multi-frame file, as a scan.

    Its files may be absolute or relative to the folder that is read; without them it must hold one
    series. Spacing between slices comes from their positions, never from the slice thickness. Of several
    volumes (see ``volumes``) the one that the source names is read, or what the rules say.

    Raises:
        InputError: the series is no volume (see ``audit``), a limit is passed, or a file is bad.
    """
    found = _checked(source.files, reading, source.volume)
    _tell_sister(source, found, reading)
    slices = found.slices
    paths = dict.fromkeys([*(one.path for one in slices), *found.files])
    identity = tuple(file_identity(Path(path)) for path in paths)
    voxels = read_pixels(slices, reading, len(found.volumes))
    report_not_finite(voxels, reading)
    low, high = _padding(slices, voxels, reading)
    return Scan(
        volumes_of(voxels, found.geometry),
        tuple(reading.findings.items),
        identity,
        "dicom",
        {**_facts(found), "padding_value": low, "padding_limit": high},
        found.heights,
    )


def placed_slices(
    files: Sequence[str], reading: Reading
) -> tuple[Geometry, tuple[float, ...], list[str]]:
    """The grid of a series, the heights of its slices as in ``Scan``, and its files from the first slice on.

    What is found about them is told where the series itself is read.

    Raises:
        InputError: as ``read_dicom``.
    """
    found = _checked(files, replace(reading, findings=reading.rules.findings()), "")
    return found.geometry, found.heights, [str(one.path) for one in found.slices]


def peek_dicom(source: Source, reading: Reading) -> Preview:
    """What the headers of a series promise, after the full audit."""
    found = _checked(source.files, reading, source.volume)
    _tell_sister(source, found, reading)
    slices, geometry, number = found.slices, found.geometry, len(found.volumes)
    dtype = np.dtype("u1") if no_intensity(slices[0]) else likely_pixels(slices)
    paths = {one.path for one in slices}
    decoded, items = number * geometry.voxels * dtype.itemsize, tuple(reading.findings.items)
    size = sum(Path(path).stat().st_size for path in paths)
    return Preview(geometry, number, str(dtype), decoded, size, items, found.heights)


@dataclass(frozen=True)
class _Checked:
    """The volumes that are read, each of sorted slices, by name, on one grid.

    ``heights`` are those of their slices, where they have to be evened out; ``files`` are all that were
    looked at, those of slices that were left out among them.
    """

    volumes: dict[str, list[Slice]]
    files: tuple[str, ...]
    geometry: Geometry
    heights: tuple[float, ...]
    suv: dict[str, Any]

    @property
    def slices(self) -> list[Slice]:
        return [one for volume in self.volumes.values() for one in volume]


def _checked(names: Sequence[str], reading: Reading, volume: str) -> _Checked:
    """What is to be read, audited; nothing is decoded."""
    files, rules = _files(names, reading), reading.rules
    check_limits(reading.path, (len(files),), 1, rules)
    found = [one for file in files for one in read_slices(file, rules)]
    shape = (len(found), max(one.rows for one in found), max(one.columns for one in found))
    check_limits(reading.path, (1, *shape), max(1, found[0].bits_allocated // 8), rules)
    for one in found:
        colours = no_intensity(one)  # which are counted in other ways
        if one.frame == 0 and not colours and not rules.headers_alone:
            check_length(one)
    wanted = {
        name: unfolded(part, or_whole=rules.headers_alone)
        for name, part in chosen(found, reading, volume).items()
    }
    audited = dict(zip(wanted, audit_each(wanted, reading), strict=True))
    (first, *_), placed, told = audited, {}, reading
    for name, slices in audited.items():
        placed[name] = _placed(slices, reading, told)
        told = replace(
            reading, findings=rules.findings()
        )  # on one grid, the others have no more to say
    check_alike(placed, reading)
    geometry, heights = placed[first]
    check_grid(geometry, reading, heights=heights)
    slices = [one for volume in audited.values() for one in volume]
    if rules.reader == "itk" and not rules.headers_alone:
        check_readable(slices)
    return _Checked(audited, tuple(map(str, files)), geometry, heights, _uptake(slices, reading))


def _tell_sister(source: Source, found: _Checked, reading: Reading) -> None:
    """W_SHORT_VOLUME where another volume of the series has more slices."""
    sister, slices = source.sister, len(found.slices)
    if sister is None or sister.slices <= slices:
        return
    fewer = sister.slices - slices
    text = f"{slices} slices, {fewer} fewer than volume {sister.name} of the same series has there"
    reading.report(
        "W_SHORT_VOLUME",
        text,
        advice="Look for slices that were not copied.",
        slices=slices,
        fewer=fewer,
        sister=sister.name,
    )


def _uptake(slices: Sequence[Slice], reading: Reading) -> dict[str, Any]:
    """The factors of SUV of a PET series, where they are asked for."""
    rules = reading.rules
    if not rules.suv or rules.headers_alone or slices[0].modality != "PT":
        return {}
    pets = [one.pet for one in slices if one.pet is not None]

    def find(kind: str) -> tuple[Factor, list[str]]:
        if len(pets) < len(slices):
            raise NoSuvError("this is enhanced PET, whose tags of SUV lie elsewhere")
        return factor_of(pets, kind)

    return suv_factors(reading, find)


def _placed(
    slices: Sequence[Slice], reading: Reading, told: Reading
) -> tuple[Geometry, tuple[float, ...]]:
    """The grid of a volume, and the heights of its slices where they are not even.

    What ``reading`` found is repaired; what there is to say about the grid is ``told``.
    """
    geometry = _grid(slices, told)
    if reading.findings.fixes("E_TILT"):
        geometry = tilted(geometry, slices, reading)
    return geometry, slice_heights(slices) if reading.findings.fixes("E_SLICE_GAP") else ()


def _files(names: Sequence[str], reading: Reading) -> list[Path]:
    path = Path(reading.path)
    named = [path / name for name in names] or [path]
    files = sorted(path.iterdir()) if path.is_dir() and not names else named
    for file in files:
        check_inside(file, reading.rules)
    if files is named:
        return files
    found, others = series_of_folder(path)
    series = sorted(found, key=lambda one: -len(one.files))
    if lost := lost_slices(series, others):
        raise InputError(
            "E_UNREADABLE",
            f"{len(lost)} of {len(files)} files are called as slices are, but cannot be read as DICOM; "
            f"the first: {others[lost[0]].reason}",
            path=lost[0],
            advice="Copy the series again, or take the files away if they are no part of it.",
        )
    if not series:
        raise reading.error("E_UNREADABLE", "the folder holds no DICOM images")
    if len(series) > 1:
        counts = ", ".join(str(len(one.files)) for one in series)
        reading.report(
            "E_MIXED_SERIES",
            f"the folder holds {len(series)} series (of {counts} files)",
            advice="Name the files of one series.",
            ways={"fix": "takes the largest"},
        )
    return [Path(file) for file in series[0].files]


def _grid(slices: Sequence[Slice], reading: Reading) -> Geometry:
    """Rows, columns and the slice normal as axes; the step between slices is the mean one along it."""
    first, last = slices[0], slices[-1]
    row, column = unit(first.orientation[:3]), unit(first.orientation[3:])
    normal = normal_of(first)
    between = first.claimed_step
    if len(slices) > 1:
        extent = np.subtract(last.position, first.position) @ normal
        between = float(extent / (len(slices) - 1))
    if between is None:
        reading.report(
            "E_NO_GEOMETRY",
            "a single slice without thickness has no spacing along z",
            ways={"warn": "takes 1 mm"},
        )
    down, right = first.pixel_spacing
    steps = (row * right, column * down, normal * (between or 1.0))
    affine = placement([step.tolist() for step in steps], first.position)
    return grid_of(affine, (len(slices), first.rows, first.columns), reading)


def _padding(
    slices: Sequence[Slice], voxels: Voxels, reading: Reading
) -> tuple[int, int] | tuple[None, None]:
    """The range of padding voxels after rescaling, if all slices declare one such range of integers."""
    mirrored = reading.findings.fixes("W_MONOCHROME1")
    ranges = [padding_of(one, mirrored=mirrored) for one in slices]
    count = sum(
        int(np.count_nonzero((plane >= ends[0]) & (plane <= ends[1])))
        for plane, ends in zip(voxels.reshape(-1, *voxels.shape[2:]), ranges, strict=True)
        if ends
    )
    declared = sorted({ends for ends in ranges if ends})
    if count:
        low, high = declared[0][0], max(high for _, high in declared)
        told = f"value {low:g}" if low == high else f"values {low:g} to {high:g}"
        limit: dict[str, Any] = {} if low == high else {"limit": _whole(high)}
        reading.report(
            "W_PADDING",
            f"{count:,} of {voxels.size:,} voxels hold the padding {told}",
            advice="Clip it away before statistics, or measure inside a mask.",
            voxels=count,
            value=_whole(low),
            **limit,
        )
    if len(declared) != 1 or not all(end.is_integer() for end in declared[0]):
        return None, None
    return int(declared[0][0]), int(declared[0][1])


def _whole(value: float) -> float:
    return int(value) if value.is_integer() else value


def _facts(found: _Checked) -> dict[str, Any]:
    one = found.slices[0]
    names = {"volumes": list(found.volumes)} if any(found.volumes) else {}
    return {
        "modality": one.modality,
        "stored_dtype": f"{'int' if one.signed else 'uint'}{one.bits_allocated}",
        "bits_stored": one.bits_stored,
        **({} if one.table is None else {"table": len(one.table.meanings)}),
        "slope": one.line[0],
        "intercept": one.line[1],
        "compression": one.syntax,
        "lossy": any(part.lossy for part in found.slices),
        **names,
        **({"suv": found.suv} if found.suv else {}),
    }
