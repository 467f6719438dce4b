"""The range of values that a picture shows at first: what the intensity steps keep, else some percentiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuprep.config.intensity import BENDING, Clip, IntensityStep, PercentileClip
from gpuprep.config.intensity import Window as CTWindow
from gpuprep.config.model import Config
from gpuprep.config.standards import Suv
from gpuprep.ops.statistics import Distribution
from gpuprep.preprocess.channels import channel_rules
from gpuprep.values.errors import InputError

Window = tuple[float, float]

_VIEW = (0.5, 99.5)  # percentiles that a picture shows where no clip says better


def steps_of(config: Config, names: Sequence[str]) -> list[tuple[IntensityStep, ...]]:
    """The intensity steps of each channel; those of all where the config names others than these."""
    try:
        return [rule.steps for rule in channel_rules(config.image, names)]
    except InputError:
        return [config.image.intensity] * len(names)


def window_of_steps(steps: Sequence[IntensityStep], values: Distribution) -> Window:
    """What the first clipping of some steps keeps; some percentiles without one before a table."""
    for entry in steps:
        match entry.step:
            case Clip() as step:
                return step.low, step.high
            case CTWindow() as step:
                return step.ends
            case PercentileClip() as step:
                return _percentile_window(values, (step.low, step.high))
            case step if isinstance(step, (*BENDING, Suv)):
                break
    return _percentile_window(values, _VIEW)


def window_as_stored(intensity: Mapping[str, Any], values: Distribution) -> Window:
    """The stored range of a channel that was clipped on both sides; else some percentiles."""
    low, high = intensity["output"]
    if None not in intensity["clip"] and low < high:
        return float(low), float(high)
    return _percentile_window(values, _VIEW)


def _percentile_window(values: Distribution, qs: Window) -> Window:
    """Two percentiles; the extremes where these coincide."""
    low, high = values.percentiles(qs)
    return (low, high) if low < high else (values.minimum, values.maximum)
