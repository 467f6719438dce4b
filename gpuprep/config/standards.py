"""The steps of ``image.intensity`` that bring the values of each case to a scale that cases share."""

from __future__ import annotations

from operator import ge, gt
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gpuprep.config.strict import Finite, Percent, Strict

Numbers = Annotated[tuple[Finite, ...], Field(max_length=1 << 16)]


class Suv(Strict):
    """PET values as SUV, by body weight, lean mass or body surface; ``suv: lean`` is short for ``by``."""

    by: Literal["bodyweight", "lean", "bsa"] = "bodyweight"
    formula: Literal["janmahasatian", "james"] = "janmahasatian"
    """Of lean mass: what IBSI-SUV recommends, or DICOM's LBMJAMES128."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"by": given} if isinstance(given, str) else given

    @property
    def kind(self) -> str:
        """As ``io.suv`` calls it."""
        return "lean-james" if (self.by, self.formula) == ("lean", "james") else self.by


class Nyul(Strict):
    """Straight lines from a case's own percentiles to a standard scale, the mean of the cohort's."""

    percentiles: Annotated[tuple[Percent, ...], Field(max_length=1000)] = (
        1,
        10,
        20,
        30,
        40,
        50,
        60,
        70,
        80,
        90,
        99,
    )
    to: tuple[Finite, Finite] = (0.0, 100.0)
    """Where a case's first and last percentile come to lie while the scale is learnt."""
    over: Literal["image", "foreground"] = "foreground"
    """Whose percentiles."""
    landmarks: str | None = None
    """A ``landmarks.json`` of another cohort, or its folder: its standard is used, and nothing is learnt."""
    standard: dict[str, tuple[Finite, ...]] | None = None
    """The same written out, by channel."""

    @model_validator(mode="after")
    def _ascending(self) -> Nyul:
        if len(self.percentiles) < 2 or any(map(ge, self.percentiles, self.percentiles[1:])):
            raise ValueError("percentiles must ascend, and be two at least")
        if self.to[0] >= self.to[1]:
            raise ValueError(
                f"to goes from {self.to[0]:g} to {self.to[1]:g}: give the lower one first"
            )
        for channel, scale in (self.standard or {}).items():
            if len(scale) != len(self.percentiles) or any(map(gt, scale, scale[1:])):
                raise ValueError(
                    f"the standard of {channel} must ascend, one number per percentile"
                )
        return self

    @property
    def learns(self) -> bool:
        """Whether the standard comes of the cohort."""
        return self.landmarks is None and self.standard is None


class HistogramMatch(Strict):
    """Give a case the histogram of a reference."""

    reference: str | None = None
    """A volume file, or a folder with one DICOM series."""
    over: Literal["image", "foreground"] = "image"
    """Whose histogram, of the case and of the reference; there the foreground is what is not 0."""
    values: Numbers = ()
    """The reference's values written out, ascending, …"""
    shares: Numbers = ()
    """… and the share of voxels that are no larger."""

    @model_validator(mode="after")
    def _given(self) -> HistogramMatch:
        if self.reference is None and not self.values:
            raise ValueError("give a reference")
        if len(self.values) != len(self.shares):
            raise ValueError("give as many shares as values")
        for name, row in (("values", self.values), ("shares", self.shares)):
            if any(map(ge, row, row[1:])):
                raise ValueError(f"{name} must ascend")
        if self.shares and not 0 < self.shares[0] <= self.shares[-1] <= 1:
            raise ValueError("shares lie above 0, and end at 1")
        return self
