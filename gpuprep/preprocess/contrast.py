"""N4 and CLAHE under a config: what they take of a case, and how long they may."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.config import filters as config
from gpuprep.ops.bias import BiasField, BiasRule, find_bias
from gpuprep.ops.filters import Equalizing
from gpuprep.values.errors import CaseError
from gpuprep.values.geometry import Shape

Foreground = Callable[[], NDArray[Any]]
"""Gives the mask of a case when it is asked for."""


def corrected(
    array: NDArray[Any], rule: config.N4, foreground: Foreground | None
) -> tuple[NDArray[np.float32], BiasField]:
    """A volume divided by its bias field, as float32, and the field.

    Raises:
        CaseError: the field took longer than it may, or no two positive values are in the foreground.
    """
    end = time.monotonic() + rule.seconds

    def go_on() -> None:
        if time.monotonic() > end:
            raise CaseError(
                f"n4 took longer than {rule.seconds:g} s and was stopped",
                advice="give it more seconds (n4.seconds), or fewer iterations",
            )

    mask = np.ones(array.shape, np.uint8) if foreground is None else foreground()
    wanted = BiasRule((rule.shrink,) * 3, rule.iterations, rule.threshold)
    try:
        field = find_bias(array, mask, wanted, go_on)
    except ValueError as error:
        raise CaseError(
            f"n4 has nothing to work on: {error}",
            advice="n4 is for MR: give it to those channels alone, in image.channels",
        ) from None
    factor = field.factor()
    return np.divide(array, factor, out=factor, casting="same_kind"), field


def equalizing(rule: config.Clahe, shape: Shape, spacing: tuple[float, float, float]) -> Equalizing:
    """CLAHE on a grid: tiles in voxels. ``spacing`` is of the axes z, y, x, in mm."""
    if rule.tile is None:
        z, y, x = (max(length // 8, 1) for length in shape)
    else:
        edges = rule.tile if isinstance(rule.tile, tuple) else (rule.tile,) * 3
        z, y, x = (
            min(max(round(mm / step), 1), length)
            for mm, step, length in zip(edges[::-1], spacing, shape, strict=True)
        )
    return Equalizing((z, y, x), rule.clip, rule.bins, rule.source)
