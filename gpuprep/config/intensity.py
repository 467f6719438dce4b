"""The steps of ``image.intensity``, each with the numbers it takes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from gpuprep.config.filters import Filters
from gpuprep.config.standards import HistogramMatch, Nyul, Suv
from gpuprep.config.strict import Finite, OneOf, Percent, Positive, Strict
from gpuprep.values.windows import PRESETS, Preset

Over = Literal["image", "foreground", "cohort"]
"""Whose statistics: the image's, its foreground's, or the foreground's of the whole cohort."""


def _ascending(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] >= ends[1]:
        raise ValueError(f"from goes from {ends[0]:g} to {ends[1]:g}: give the lower one first")
    return ends


Range = Annotated[tuple[Finite, Finite], AfterValidator(_ascending)]


class Clip(Strict):
    """Limit values to ``[low, high]``."""

    low: Finite
    high: Finite

    @model_validator(mode="after")
    def _ordered(self) -> Clip:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        return self


class Window(Strict):
    """Keep ``level ± width / 2``, as a CT window does, or the window of a tissue (``values.windows``)."""

    level: Finite | None = None
    width: Positive | None = None
    preset: Preset | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Window:
        given = [name for name in ("level", "width") if getattr(self, name) is not None]
        if given and self.preset is not None:
            raise ValueError(f"preset says what {given[0]} says: give level and width, or a preset")
        if self.preset is None and len(given) < 2:
            raise ValueError("give level and width, or a preset")
        return self

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest value that is kept."""
        if self.preset is not None:
            return PRESETS[self.preset].ends
        assert self.level is not None
        assert self.width is not None
        return self.level - self.width / 2, self.level + self.width / 2


class PercentileClip(Strict):
    """Limit values to two of their own percentiles (linear, as ``numpy.percentile``)."""

    low: Percent = 0.5
    high: Percent = 99.5
    over: Over = "image"

    @model_validator(mode="after")
    def _ordered(self) -> PercentileClip:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        return self


class Rescale(Strict):
    """Map the range ``from`` (default: what the earlier steps can give) linearly onto ``to``."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    to: tuple[Finite, Finite] = (0.0, 1.0)
    source: tuple[Finite, Finite] | None = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _distinct(self) -> Rescale:
        for name, pair in (("to", self.to), ("from", self.source)):
            if pair is not None and pair[0] == pair[1]:
                raise ValueError(f"{name} needs two different numbers, not {pair[0]:g} twice")
        return self


class ZScore(Strict):
    """Subtract the mean, divide by the population standard deviation.

    With ``mean`` and ``std`` given, these numbers are used for every case.
    """

    over: Over = "image"
    mean: Finite | None = None
    std: Positive | None = None
    precision: Literal["float32"] | None = None
    """Sum as NumPy does in float32, as nnU-Net's mean of a whole image; without it sums are exact."""

    @model_validator(mode="after")
    def _both(self) -> ZScore:
        if (self.mean is None) != (self.std is None):
            raise ValueError("give both mean and std, or neither")
        if self.precision is not None and (self.over != "image" or self.mean is not None):
            raise ValueError("precision goes with over: image, and with no mean and std")
        return self


class ZeroCenter(Strict):
    """Subtract the mean."""

    over: Over = "image"


class Multiply(Strict):
    """Multiply by a number (a change of unit)."""

    by: Finite


class Offset(Strict):
    """Add a number."""

    by: Finite


class Gamma(Strict):
    """Raise values to a power: of their place in the range, so that its two ends stay where they are.

    ``low + (high - low) * ((x - low) / (high - low)) ** value``, the range being ``from`` (by default what
    the earlier steps can give), as MONAI's AdjustContrast has it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    value: Annotated[float, Field(ge=0.05, le=20)]
    source: Range | None = Field(default=None, alias="from")


class Log(Strict):
    """``ln(1 + x - low)``, ``low`` being where the range begins: ``from``, or what earlier steps can give."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    source: Range | None = Field(default=None, alias="from")


class Equalize(Strict):
    """Each value becomes the share of values that are no larger, straight between the middles of bins.

    The bins are equally wide between the least and the largest value, as in scikit-image's equalize_hist.
    """

    bins: Annotated[int, Field(ge=2, le=65536)] = 256
    over: Literal["image", "foreground"] = "image"


BENDING = Gamma, Log, Equalize, Nyul, HistogramMatch
"""The steps that are no line between two ends."""


class IntensityStep(OneOf):
    """One step of the intensity chain: exactly one of the keys."""

    clip: Clip | None = None
    window: Window | None = None
    percentile_clip: PercentileClip | None = None
    rescale: Rescale | None = None
    zscore: ZScore | None = None
    zero_center: ZeroCenter | None = None
    multiply: Multiply | None = None
    offset: Offset | None = None
    gamma: Gamma | None = None
    log: Log | None = None
    equalize: Equalize | None = None
    suv: Suv | None = None
    nyul: Nyul | None = None
    histogram_match: HistogramMatch | None = None


def _precise_first(steps: tuple[IntensityStep, ...]) -> tuple[IntensityStep, ...]:
    if any(getattr(each.step, "precision", None) is not None for each in steps[1:]):
        raise ValueError("a zscore with precision float32 sums values of the files: it comes first")
    return steps


def _own_values(steps: tuple[IntensityStep, ...]) -> tuple[IntensityStep, ...]:
    """A step that each case has its own numbers for goes with no statistics of the cohort's stored values."""
    if any(isinstance(each.step, Suv) for each in steps[1:]):
        raise ValueError("suv takes values as the scanner gave them: it comes first")
    own = next((name for each in steps for name in each.model_fields_set if name in _OWN), None)
    if sum(isinstance(each.step, Nyul) for each in steps) > 1:
        raise ValueError("a chain has one nyul")
    if own and any(getattr(each.step, "over", "") == "cohort" for each in steps):
        raise ValueError(f"over: cohort counts values as stored, which {own} changes case by case")
    return steps


_OWN = ("suv", "nyul", "histogram_match")
Steps = Annotated[
    tuple[IntensityStep, ...], AfterValidator(_precise_first), AfterValidator(_own_values)
]


class Channel(Strict):
    """What happens to the values of one channel in place of what ``image`` says."""

    filters: Filters | None = None
    """In place of ``image.filters``; none with an empty list."""
    intensity: Steps | None = None
    outside: Literal["keep", "zero"] | None = None
    """As in ``image.foreground``."""
    within: tuple[Finite, Finite] | None = None
    """A case with a voxel beyond these values fails."""

    @model_validator(mode="after")
    def _ordered(self) -> Channel:
        if self.within is not None and self.within[0] > self.within[1]:
            low, high = self.within
            raise ValueError(f"within goes from {low:g} to {high:g}: give the lower one first")
        return self
