"""``image.resample``: the output grid, by spacing, shape or a reference, and the interpolation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Tag, field_validator, model_validator

from gpuprep.config.strict import Count, Finite, Positive, Strict
from gpuprep.values.geometry import Geometry
from gpuprep.values.grids import Convention

Interpolation = Literal["nearest", "linear", "cubic"]


class ReferenceGrid(Strict):
    """A grid written out: shape ``z, y, x``; the others in SimpleITK order and LPS mm (see ``geometry``)."""

    shape: tuple[Count, Count, Count]
    spacing: tuple[Positive, Positive, Positive]
    origin: tuple[Finite, Finite, Finite]
    direction: tuple[Finite, Finite, Finite, Finite, Finite, Finite, Finite, Finite, Finite]

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.shape, self.spacing, self.origin, self.direction)


class Reference(Strict):
    """A volume on whose grid every case is resampled; its path alone may stand for it.

    ``grid`` is read from its header when a run begins; where it is given, no file is read.
    """

    path: str = ""
    grid: ReferenceGrid | None = None

    @model_validator(mode="after")
    def _something(self) -> Reference:
        if not self.path and self.grid is None:
            raise ValueError("give the path of a volume, or a grid")
        return self


def _three_times(value: Any) -> Any:
    single = isinstance(value, int | float) and not isinstance(value, bool)
    return (value,) * 3 if single else value


_Step = Positive | Literal["keep"]
_Triple = tuple[_Step, _Step, _Step]
_Isotropic = Literal["isotropic"]

Spacing = Annotated[
    Annotated[_Triple, Tag("mm")] | Annotated[_Isotropic, Tag("word")],
    Discriminator(lambda value: "word" if isinstance(value, str) else "mm"),
    BeforeValidator(_three_times, json_schema_input_type=Positive | _Triple | _Isotropic),
]
"""``x, y, z`` in mm, each ``keep`` for that of the case, one number for all three, or ``isotropic``: the
finest of the input's on every axis."""


class Resample(Strict):
    """The output grid and how it is interpolated; without a target (one of three) the grid is kept."""

    spacing: Spacing | None = None
    shape: tuple[int, int, int] | None = None
    reference: Reference | None = None
    interpolation: Interpolation = "cubic"
    antialias: bool = False
    grid: Convention = "centered"
    separate_z: Literal["never", "auto", "always"] = "never"
    """Whether slices across the coarsest axis are resampled one by one, the nearest taken along it."""
    boundary: Literal["nearest", "mirror"] = "nearest"

    @field_validator("reference", mode="before", json_schema_input_type=str | Reference | None)
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_target(self) -> Resample:
        if sum(target is not None for target in (self.spacing, self.shape, self.reference)) > 1:
            raise ValueError("give one of spacing, shape and reference")
        if self.shape is not None and min(self.shape) < 1:
            raise ValueError("shape (x, y, z) needs whole numbers of at least 1")
        return self
