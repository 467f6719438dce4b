"""Distributions that add up over cases, in any order to the same bits: the cohort's statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpuprep.ops.distribution import Distribution
from gpuprep.ops.float_histogram import FloatHistogram, count_floats
from gpuprep.ops.histogram import Histogram
from gpuprep.ops.landmarks import Landmarks
from gpuprep.ops.statistics import FloatDistribution

Counted = Histogram | FloatHistogram
Mergeable = Counted | Landmarks
"""Histograms, one for each channel, and after them landmarks of those channels whose steps learn."""


def to_mergeable(values: Distribution) -> Counted:
    """Measured voxels of host memory as counts that no longer refer to them: exact for whole numbers.

    See ``FloatHistogram`` for how exact fractions are, and whole numbers that spread too widely.
    """
    if isinstance(values, Histogram):
        return values
    if isinstance(values, FloatDistribution):
        return count_floats(values.array, values.mask, values.threads)
    raise TypeError(f"{type(values).__name__} does not add up over cases")


def merge(first: Mergeable, second: Mergeable) -> Mergeable:
    """Both sets of voxels.

    Whole numbers stay exact among themselves while they span few enough values; beside fractions they are
    counted as these are. Which of the two it is in the end depends on the cases, not on their order.
    """
    if isinstance(first, Landmarks) and isinstance(second, Landmarks):
        return first.merge(second)
    if isinstance(first, Landmarks) or isinstance(second, Landmarks):
        raise ValueError("landmarks and voxels do not add up")
    if isinstance(first, Histogram) and isinstance(second, Histogram):
        try:
            return first.merge(second)
        except ValueError:
            pass  # too many values to count each
    return _fractional(first).merge(_fractional(second))


def mergeable_from_json(fields: Mapping[str, Any]) -> Mergeable:
    """What ``to_json`` of either gave; ValueError where it is damaged."""
    if "landmarks" in fields:
        return Landmarks.from_json(fields)
    kind = FloatHistogram if "places" in fields else Histogram
    return kind.from_json(fields)


def _fractional(values: Counted) -> FloatHistogram:
    return FloatHistogram.of(values) if isinstance(values, Histogram) else values
