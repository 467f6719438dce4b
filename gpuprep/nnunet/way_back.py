"""From logits of a trained network to labels, by the properties that nnU-Net keeps of a case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.export.logits import WayBack, decide, segment
from gpuprep.nnunet.trained import TrainedNetwork
from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Shape

_ANY_SPACING = (1.0, 1.0, 1.0)


def way_back(network: TrainedNetwork, properties: Mapping[str, Any]) -> WayBack:
    """The way from a network's grid to that of a case's file.

    Args:
        network: Whose.
        properties: As nnU-Net has them: ``spacing`` (mm, ``z, y, x``), ``shape_before_cropping``,
            ``bbox_used_for_cropping``, ``shape_after_cropping_and_before_resampling``, these three in the
            order of the stored axes.

    Raises:
        UsageError: a property is missing, or two contradict one another.
        ConfigError: the plan resamples probabilities in a way of its own.
    """
    try:
        own = tuple(map(float, properties["spacing"]))
        z, y, x = (slice(int(a), int(b)) for a, b in properties["bbox_used_for_cropping"])
        a, b, c = map(int, properties["shape_after_cropping_and_before_resampling"])
        m, n, o = map(int, properties["shape_before_cropping"])
        if [part.stop - part.start for part in (z, y, x)] != [a, b, c]:
            raise ValueError(f"the box does not have the shape after the crop, {(a, b, c)}")
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"the properties are not those of a case of nnU-Net's ({error!r})"
        ) from error
    axis = network.separate_axis(network.spacing(own), network.turned(own))
    return WayBack((a, b, c), (z, y, x), (m, n, o), network.forward, axis)


def logits_to_segmentation(
    logits: NDArray[Any],
    network: TrainedNetwork,
    properties: Mapping[str, Any],
    *,
    threads: int = 1,
) -> NDArray[Any]:
    """Labels on the grid of a case's file, equal to nnU-Net's
    ``convert_predicted_logits_to_segmentation_with_correct_shape``.

    Args:
        logits: float16 or float32: class, then the stored axes.
        network: Whose.
        properties: Of the case, see ``way_back``.
        threads: Does not change the result.

    Raises:
        UsageError: the logits are no output of this network, or a property is missing.
        ConfigError: the plan resamples probabilities in a way of its own.
    """
    return segment(logits, way_back(network, properties), network.heads, threads=threads)


def logits_to_next_stage(
    logits: NDArray[Any], network: TrainedNetwork, shape: Shape, *, threads: int = 1
) -> NDArray[Any]:
    """Labels on the grid of the next stage of a cascade, as nnU-Net's ``resample_and_save`` makes them.

    Args:
        logits: Of the earlier stage.
        network: The earlier stage, whose spacing counts on both sides: whether slices are resampled one by
            one does not depend on the next stage's.
        shape: Of the next stage's stored array.
        threads: Does not change the result.

    Raises:
        UsageError: the logits are no output of this network.
        ConfigError: the plan resamples probabilities in a way of its own.
    """
    own = network.spacing(_ANY_SPACING)  # a stage in 3-D has one of its own
    out = np.zeros(shape, network.heads.dtype)
    decide(logits, shape, network.separate_axis(own, own), network.heads, out, threads=threads)
    return out
