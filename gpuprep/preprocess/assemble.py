"""Reading a whole case: its channels and label maps, turned to one orientation, on one grid.

Files of one case meet by geometry, never by index: a label whose rows run the other way is turned
first and compared after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.config.model import Config
from gpuprep.io.scan import FileIdentity, Scan
from gpuprep.ops.labels import merge_structures, place_labels
from gpuprep.ops.shear import unshear, unshear_labels
from gpuprep.preprocess.grid import orient
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.errors import InputError
from gpuprep.values.findings import Findings
from gpuprep.values.geometry import Geometry, Reorientation
from gpuprep.values.grids import GridMapping
from gpuprep.values.stack import Stack
from gpuprep.values.volume import Volume

Reader = Callable[[Source], Scan]

_ROUNDING = 1e-4  # mm: float32 headers differ by this much without anybody's fault
_LABEL_DTYPES = (np.uint8, np.int16, np.uint16, np.int32)


@dataclass(frozen=True, slots=True)
class Assembled:
    """A case in memory: arrays in ``z, y, x``, all of ``geometry.shape``, images in their source dtype.

    ``source_geometry`` is the file's, which may be sheared, and ``heights`` where its slices lie if that
    is uneven. ``straight_geometry`` is the file's too, unless the voxels had to be straightened (see
    ``stack``); turned by ``reorientation`` it is ``geometry``. ``decoded_bytes`` counts the voxels as
    read and as straightened.
    """

    channels: tuple[NDArray[Any], ...]
    channel_names: tuple[str, ...]
    labels: dict[str, NDArray[Any]]
    label_names: dict[str, dict[int, str]]
    geometry: Geometry
    source_geometry: Geometry
    heights: tuple[float, ...]
    straight_geometry: Geometry
    reorientation: Reorientation
    identity: tuple[FileIdentity, ...]
    headers: tuple[dict[str, Any], ...]
    decoded_bytes: int


class _Reading:
    """What was read so far: findings, identities and headers of every file of the case.

    ``first`` is the first scan, which sets the grid.
    """

    def __init__(self, reader: Reader, config: Config, findings: Findings, threads: int) -> None:
        self._reader = reader
        self._config = config
        self._threads = threads
        self.first: Scan | None = None
        self.findings = findings
        self.identity: list[FileIdentity] = []
        self.headers: list[dict[str, Any]] = []
        self.decoded_bytes = 0

    def read(self, source: Source) -> Scan:
        """The voxels as the file has them."""
        scan = self._reader(source)
        self.first = self.first or scan
        self.findings.items.extend(scan.findings)
        self.identity.extend(scan.identity)
        self.headers.append({"format": scan.format, **scan.header})
        self.decoded_bytes += sum(volume.array.nbytes for volume in scan.volumes)
        return scan

    def straight_image(self, volume: Volume, stack: Stack | None) -> Volume:
        """The volume on a straight grid, interpolated as the config's resampling is."""
        if stack is None:
            return volume
        rule = self._config.image.resample
        array = unshear(
            volume.array,
            stack,
            interpolation=rule.interpolation,
            boundary=rule.boundary,
            threads=self._threads,
        )
        self.decoded_bytes += array.nbytes
        return Volume(array, stack.geometry)

    def straight_label(self, volume: Volume, stack: Stack | None) -> Volume:
        """The label map on a straight grid."""
        if stack is None:
            return volume
        kind = self._config.label.interpolation
        array = unshear_labels(volume.array, stack, interpolation=kind, threads=self._threads)
        self.decoded_bytes += array.nbytes
        return Volume(array, stack.geometry)


def assemble(
    case: Case, config: Config, reader: Reader, findings: Findings, *, threads: int = 1
) -> Assembled:
    """Read every file of a case and bring it to a straight grid and to the config's orientation.

    Raises:
        InputError: a file is unusable, or the files do not lie on one grid.
    """
    reading = _Reading(reader, config, findings, threads)
    if config.label.only:
        volumes: list[Volume] = []
        names: list[str] = []
        label_sources = case.labels or (LabelSource(case.images),)
    else:
        volumes, names = _read_channels(case, reading)
        label_sources = case.labels
    labels = {entry.name: _read_label(entry, reading) for entry in label_sources}
    if not labels and (reason := _label_needed(config)):
        findings.report(
            "E_LABEL_MISSING",
            f"case {case.id} has no label, but {reason}",
            advice="add its label to the input, or set input.policy {E_LABEL_MISSING: warn}",
        )
    straight = (volumes or list(labels.values()))[0].geometry
    geometry, reorientation = orient(straight, config.image.orientation)
    assert reading.first is not None
    return Assembled(
        tuple(
            _align_channel(volume, geometry, name, config, findings)
            for volume, name in zip(volumes, names, strict=True)
        ),
        tuple(names),
        {
            name: _align_label(volume, geometry, name, config, findings)
            for name, volume in labels.items()
        },
        {entry.name: entry.names for entry in label_sources if entry.names},
        geometry,
        reading.first.geometry,
        reading.first.heights,
        straight,
        reorientation,
        tuple(reading.identity),
        tuple(reading.headers),
        reading.decoded_bytes,
    )


def _label_needed(config: Config) -> str:
    """Which setting cannot do without a label; empty when none."""
    image = config.image
    if config.label.required:
        return "label.required is set"
    if image.crop.to == "label":
        return "image.crop goes to the label"
    steps = [entry.step for entry in image.intensity]
    uses_foreground = image.foreground.outside == "zero" or any(
        getattr(step, "over", "image") != "image" for step in steps
    )
    return "image.foreground is the label" * (image.foreground.where == "label" and uses_foreground)


