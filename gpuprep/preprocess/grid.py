"""The output grid of a case: orientation, target spacing, the axis that is resampled by slices."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from gpuprep.config.resample import Reference, Resample
from gpuprep.values.errors import InputError, InternalError
from gpuprep.values.geometry import Geometry, Reorientation, Triple
from gpuprep.values.grids import GridMapping, map_onto, map_shape, map_spacing

_ANISOTROPIC = 3  # nnU-Net's ANISO_THRESHOLD: coarsest over finest spacing, strictly above
_LONGEST_AXIS = 65_535


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
            mapping = map_spacing(geometry, _of_case(geometry, resample.spacing), resample.grid)
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
    if resample.separate_z == "always":
        return coarsest_axis(geometry.spacing_zyx)
    return thick_axis(geometry.spacing_zyx, target)


def thick_axis(own: Triple, target: Triple) -> int | None:
    """The axis of thick slices, by spacings in mm: the coarsest of the grid that is resampled where it is
    more than three times the finest, else of the grid to come by the same test; None where there is none."""
    coarse = next((each for each in (own, target) if max(each) / min(each) > _ANISOTROPIC), None)
    return None if coarse is None else coarsest_axis(coarse)


def target_spacing(geometry: Geometry, resample: Resample) -> Triple | None:
    """The spacing in mm (``z, y, x``) a config asks for; None where the grid is kept."""
    if isinstance(resample.spacing, tuple):
        x, y, z = _of_case(geometry, resample.spacing)
        return z, y, x
    if resample.spacing or resample.shape or resample.reference:
        return map_grid(geometry, resample).on(geometry).spacing_zyx
    return None


def _of_case(geometry: Geometry, spacing: Sequence[float | str]) -> Triple:
    """A target in mm, with the case's own spacing where that is kept; both ``x, y, z``."""
    x, y, z = (
        own if isinstance(asked, str) else asked
        for own, asked in zip(geometry.spacing, spacing, strict=True)
    )
    return x, y, z


def coarsest_axis(spacing: Triple) -> int | None:
    """The axis of the largest spacing; None where two axes share it."""
    axes = [axis for axis, each in enumerate(spacing) if max(spacing) / each == 1]
    return axes[0] if len(axes) == 1 else None
