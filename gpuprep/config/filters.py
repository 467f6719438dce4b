"""``image.filters``: what is done to the voxels of a volume and their neighbours, before intensities."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gpuprep.config.strict import Strict

Width = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


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


class Filter(Strict):
    """One filter: exactly one of the keys."""

    gaussian: Gaussian | None = None
    median: Median | None = None

    @model_validator(mode="after")
    def _one(self) -> Filter:
        if len(self.model_fields_set) != 1 or self.step is None:
            raise ValueError(f"give exactly one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def step(self) -> Strict | None:
        """The one filter that is set."""
        (name,) = self.model_fields_set
        step: Strict | None = getattr(self, name)
        return step


Filters = tuple[Filter, ...]