def _read_channels(case: Case, reading: _Reading) -> tuple[list[Volume], list[str]]:
    volumes: list[Volume] = []
    names: list[str] = []
    for source in case.images:
        scan = reading.read(source)
        for number, volume in enumerate(scan.volumes):
            name = source.name or f"channel_{len(volumes)}"
            volumes.append(reading.straight_image(volume, scan.stack))
            several = len(scan.volumes) > 1 and source.name
            names.append(f"{name}_{number}" if several else name)
    return volumes, names


def _align_channel(
    volume: Volume, geometry: Geometry, name: str, config: Config, findings: Findings
) -> NDArray[Any]:
    own, turn = orient(volume.geometry, geometry.orientation)
    _check_grid(own, geometry, f"channel {name}", config, findings)
    return turn.view(volume.array)


def _read_label(entry: LabelSource, reading: _Reading) -> Volume:
    """One label map as integers; several sources are one binary structure each."""
    scans = [reading.read(source) for source in entry.sources]
    volumes = [_single(scan, source) for scan, source in zip(scans, entry.sources, strict=True)]
    if len(volumes) == 1:
        path = entry.sources[0].path
        array = _whole_numbers(volumes[0].array, path, reading.findings)
        if not array.any():
            reading.findings.report(
                "W_LABEL_EMPTY", f"{entry.name} holds background only", path=path
            )
        return reading.straight_label(Volume(array, volumes[0].geometry), scans[0].stack)
    geometry = volumes[0].geometry
    for volume, source in zip(volumes, entry.sources, strict=True):
        if not volume.geometry.distance(geometry) <= _ROUNDING:
            raise _mismatch(f"structure {source.name}", volume.geometry, geometry, source.path)
    merged, overlap = merge_structures([volume.array for volume in volumes])
    if overlap:
        reading.findings.report(
            "W_LABEL_OVERLAP",
            f"{overlap} voxels of {entry.name} lie in several structures",
            voxels=overlap,
        )
    return reading.straight_label(Volume(merged, geometry), scans[0].stack)


def _single(scan: Scan, source: Source) -> Volume:
    if len(scan.volumes) != 1:
        raise InputError(
            "E_NOT_VOLUME",
            f"a label map must be one volume, but the file holds {len(scan.volumes)}",
            path=source.path,
        )
    return scan.volumes[0]


def _whole_numbers(array: NDArray[Any], path: str, findings: Findings) -> NDArray[Any]:
    """The label as the smallest of uint8, int16, uint16 and int32 that holds it."""
    if array.dtype.kind == "f":
        findings.report("W_LABEL_FLOAT", f"label is stored as {array.dtype}", path=path)
        if not np.isfinite(array).all() or not (array == np.rint(array)).all():
            findings.report(
                "E_LABEL_VALUES",
                "label values are not whole numbers; they are rounded under the policy fix",
                path=path,
                advice="is this file an image or a probability map?",
            )
            array = np.nan_to_num(np.rint(array))
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    for dtype in _LABEL_DTYPES:
        bounds = np.iinfo(dtype)
        if bounds.min <= low and high <= bounds.max:
            return array.astype(dtype, copy=False)
    raise InputError("E_LABEL_VALUES", f"label values reach {low}..{high}", path=path)


def _align_label(
    volume: Volume, geometry: Geometry, name: str, config: Config, findings: Findings
) -> NDArray[Any]:
    own, turn = orient(volume.geometry, geometry.orientation)
    array = turn.view(volume.array)
    if _check_grid(own, geometry, f"label {name}", config, findings):
        return array
    (a, b, c), (p, q, r) = geometry.spacing_zyx, own.spacing_zyx
    z, y, x = (float(index) for index in own.physical_to_index(geometry.origin))
    mapping = GridMapping(geometry.shape, (a / p, b / q, c / r), (z, y, x))
    placed = place_labels(array, mapping)
    if array.any() and not placed.any():
        raise _mismatch(f"label {name}", own, geometry)
    findings.report(
        "W_LABEL_REGRID",
        f"label {name} was brought from {own.describe()} to {geometry.describe()} by nearest voxel",
    )
    return placed


def _check_grid(
    own: Geometry, geometry: Geometry, what: str, config: Config, findings: Findings
) -> bool:
    """Whether two grids are one; False when the policy wants a label brought over instead.

    Raises:
        InputError: they differ by more than the tolerance; the message has both.
    """
    distance = own.distance(geometry)
    if distance <= _ROUNDING:
        return True
    if distance <= config.input.grid_tolerance:
        findings.report(
            "W_GEOMETRY_TOLERANCE", f"{what} is {distance:.2g} mm off the image's grid", mm=distance
        )
        return True
    parallel = np.allclose(own.matrix, geometry.matrix, atol=1e-4)
    if what.startswith("label") and parallel and findings.policy("E_SHAPE_MISMATCH") == "fix":
        return False
    raise _mismatch(what, own, geometry)


def _mismatch(what: str, own: Geometry, geometry: Geometry, path: str = "") -> InputError:
    return InputError(
        "E_SHAPE_MISMATCH",
        f"{what} lies on {own.describe()}, but the image on {geometry.describe()}",
        path=path,
        advice="input.policy {E_SHAPE_MISMATCH: fix} brings labels over by their geometry",
    )
