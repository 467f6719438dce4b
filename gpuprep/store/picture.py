"""The picture that a stored case shows of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.drawing import draw_planes
from gpuprep.values.errors import UsageError

if TYPE_CHECKING:  # it draws itself by this module
    from PIL.Image import Image

    from gpuprep.store.stored_case import StoredCase

_VIEW = (0.5, 99.5)  # percentiles, where no clip says better
_SAMPLED = 1 << 20  # voxels that these are taken of


def draw_case(case: StoredCase, label: str | None, channel: int) -> Image:
    """Three planes of a channel, with a label map over them."""
    name = label if label is not None else next(iter(case.labels), None)
    if name is not None and name not in case.labels:
        known = ", ".join(case.labels) or "none"
        raise UsageError(f"{case.id} has no label {name!r}", advice=f"labels: {known}")
    mask = None if name is None else case.read_classes(name)
    if case.image is not None:
        array, window = _channel(case, channel)
    elif mask is not None:
        array, window = np.zeros(mask.shape, np.uint8), (0.0, 1.0)
    else:
        raise UsageError(f"{case.id} has nothing to draw")
    names = {} if name is None else _legend(mask, case.label_names.get(name, {}))
    subtitle = case.geometry.describe()
    return draw_planes(
        array,
        case.geometry,
        title=case.id,
        subtitle=f"{subtitle}, window {window[0]:.4g} to {window[1]:.4g}",
        window=window,
        label=mask,
        names=names,
    )


def _channel(case: StoredCase, channel: int) -> tuple[NDArray[Any], tuple[float, float]]:
    """Its voxels, and the values that become black and white: its clip, else some percentiles."""
    assert case.image is not None
    channels = case.image.shape[0] if len(case.image.shape) == 4 else 1
    if not 0 <= channel < channels:
        raise UsageError(f"{case.id} has no channel {channel}", advice=f"it has {channels}")
    array = np.asarray(case.image[channel] if len(case.image.shape) == 4 else case.image)
    rules = case.record.get("intensity", [])
    if channel < len(rules) and None not in rules[channel]["clip"]:
        low, high = rules[channel]["output"]
        if low < high:
            return array, (float(low), float(high))
    sample = array.reshape(-1)[:: max(1, array.size // _SAMPLED)].astype(np.float32)
    known = sample[np.isfinite(sample)]
    low, high = np.percentile(known, _VIEW) if known.size else (0.0, 1.0)
    return array, (float(low), float(high) if high > low else float(low) + 1.0)


def _legend(mask: NDArray[Any] | None, names: Mapping[int, str]) -> dict[int, str]:
    values = [] if mask is None else [int(value) for value in np.unique(mask) if value]
    return {value: names.get(value, f"label {value}") for value in values}
