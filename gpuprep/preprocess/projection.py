"""What a case will need and give, told from headers alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from gpuprep.config.model import Config
from gpuprep.io.rules import SOURCE_PARTS, source_in_memory
from gpuprep.io.scan import Preview
from gpuprep.preprocess.filtering import working_bytes
from gpuprep.preprocess.grid import map_grid, orient
from gpuprep.values.case import Case, Source
from gpuprep.values.errors import MemoryShortage
from gpuprep.values.geometry import Geometry, Shape

_WORKING_BYTES = 6
"""Bytes per output voxel the engine may hold beside its input and output, for volumes of common size …"""
_WINDOW_OUTPUTS = 64
"""… and the outputs along an axis that it has in hand at one time, which bounds it for large ones."""
_WINDOW_TAPS = 64
_THREAD_BYTES = 32 << 20
_FLOAT32_BYTES = 8
"""Bytes per input voxel of a mean and a deviation in float32."""
_FILTERED_BYTES = 8
"""Bytes per input voxel and channel of what filters give: two results in a row, of at most float32."""
_MASK_BYTES = 4
"""Bytes per input voxel of a foreground mask, and of finding it."""
_FRACTION_BYTES = 4
"""Bytes of a voxel that may be a fraction."""
_COUNTED_BYTES = 52
"""Bytes per fractional voxel of counting them for statistics, …"""
_COUNTED_VOXELS = 1 << 20
"""… of as many as four threads have in hand."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What a case will need and give; with a crop that depends on voxels, an upper bound."""

    case_id: str
    source: Geometry
    output: Geometry
    channels: int
    bytes_in: int
    bytes_out: int
    peak_bytes: int
    roomy_bytes: int
    """What it may take so that nothing of it goes to disk."""
    least_bytes: int
    """What must be in memory where the rest goes to disk."""
    findings: tuple[str, ...] = ()
    """Codes of what was found."""
    labels: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """The label maps, and the names of their values where they are declared."""
    outputs: Mapping[str, Geometry] = field(default_factory=dict)
    """The grid of each output by its name, where the config names any; ``output`` is that of the first."""


def project_case(case: Case, config: Config, peek: Callable[[Source], Preview]) -> Projection:
    """What a case will need, from the headers of its images; a label counts as one more channel.

    Where the images are not read (``label.only``), from those of its labels.

    Raises:
        InputError: an image is unusable, or its output would be beyond all limits.
    """
    labels = [source for label in case.labels for source in label.sources]
    previews = [peek(source) for source in (config.label.only and labels) or case.images]
    channels = sum(preview.channels for preview in previews)
    decoded_bytes = sum(preview.straight_bytes for preview in previews)
    return project(
        case.id,
        config,
        previews[0].straight_geometry,
        channels=0 if config.label.only else channels,
        bytes_in=sum(preview.file_bytes for preview in previews),
        decoded_bytes=decoded_bytes + decoded_bytes * len(case.labels) // channels,
        label_bytes=max(len(case.labels), config.label.only),
        findings=tuple(finding.code for preview in previews for finding in preview.findings),
    )


