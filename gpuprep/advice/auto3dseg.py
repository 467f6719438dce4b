"""The statistics of one case as MONAI's ``DataAnalyzer`` writes them for Auto3DSeg.

Its axes are x, y, z in RAS. What surprises in it is kept, since its readers expect it: the crop to what is
above 0 leaves the first axis whole, and each number is rounded to float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.advice.components import component_shapes
from gpuprep.advice.torch_numbers import numbers, of_nothing, sample
from gpuprep.ops.crop import tight_box
from gpuprep.ops.distribution import Distribution
from gpuprep.ops.statistics import Histogram, label_counts, measure
from gpuprep.preprocess.assemble import Assembled
from gpuprep.values.agreement import Agreement
from gpuprep.values.case import Case
from gpuprep.values.geometry import Box

Array = NDArray[Any]
Stats = dict[str, Any]
NO_LABEL = "None"


class CaseStats:
    """Asked of every case of a survey.

    Args:
        components: Whether connected components of labels are counted, as with MONAI's ``do_ccp``.
    """

    def __init__(self, *, components: bool = False) -> None:
        self._components = components

    def __call__(self, case: Case, assembled: Assembled, agreement: Agreement) -> Stats:
        """The statistics of a case, or why there are none under ``left_out``."""
        try:
            return self._stats(case, assembled)
        except ValueError:  # nothing to measure
            return {"case": case.id, "left_out": "a label lies on no finite voxel"}

    def _stats(self, case: Case, assembled: Assembled) -> Stats:
        geometry, turn = assembled.geometry.reorient("RAS")
        channels = [_as_read(turn.view(array)) for array in assembled.channels]
        boxes = [_above_zero(channel) for channel in channels]
        if any(box is None for box in boxes):
            name = assembled.channel_names[boxes.index(None)]
            return {"case": case.id, "left_out": f"channel {name} has no voxel above 0"}
        shape, spacing = list(geometry.size), list(geometry.spacing)
        cropped = [channel[box] for channel, box in zip(channels, boxes, strict=True)]
        image = {
            "shape": [shape for _ in channels],
            "channels": len(channels),
            "cropped_shape": [list(each.shape[::-1]) for each in cropped],
            "spacing": spacing,
            "sizemm": [n * step for n, step in zip(shape, spacing, strict=True)],
            "intensity": [numbers(sample(each)) for each in cropped],
        }
        found: Stats = {
            "case": case.id,
            "image_filepath": case.images[0].path,
            "label_filepath": NO_LABEL,
            "image_stats": image,
        }
        for label, source in zip(assembled.labels.values(), case.labels, strict=False):
            found["label_filepath"] = source.sources[0].path
            return found | self._labelled(channels, turn.view(label))
        return found

    def _labelled(self, channels: Sequence[Array], label: Array) -> Stats:
        counts = label_counts(label)
        places = {value: _place(label, value) for value in counts if value}
        each = [_by_value(channel, label, places) for channel in channels]
        foreground = [numbers(values) if values.count else of_nothing() for values, _ in each]
        rows = []
        for value, count in counts.items():
            row: Stats = {"image_intensity": [numbers(found[value]) for _, found in each]}
            if self._components:
                mask = places[value][1] if value else label == 0
                row["shape"] = component_shapes(mask.T)
                row["ncomponents"] = len(row["shape"])
            share = float(np.float32(count) / np.float32(label.size))
            rows.append({**row, "foreground_percentage": share})
        return {
            "image_foreground_stats": {"intensity": foreground},
            "label_stats": {"labels": list(counts), "image_intensity": foreground, "label": rows},
        }


_Place = tuple[Box, Array]
"""The box of a value in a label map, and where in that box it is."""


def _place(label: Array, value: int) -> _Place:
    box = tight_box(label, lambda part: part == value)
    assert box is not None  # the value was counted
    return box, label[box] == value


def _by_value(
    channel: Array, label: Array, places: Mapping[int, _Place]
) -> tuple[Distribution, dict[int, Distribution]]:
    """The voxels of a channel above label 0, and those of each value of the label."""
    found = {value: sample(channel[box], mask) for value, (box, mask) in places.items()}
    whole = measure(channel) if channel.dtype.kind != "f" else None
    parts = [each for each in found.values() if isinstance(each, Histogram)]
    if not isinstance(whole, Histogram) or len(parts) < len(found):
        return sample(channel, label > 0), {0: sample(channel, label == 0), **found}
    total = Histogram(whole.start, np.zeros_like(whole.counts))
    for part in parts:
        total = total.merge(part)
    inside = Histogram.of(total.start, total.counts)
    rest = Histogram.of(whole.start, whole.counts - total.counts)
    if min(places, default=0) < 0:
        return sample(channel, label > 0), {0: rest, **found}
    return inside, {0: rest, **found}


def _as_read(array: Array) -> Array:
    """As MONAI holds voxels: fractions are float32."""
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _above_zero(array: Array) -> tuple[slice, slice, slice] | None:
    """The box along z and y of what is above 0; x is kept whole."""
    hit = np.logical_or.reduce(array > 0, axis=2)
    rows, columns = (np.flatnonzero(np.logical_or.reduce(hit, axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return (
        slice(int(rows[0]), int(rows[-1]) + 1),
        slice(int(columns[0]), int(columns[-1]) + 1),
        slice(None),
    )
