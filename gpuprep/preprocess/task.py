"""Everything that can be said about a case before its voxels are read: grids, bytes, refusals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

from gpuprep.config.model import Config
from gpuprep.config.resample import Reference, Resample
from gpuprep.io.scan import Preview
from gpuprep.preprocess.footprint import footprint, stored_bytes
from gpuprep.values.case import Case, Source
from gpuprep.values.errors import InputError, InternalError
from gpuprep.values.geometry import Geometry, Reorientation, Triple
from gpuprep.values.grids import GridMapping, map_onto, map_shape, map_spacing

_ANISOTROPIC = 3  # nnU-Net's ANISO_THRESHOLD: coarsest over finest spacing, strictly above
_LONGEST_AXIS = 65_535


@dataclass(frozen=True, slots=True)
class CasePlan:
    """One task for a worker, small and picklable. ``digest`` names config and cohort statistics."""

    case: Case
    output: str
    digest: str
    task: Literal["prepare", "measure"] = "prepare"
    backend: Literal["numpy", "cupy"] = "numpy"
    threads: int = 1
    memory: int = 0
    """Bytes the case may take at its peak; 0 for no limit. What is beyond goes to disk where it can."""
    shares: int = 1
    """How many cases divide the memory of their host, ``memory`` for each; a large one takes several."""
    replace: bool = False
    root: str = ""
    """The folder that its files must lie in, links followed; empty for anywhere."""
    url: str = ""
    """Where the case is published, if not in ``output``, which then only the run's own host need have."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> CasePlan:
        return cls(**{**fields, "case": Case.from_json(fields["case"])})


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


def orient(geometry: Geometry, code: str) -> tuple[Geometry, Reorientation]:
    """The geometry with its axes along ``code`` (``keep``: along its own), and the move of the axes."""
    return geometry.reorient(geometry.orientation if code == "keep" else code)


def map_grid(geometry: Geometry, resample: Resample) -> GridMapping:
    """The output grid a config asks for, over the given (oriented, cropped) input grid.

    Raises:
        InputError: E_LIMIT, when an axis of it would be longer than any volume's; E_REFERENCE, when the
            reference's axes are not parallel to the case's, or it lies elsewhere.
    """
    mapping = GridMapping(geometry.shape)
    with suppress(OverflowError, ValueError):  # a spacing so small that the length is no number
        if resample.reference is not None:
            mapping = map_onto(geometry, reference_grid(resample.reference))
        elif resample.spacing == "isotropic":
            mapping = map_spacing(geometry, (min(geometry.spacing),) * 3, resample.grid)
        elif resample.spacing is not None:
            mapping = map_spacing(geometry, resample.spacing, resample.grid)
        elif resample.shape is not None:
            x, y, z = resample.shape
            mapping = map_shape(geometry, (z, y, x))
        if max(mapping.shape) <= _LONGEST_AXIS:
            return mapping
    raise InputError(
        "E_LIMIT",
        f"{geometry.describe()} would be resampled to an axis of more than {_LONGEST_AXIS:,} voxels",
        advice="check the spacing of the file and image.resample",
    )


def reference_grid(reference: Reference) -> Geometry:
    """The grid of a reference whose header was read (by ``reference.with_reference``)."""
    if reference.grid is None:
        raise InternalError(f"the header of reference {reference.path} was not read before the run")
    return reference.grid.geometry


def separate_axis(geometry: Geometry, resample: Resample) -> int | None:
    """The array axis (``z, y, x``) across which slices are resampled one by one; None for full 3-D.

    This is nnU-Net v2's ``determine_do_sep_z_and_axis``. ``auto``: the coarsest axis of the input where its
    spacing is more than three times the finest; else that of the output by the same test. ``always``:
    the coarsest axis of the input. An axis whose spacing another one shares exactly is never taken.
    """
    target = target_spacing(geometry, resample)
    if resample.separate_z == "never" or target is None:
        return None
    spacings = [geometry.spacing_zyx, target]
    if resample.separate_z == "always":
        return _coarsest(spacings[0])
    coarse = next((each for each in spacings if max(each) / min(each) > _ANISOTROPIC), None)
    return None if coarse is None else _coarsest(coarse)


def target_spacing(geometry: Geometry, resample: Resample) -> Triple | None:
    """The spacing in mm (``z, y, x``) a config asks for; None where the grid is kept."""
    if isinstance(resample.spacing, tuple):
        x, y, z = resample.spacing
        return z, y, x
    if resample.spacing or resample.shape or resample.reference:
        return map_grid(geometry, resample).on(geometry).spacing_zyx
    return None


def _coarsest(spacing: Triple) -> int | None:
    axes = [axis for axis, each in enumerate(spacing) if max(spacing) / each == 1]
    return axes[0] if len(axes) == 1 else None


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
        case,
        config,
        previews[0].straight_geometry,
        channels,
        sum(preview.file_bytes for preview in previews),
        decoded_bytes + decoded_bytes * len(case.labels) // channels,
        [finding.code for preview in previews for finding in preview.findings],
    )


def project(
    case: Case,
    config: Config,
    source: Geometry,
    channels: int,
    bytes_in: int,
    decoded_bytes: int,
    findings: Sequence[str] = (),
) -> Projection:
    """What a case will need, from the header of its image alone."""
    oriented, _ = orient(source, config.image.orientation)
    mapping = map_grid(oriented, config.image.resample)
    label_bytes = len(case.labels) * math.prod(mapping.shape)
    image_bytes = 0 if config.label.only else stored_bytes(mapping.shape, channels, config)
    needed = footprint(decoded_bytes, oriented.shape, mapping.shape, channels, config)
    return Projection(
        case.id,
        source,
        mapping.on(oriented),
        channels,
        bytes_in,
        image_bytes + label_bytes,
        needed.peak,
        needed.roomy + label_bytes,
        needed.working,
        tuple(findings),
    )
