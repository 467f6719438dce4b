"""Cohort statistics: one exact histogram per channel and case, merged in any order to the same sum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import reduce

from gpuprep.errors import UsageError
from gpuprep.ops.statistics import Histogram


def merge_channels(partials: Mapping[str, tuple[Histogram, ...]]) -> tuple[Histogram, ...]:
    """The cohort's histogram per channel, from the histograms of its cases by case id.

    Raises:
        UsageError: no case could be measured, or cases differ in their number of channels.
    """
    if not partials:
        raise UsageError("no case could be measured for the cohort's statistics")
    counts = {len(channels): name for name, channels in sorted(partials.items())}
    if len(counts) > 1:
        shown = ", ".join(f"{name} has {number}" for number, name in counts.items())
        raise UsageError(f"cases differ in their number of channels: {shown}")
    return tuple(
        reduce(Histogram.merge, channel) for channel in zip(*partials.values(), strict=True)
    )


def cohort_digest(digest: str, channels: tuple[Histogram, ...]) -> str:
    """A config digest that also covers the statistics the cohort was normalised with."""
    text = json.dumps([digest, [channel.to_json() for channel in channels]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
