"""Whether the stored dtype can hold what an intensity chain gives: the same questions for every dtype."""

from __future__ import annotations

import numpy as np

from gpuprep.ops.bits import fraction_bits, largest_kept, rounded_bits
from gpuprep.ops.radix import ordered_keys
from gpuprep.preprocess.intensity import Intensity
from gpuprep.values.errors import ValueRangeError
from gpuprep.values.findings import Findings

_ENDS = {
    "float16": (-65504.0, 65504.0),
    "float32": (-3.4028234663852886e38, 3.4028234663852886e38),
    "int16": (-32768.0, 32767.0),
}
_EXACT = {"float16": 2.0**11, "float32": 2.0**24, "int16": 2.0**15}
"""Up to here a dtype holds every whole number."""
_SMALLEST = {"float16": 2.0**-14, "float32": 2.0**-126, "int16": 0.5}
"""Below this a dtype loses digits; whole numbers lose everything."""
_FEWEST = 3  # numbers of the dtype that fractions must be able to become


def report_constant(
    intensity: Intensity, low: float, high: float, findings: Findings, channel: str
) -> None:
    """Note where a channel, whose values go from ``low`` to ``high``, ends as one value alone."""
    ends = intensity.chain.bounds(low, high)
    if low < high and ends[0] == ends[1]:
        findings.report(
            "W_CONSTANT",
            f"{channel} goes from {low:g} to {high:g}, and all of it becomes {ends[0]:g}",
            advice="look at the ranges and percentiles of image.intensity, and at the file's unit",
        )


def check_dtype(
    intensity: Intensity,
    dtype: str,
    findings: Findings,
    channel: str,
    *,
    whole: bool = True,
    keep_bits: int | None = None,
) -> None:
    """Refuse values that the stored dtype cannot hold, and note where it rounds.

    ``whole`` says that the source voxels are whole numbers. With ``keep_bits`` the dtype has that many
    bits of its fraction, and ends and steps accordingly.

    Raises:
        ValueRangeError: a value would overflow, or all would vanish: become 0, or at most two numbers.
    """
    low, high = intensity.output
    bounds, exact, kind = _ENDS[dtype], _EXACT[dtype], _kind(dtype, keep_bits)
    if keep_bits is not None:
        end = largest_kept(np.dtype(dtype), keep_bits)
        bounds, exact = (-end, end), 2.0 ** (keep_bits + 1)
    if low < bounds[0] or high > bounds[1]:
        raise ValueRangeError(
            f"values of {channel} reach {low:g}..{high:g}, but {kind} ends at {bounds[0]:g}..{bounds[1]:g}",
            advice=f"add a clip or zscore step to image.intensity, or {_more_room(keep_bits)}",
        )
    whole = whole and intensity.keeps_whole
    largest = max(abs(low), abs(high))
    unchanged = dtype == "float32" and keep_bits is None and intensity.keeps_values
    if unchanged or (whole and largest <= exact):
        return
    _check_vanishing(intensity, dtype, channel, keep_bits)
    if whole:
        findings.report(
            "W_PRECISION",
            f"{channel} reaches {low:g}..{high:g}; {kind} is exact for whole numbers up to "
            f"{exact:.0f} only",
            advice="store.dtype: int16 keeps intensities in their own units without loss",
        )
    elif dtype == "int16":
        findings.report(
            "W_PRECISION",
            f"{channel} lies in {low:g}..{high:g} and is rounded to whole numbers",
            advice="store.dtype: float16 for normalised intensities",
        )


def _kind(dtype: str, keep_bits: int | None) -> str:
    return dtype if keep_bits is None else f"{dtype} with store.keep_bits {keep_bits}"


def _more_room(keep_bits: int | None) -> str:
    if keep_bits is None:
        return "set store.dtype: float32"
    return "leave store.keep_bits out"


def _check_vanishing(intensity: Intensity, dtype: str, channel: str, keep_bits: int | None) -> None:
    low, high = intensity.output
    advice = (
        f"add a multiply, rescale or zscore step to image.intensity, or {_more_room(keep_bits)}"
    )
    if 0 < max(abs(low), abs(high)) < _SMALLEST[dtype]:
        raise ValueRangeError(
            f"values of {channel} reach only {low:g}..{high:g}, {dtype} is coarse below "
            f"{_SMALLEST[dtype]:g}",
            advice=advice,
        )
    left = numbers_between(low, high, dtype, keep_bits)
    if low < high and left < _FEWEST:
        raise ValueRangeError(
            f"values of {channel} lie in {low:.8g}..{high:.8g}, where {_kind(dtype, keep_bits)} has {left} "
            f"number{'s' * (left > 1)}: all would be rounded to {'these' if left > 1 else 'it'}",
            advice=advice,
        )


def numbers_between(low: float, high: float, dtype: str, keep_bits: int | None = None) -> int:
    """How many numbers of a dtype values from ``low`` to ``high`` can be rounded to.

    With ``keep_bits`` those with so many bits of the fraction count.

    >>> numbers_between(0.0, 1.0, "int16"), numbers_between(1000.0, 1001.0, "float16")
    (2, 3)
    """
    ends = np.array([low, high])
    rounded = (np.rint(ends) if dtype == "int16" else ends).astype(dtype) + np.dtype(dtype).type(0)
    step = 1
    if keep_bits is not None:
        rounded = rounded_bits(rounded, keep_bits)
        step = 1 << (fraction_bits(rounded.dtype) - keep_bits)
    first, last = (int(key) for key in ordered_keys(rounded))
    return (last - first) // step + 1
