"""From a config and a case's statistics to plain numbers: everything data-dependent is decided here.

The intensity chain folds to one clip, one table and one line of the source values; few chains have a table.
Clip and table run before resampling (so that metal or air does not ring into its neighbours), the line after
it, where it costs nothing; for weights that sum to one the two orders give the same result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from gpuprep.config import intensity as config
from gpuprep.config.standards import HistogramMatch, Nyul
from gpuprep.ops.curve import Curve, Pointwise, compose
from gpuprep.ops.distribution import between, ranks_around
from gpuprep.ops.pointwise import IDENTITY, ClipAffine, affine, clip
from gpuprep.ops.statistics import Distribution
from gpuprep.ops.table import Table
from gpuprep.preprocess import curves, standards
from gpuprep.values.errors import ConfigError, ValueRangeError

Outside = Literal["keep", "zero"]

_EPSILON = 1e-8  # nnU-Net's floor for a standard deviation


@dataclass(frozen=True, slots=True)
class Intensity:
    """The resolved intensity chain of one channel.

    ``prologue`` (a clip, or a clip and a table) is applied before and ``epilogue``, a line, after resampling;
    ``limits`` is the range of the values between them (a cubic result is clipped to it), ``output`` the range
    of the final values.
    """

    prologue: Pointwise
    epilogue: ClipAffine
    limits: tuple[float, float]
    output: tuple[float, float]
    outside: Outside = "keep"
    """``zero``: voxels outside the foreground are 0 after the chain."""

    @property
    def table(self) -> Table | None:
        """What the values go through after the clip."""
        return self.prologue.table if isinstance(self.prologue, Curve) else None

    @property
    def chain(self) -> Pointwise:
        """The whole chain of a voxel inside."""
        return self.prologue.then(self.epilogue)

    @property
    def keeps_values(self) -> bool:
        """Whether what is not clipped stays as it is."""
        return self.table is None and self.epilogue.identity

    @property
    def keeps_whole(self) -> bool:
        """Whether whole numbers stay whole."""
        if self.table is not None:
            return False
        bounds = (
            bound for bound in (self.prologue.low, self.prologue.high) if math.isfinite(bound)
        )
        numbers = (self.epilogue.scale, self.epilogue.offset, *bounds)
        return all(float(number).is_integer() for number in numbers)

    def about_zero(self) -> Intensity:
        """The same chain with what becomes 0 at its end being 0 before resampling, too."""
        scale, offset = self.epilogue.scale, self.epilogue.offset
        if not scale:
            limits = min(offset, 0.0), max(offset, 0.0)
            return replace(self, prologue=self.epilogue, epilogue=IDENTITY, limits=limits)
        zero = -offset / scale
        return replace(
            self,
            prologue=self.prologue.then(affine(1.0, -zero)),
            epilogue=affine(scale),
            limits=(self.limits[0] - zero, self.limits[1] - zero),
        )

    def to_flat(self) -> dict[str, float | None]:
        """The chain's clip, None for an end it leaves open, and its line; a table is not among them."""
        low, high = _finite(self.prologue.low), _finite(self.prologue.high)
        line = {"scale": self.epilogue.scale, "offset": self.epilogue.offset}
        return {"clip_low": low, "clip_high": high, **line}

    def to_json(self) -> dict[str, Any]:
        """The whole chain: ``table(clip(value)) * scale + offset``; ``table`` where there is one."""
        table = {} if self.table is None else {"table": self.table.to_json()}
        return {
            "clip": [_finite(self.prologue.low), _finite(self.prologue.high)],
            **table,
            "scale": self.epilogue.scale,
            "offset": self.epilogue.offset,
            "limits": list(self.limits),
            "output": list(self.output),
            "outside": self.outside,
        }


def resolve_intensity(
    steps: Sequence[config.IntensityStep],
    image: Distribution,
    foreground: Callable[[], Distribution],
    cohort: Distribution | None = None,
    *,
    outside: Outside = "keep",
    float32: Callable[[], tuple[float, float]] | None = None,
    channel: str = "",
) -> Intensity:
    """Decide every number of an intensity chain from the statistics of one channel.

    ``foreground`` is called only when a step, or ``outside``, asks for it. An empty foreground falls back
    to the image. ``float32`` gives mean and deviation of the image as NumPy sums them, for a step that asks
    for it; where it is None they are exact. ``channel`` is the name that standards go by.
    """

    def over(name: str) -> Distribution:
        if name == "cohort":
            if cohort is None:
                raise ConfigError("a step asks for the cohort's statistics, but there are none")
            return cohort
        values = foreground() if name == "foreground" else image
        return values if values.count else image

    chain = fold_steps(steps, over, float32, channel)
    prologue: Pointwise = clip(chain.low, chain.high)
    if isinstance(chain, Curve):
        prologue = replace(chain, scale=1.0, offset=0.0)
    epilogue = affine(chain.scale, chain.offset)
    inside = over("foreground" if outside == "zero" else "image")
    limits = prologue.bounds(inside.minimum, inside.maximum)
    if outside == "zero" and epilogue.scale:
        zero = -epilogue.offset / epilogue.scale
        limits = min(limits[0], zero), max(limits[1], zero)
    return Intensity(prologue, epilogue, limits, epilogue.bounds(*limits), outside)


