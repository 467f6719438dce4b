"""Nyúl's standardisation and histogram matching as steps: what is learnt of a case, and the table it gets."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence

import numpy as np

from gpuprep.config.intensity import IntensityStep
from gpuprep.config.standards import HistogramMatch, Nyul
from gpuprep.ops.curve import Pointwise, curve
from gpuprep.ops.distribution import Distribution
from gpuprep.ops.float_histogram import FloatHistogram
from gpuprep.ops.histogram import Histogram
from gpuprep.ops.landmarks import Landmarks
from gpuprep.ops.mergeable import Mergeable, to_mergeable
from gpuprep.ops.pointwise import ClipAffine
from gpuprep.ops.statistics import FloatDistribution
from gpuprep.ops.table import Table
from gpuprep.values.errors import ConfigError

_FEW_POINTS = 128  # of voxels that lie on a device
MOST_POINTS = 1024
"""Of a cumulative histogram; more values than that are taken at so many even ranks."""


def nyul(found: Sequence[float], standard: Sequence[float]) -> Pointwise:
    """Straight lines from a case's percentiles to the standard, the outer two going on beyond.

    A case of one value alone goes to the middle of the scale.
    """
    table = _table(found, standard)
    return curve(table, hold=False) if table else ClipAffine(scale=0.0, offset=_middle(standard))


def match(values: Distribution, chain: Pointwise, step: HistogramMatch) -> Pointwise:
    """Each value goes to that of the reference with the same share of values that are no larger.

    As scikit-image's ``match_histograms``: straight between the reference's values.
    """
    found, shares = cumulative(values)
    results = np.interp(shares, step.shares, step.values)
    order = np.argsort(places := np.array([chain(each) for each in found]), kind="stable")
    if chain.scale < 0:  # the largest become the smallest
        before = np.concatenate(([0.0], shares[:-1]))
        results = np.interp(1 - before, step.shares, step.values)
    table = _table(places[order].tolist(), results[order].tolist())
    return curve(table, hold=True) if table else ClipAffine(scale=0.0, offset=float(results.max()))


def cumulative(values: Distribution) -> tuple[list[float], list[float]]:
    """Values, ascending, and the share of all that is no larger; at most ``MOST_POINTS`` of them."""
    count = values.filled()
    if isinstance(values, FloatDistribution):
        values = to_mergeable(values)  # many ranks of fractions would be sought one by one
    if isinstance(values, Histogram | FloatHistogram):
        points, counts = values.points
        shares = np.cumsum(counts) / count
        if len(points) > MOST_POINTS:
            wanted = np.searchsorted(shares, np.linspace(shares[0], 1.0, MOST_POINTS) * (1 - 1e-12))
            chosen = np.unique(np.minimum(wanted, len(points) - 1))
            points, shares = points[chosen], shares[chosen]
        return points.tolist(), shares.tolist()
    ranks = np.unique(np.linspace(0, count - 1, min(_FEW_POINTS, count)).astype(np.int64))
    ordered = np.array(values.order_statistics(ranks.tolist()))
    last = np.flatnonzero(np.diff(ordered, append=math.inf))  # of those that are the same
    return ordered[last].tolist(), ((ranks[last] + 1) / count).tolist()


def standard_of(step: Nyul, channel: str, *, alone: bool = True) -> tuple[float, ...]:
    """The scale of a channel: under its name; for a channel that is ``alone``, the only one there is.

    Raises:
        ConfigError: there is none.
    """
    known = step.standard or {}
    if channel in known:
        return known[channel]
    if alone and len(known) == 1:
        return next(iter(known.values()))
    raise ConfigError(
        f"nyul has a standard for {', '.join(known) or 'no channel'}, and not for {channel}",
        advice="give landmarks of a cohort with these channels, or nyul to some of them (image.channels)",
    )


def with_own_standards(
    steps: Sequence[IntensityStep], channel: str, *, alone: bool
) -> tuple[IntensityStep, ...]:
    """The steps of a channel, of standards that are written out its own alone.

    Raises:
        ConfigError: there is none for it.
    """
    return tuple(
        _with_standard(entry.step, channel, standard_of(entry.step, channel, alone=alone))
        if isinstance(entry.step, Nyul) and entry.step.standard is not None
        else entry
        for entry in steps
    )


def _with_standard(step: Nyul, channel: str, scale: Sequence[float]) -> IntensityStep:
    return IntensityStep(nyul=step.model_copy(update={"standard": {channel: tuple(scale)}}))


def landmark_key(channel: str, steps: Sequence[IntensityStep]) -> str:
    """Names a channel and its steps up to one that learns."""
    told = [step.model_dump(mode="json", exclude_none=True) for step in steps]
    text = json.dumps([channel, told], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def learning_steps(steps: Sequence[IntensityStep]) -> list[int]:
    """Where in a chain there are steps whose standard is learnt over the cohort."""
    return [
        place
        for place, entry in enumerate(steps)
        if isinstance(entry.step, Nyul) and entry.step.learns
    ]


def learn(
    channel: str,
    steps: Sequence[IntensityStep],
    found: Callable[[int], Sequence[float]],
) -> list[Landmarks]:
    """A case's share of every standard of a channel; ``found`` gives the percentiles before a step."""
    shares = []
    for place in learning_steps(steps):
        step = steps[place].step
        assert isinstance(step, Nyul)
        key = landmark_key(channel, steps[: place + 1])
        shares.append(Landmarks.of(key, channel, step.percentiles, found(place), step.to))
    return shares


def with_standards(
    steps: Sequence[IntensityStep], channel: str, cohort: Sequence[Mergeable]
) -> tuple[IntensityStep, ...]:
    """The steps of a channel with the standards that were learnt over the cohort.

    Raises:
        ConfigError: there is none.
    """
    settled = list(steps)
    for place in learning_steps(steps):
        key, step = landmark_key(channel, steps[: place + 1]), steps[place].step
        assert isinstance(step, Nyul)
        known = next(
            (each for each in cohort if isinstance(each, Landmarks) and each.key == key), None
        )
        if known is None or not known.cases:
            raise ConfigError(
                f"nyul learns the scale of channel {channel} over the cohort, and no case told it",
                advice="have cases with more than one value, or give nyul: landmarks",
            )
        settled[place] = _with_standard(step, channel, known.standard)
    return tuple(settled)


def _table(x: Sequence[float], y: Sequence[float]) -> Table | None:
    """The table through points of which neighbours may have one x; None where all have."""
    if x[0] == x[-1]:
        return None
    return Table.of(x, np.maximum.accumulate(np.asarray(y, np.float64)).tolist())


def _middle(standard: Sequence[float]) -> float:
    return float(np.interp(0.5, np.linspace(0, 1, len(standard)), standard))
