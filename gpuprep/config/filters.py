"""``image.filters``: what is done to the voxels of a volume and their neighbours, before intensities."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from gpuprep.config.strict import Finite, OneOf, Positive, Strict

Width = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]

Iterations = Annotated[int, Field(ge=1, le=1000)]


class Gaussian(Strict):
    """Smoothing by a Gaussian, which ends at four standard deviations."""

    sigma: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] | tuple[Width, Width, Width]
    """Standard deviation in mm, one for all axes or one each for x, y, z."""

    @property
    def widths(self) -> tuple[float, float, float]:
        """The standard deviation along x, y, z in mm."""
        return self.sigma if isinstance(self.sigma, tuple) else (self.sigma,) * 3


class Median(Strict):
    """The median of the cube about a voxel, of whole voxels whatever their spacing."""

    size: Literal[3, 5] = 3


class N4(Strict):
    """Bias-field correction of MR, as ITK's N4: a smooth field is found in the foreground and divided by."""

    shrink: Annotated[int, Field(ge=1, le=16)] = 1
    """Every how many voxels are looked at along each axis; 1 is full resolution."""
    iterations: Annotated[tuple[Iterations, ...], Field(min_length=1, max_length=6)] = (
        50,
        50,
        50,
        50,
    )
    """At most, for each lattice; each is twice as fine as the one before."""
    threshold: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.001
    """A lattice is done once the field changes by less than this share."""
    seconds: Positive = 600.0
    """A case whose field takes longer fails."""


class CurvatureDiffusion(Strict):
    """ITK's curvature anisotropic diffusion: noise is smoothed along edges, and not across them."""

    iterations: Iterations = 5
    conductance: Positive = 3.0
    """Lower ones keep fainter edges."""
    time_step: Positive | None = None
    """Of an iteration; by default the longest stable one, at most 0.0625."""
    seconds: Positive = 600.0
    """A case that takes longer fails."""


class Clahe(Strict):
    """Contrast-limited adaptive histogram equalization in three dimensions; its results go from 0 to 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    tile: Positive | tuple[Positive, Positive, Positive] | None = None
    """Edge of a tile in mm, one for all axes or one each for x, y, z; by default an eighth of each axis."""
    clip: Annotated[float, Field(ge=0, le=1)] = 0.01
    """The largest share of a tile's voxels that one bin may keep; 0 for no limit."""
    bins: Annotated[int, Field(ge=2, le=256)] = 256
    source: tuple[Finite, Finite] | None = Field(default=None, alias="from")
    """What counts as black and as white; by default the least and the largest value."""

    @model_validator(mode="after")
    def _ascending(self) -> Clahe:
        if self.source is not None and self.source[0] >= self.source[1]:
            low, high = self.source
            raise ValueError(f"from goes from {low:g} to {high:g}: give the lower one first")
        return self


class Filter(OneOf):
    """One filter: exactly one of the keys."""

    gaussian: Gaussian | None = None
    median: Median | None = None
    n4: N4 | None = None
    curvature_diffusion: CurvatureDiffusion | None = None
    clahe: Clahe | None = None


Filters = tuple[Filter, ...]