def fold_steps(
    steps: Sequence[config.IntensityStep],
    over: Callable[[str], Distribution],
    float32: Callable[[], tuple[float, float]] | None = None,
    channel: str = "",
) -> Pointwise:
    """All steps as one function of the source values.

    >>> steps = ({"clip": {"low": -1000, "high": 400}}, {"rescale": {"to": [0, 1]}})
    >>> chain = fold_steps([config.IntensityStep(**step) for step in steps], over=lambda whose: None)
    >>> chain.low, chain.high, chain(-300.0)
    (-1000.0, 400.0, 0.5)

    Raises:
        ValueRangeError: they lead out of the range of numbers.
    """
    try:
        return _folded(steps, over, float32, channel)
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        raise out_of_range(str(error)) from None


def out_of_range(reason: str) -> ValueRangeError:
    """The error of steps that lead out of the range of numbers."""
    return ValueRangeError(
        f"the steps of image.intensity lead out of the range of numbers ({reason})",
        advice="look at the numbers of the intensity steps",
    )


def _folded(
    steps: Sequence[config.IntensityStep],
    over: Callable[[str], Distribution],
    float32: Callable[[], tuple[float, float]] | None,
    channel: str,
) -> Pointwise:
    chain: Pointwise = ClipAffine()
    for entry in steps:
        match entry.step:
            case config.ZScore(precision="float32") if float32 is not None:
                chain = _standardized(*float32())  # it comes first
            case Nyul() as step:
                found = percentiles_after(over(step.over), chain, step.percentiles)
                chain = compose(chain, standards.nyul(found, standards.standard_of(step, channel)))
            case step:
                chain = compose(chain, _resolve_step(step, chain, over))
    return chain


def _resolve_step(step: Any, chain: Pointwise, over: Callable[[str], Distribution]) -> Pointwise:
    match step:
        case config.Clip():
            return clip(step.low, step.high)
        case config.Window():
            return clip(*step.ends)
        case config.PercentileClip():
            values = over(step.over)
            return clip(percentile(values, chain, step.low), percentile(values, chain, step.high))
        case config.Rescale():
            return _rescale(step.source or _range_after(chain, over("image")), step.to)
        case config.ZScore(mean=float(mean), std=float(std)):
            return affine(1.0 / std, -mean / std)
        case config.ZScore():
            return _standardized(*moments(over(step.over), chain))
        case config.ZeroCenter():
            return affine(1.0, -moments(over(step.over), chain)[0])
        case config.Multiply():
            return affine(step.by, 0.0)
        case config.Offset():
            return affine(1.0, step.by)
    return _resolve_curve(step, chain, over)


def _resolve_curve(step: Any, chain: Pointwise, over: Callable[[str], Distribution]) -> Pointwise:
    """A step that bends values."""
    match step:
        case config.Gamma():
            ends = step.source or _range_after(chain, over("image"))
            return curves.gamma(step.value, ends, hold=step.source is not None)
        case config.Log():
            ends = step.source or _range_after(chain, over("image"))
            return curves.logarithm(ends, hold=step.source is not None)
        case config.Equalize():
            return curves.equalize(over(step.over), chain, step.bins)
        case HistogramMatch():
            return standards.match(over(step.over), chain, step)
    raise TypeError(f"no rule for the intensity step {step!r}")


def _standardized(mean: float, std: float) -> ClipAffine:
    std = max(std, _EPSILON)
    return affine(1.0 / std, -mean / std)


def _rescale(source: tuple[float, float], to: tuple[float, float]) -> ClipAffine:
    """The line through (source[0], to[0]) and (source[1], to[1]); a constant image becomes ``to[0]``."""
    width = source[1] - source[0]
    scale = (to[1] - to[0]) / width if width else 0.0
    return affine(scale, to[0] - source[0] * scale)


def _range_after(chain: Pointwise, values: Distribution) -> tuple[float, float]:
    """The range the chain can give: its own clip bounds where it has them, else the image's extremes."""
    low = chain.low if math.isfinite(chain.low) else values.minimum
    high = chain.high if math.isfinite(chain.high) else values.maximum
    first, second = chain(low), chain(high)
    return min(first, second), max(first, second)


def moments(values: Distribution, chain: Pointwise) -> tuple[float, float]:
    """Mean and population standard deviation of the values after the chain."""
    if isinstance(chain, Curve):
        return values.moments_after(chain)
    mean, std = values.moments((chain.low, chain.high))
    return mean * chain.scale + chain.offset, std * abs(chain.scale)


def percentile(values: Distribution, chain: Pointwise, q: float) -> float:
    """The ``q``-th percentile of the values after the chain, exactly as ``numpy.percentile`` (linear)."""
    position = q / 100 * (values.count - 1)
    lower = math.floor(position)
    upper = min(lower + 1, values.count - 1)
    ranks = [lower, upper]
    if chain.scale < 0:  # the chain turns the order round
        ranks = [values.count - 1 - rank for rank in ranks]
    low, high = map(chain, values.order_statistics(ranks))
    return between(low, high, position - lower)


def percentiles_after(
    values: Distribution, chain: Pointwise, qs: Sequence[float]
) -> tuple[float, ...]:
    """Percentiles of the values after the chain, ascending."""
    last = values.filled() - 1
    places = ranks_around((q / 100 * last for q in qs), last)
    values.order_statistics(sorted({*places, *(last - place for place in places)}))  # at one go
    return tuple(percentile(values, chain, q) for q in qs)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