def project(
    case_id: str,
    config: Config,
    source: Geometry,
    *,
    channels: int,
    bytes_in: int,
    decoded_bytes: int,
    label_bytes: int,
    findings: tuple[str, ...] = (),
    labels: Mapping[str, Mapping[int, str]] | None = None,
) -> Projection:
    """What a case on the straight grid ``source`` will need.

    Args:
        channels: Those that are stored.
        label_bytes: Of a voxel, over all stored label maps.
    """
    oriented, _ = orient(source, config.image.orientation)
    parts = config.parts()
    grids = {
        name: map_grid(oriented, part.image.resample).on(oriented) for name, part in parts.items()
    }
    stored_labels = label_bytes * max(grid.voxels for grid in grids.values())
    needed = footprint(decoded_bytes, oriented, channels, config)
    return Projection(
        case_id,
        source=source,
        output=next(iter(grids.values())),
        channels=channels,
        bytes_in=bytes_in,
        bytes_out=sum(
            stored_bytes(grids[name].shape, channels, part) + label_bytes * grids[name].voxels
            for name, part in parts.items()
        ),
        peak_bytes=needed.peak + stored_labels,
        roomy_bytes=needed.roomy + stored_labels,
        least_bytes=needed.working,
        findings=findings,
        labels=labels or {},
        outputs=grids if config.outputs else {},
    )


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes a case takes: its decoded files, its results and copies, and what must be in memory."""

    sources: int
    results: int
    working: int

    @property
    def peak(self) -> int:
        """The most it takes where everything is in memory."""
        return self.sources + self.results + self.working

    @property
    def roomy(self) -> int:
        """The least to allow so that nothing goes to disk."""
        return max(self.peak, SOURCE_PARTS * self.sources)

    def left_for_results(self, allowed: int) -> int | None:
        """Bytes of results and copies that may be in memory; None for any number."""
        limit = source_in_memory(allowed)
        if limit is None:
            return None
        return max(0, allowed - self.working - min(self.sources, limit))


def check_memory(case_id: str, least: int, allowed: int) -> None:
    """Refuse a case that cannot be done slab by slab either; ``allowed`` 0 allows anything.

    Raises:
        MemoryShortage: with both numbers.
    """
    if allowed and least > allowed:
        raise MemoryShortage(
            f"{case_id} needs at least {least / 2**30:.2f} GiB, "
            f"but {allowed / 2**30:.2f} GiB are allowed",
            advice="use fewer workers, a coarser spacing, or a machine with more memory",
        )


def shares_for(needed: int, share: int, most: int) -> int:
    """How many shares of ``share`` bytes (at least 1) hold ``needed`` bytes; ``most`` where all do not."""
    return min(most, max(1, -(-needed // share)))


def footprint(decoded_bytes: int, source: Geometry, channels: int, config: Config) -> Footprint:
    """The footprint of a case on the oriented grid ``source``: outputs are computed one after another."""
    each = [_of_output(decoded_bytes, source, channels, part) for part in config.parts().values()]
    return Footprint(
        decoded_bytes, max(one.results for one in each), max(one.working for one in each)
    )


def _of_output(decoded_bytes: int, source: Geometry, channels: int, config: Config) -> Footprint:
    """The footprint of a case of this one output."""
    target = map_grid(source, config.image.resample).shape
    working = min(math.prod(target) * _WORKING_BYTES, _window_bytes(source.shape, target))
    if config.store.pyramid:
        working += stored_bytes(target, 1, config)  # one channel that is no longer cut into chunks
        working += stored_bytes(target, channels, config) // 7  # an eighth, and an eighth of that
    if config.store.nnunet:  # which makes a whole file in memory
        working = max(working, stored_bytes(target, channels, config))
    if config.image.filtered or decoded_bytes >= source.voxels * channels * _FRACTION_BYTES:
        working = max(working, min(source.voxels, _COUNTED_VOXELS) * _COUNTED_BYTES)
    copies = 0
    if config.image.zeroes or config.label.outside is not None:
        working += source.voxels * _MASK_BYTES
    if config.image.sums_float32:
        working += source.voxels * _FLOAT32_BYTES
    if config.image.filtered:  # what filters give stays, and one result is made of another
        copies += source.voxels * _FILTERED_BYTES * channels
        working += source.voxels * working_bytes(config.image.every_filter)
    if config.image.zeroes:
        copies += source.voxels * np.dtype(np.float32).itemsize
    return Footprint(decoded_bytes, copies + stored_bytes(target, channels, config), working)


def stored_bytes(shape: Shape, channels: int, config: Config) -> int:
    """Bytes of the stored image before compression."""
    return math.prod(shape) * channels * np.dtype(config.store.dtype).itemsize


def _window_bytes(source: Shape, target: Shape) -> int:
    """Of the planes that a run of outputs needs, whichever axis they run along."""
    voxels = [
        math.prod(target) // m * min(n, math.ceil(_WINDOW_OUTPUTS * n / m) + _WINDOW_TAPS)
        for n, m in zip(source, target, strict=True)
    ]
    return max(voxels) * np.dtype(np.float32).itemsize + _THREAD_BYTES
