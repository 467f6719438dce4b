"""From logits of a planned network to labels, by plans, ``dataset.json`` and a case's properties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.export.logits import Heads, WayBack, decide, segment
from gpuprep.nnunet.dataset import Dataset
from gpuprep.nnunet.plans_file import StoredConfiguration
from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Shape


def heads_of(dataset: Dataset) -> Heads:
    """What the output channels of a network for a data set stand for."""
    classes = len(dataset.values) - 1
    if not dataset.has_regions:
        return Heads(classes + 1, (), classes)
    return Heads(len(dataset.regions_order), dataset.regions_order, classes)


def way_back(configuration: StoredConfiguration, properties: Mapping[str, Any]) -> WayBack:
    """The way from a configuration's grid to that of a case's file.

    Args:
        configuration: The network's.
        properties: As nnU-Net has them: ``spacing`` (mm, ``z, y, x``), ``shape_before_cropping``,
            ``bbox_used_for_cropping``, ``shape_after_cropping_and_before_resampling``, these three in the
            order of the stored axes.

    Raises:
        UsageError: a property is missing.
    """
    try:
        own = tuple(map(float, properties["spacing"]))
        z, y, x = (slice(int(a), int(b)) for a, b in properties["bbox_used_for_cropping"])
        a, b, c = map(int, properties["shape_after_cropping_and_before_resampling"])
        m, n, o = map(int, properties["shape_before_cropping"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"the properties are not those of a case of nnU-Net's ({error!r})"
        ) from error
    target = configuration.spacing(own)
    axis = configuration.separate_axis(target, configuration.turned(own))
    return WayBack((a, b, c), (z, y, x), (m, n, o), configuration.forward, axis)


def logits_to_segmentation(
    logits: NDArray[Any],
    configuration: StoredConfiguration,
    dataset: Dataset,
    properties: Mapping[str, Any],
    *,
    threads: int = 1,
) -> NDArray[Any]:
    """Labels on the grid of a case's file, equal to nnU-Net's
    ``convert_predicted_logits_to_segmentation_with_correct_shape``; arguments are those of ``way_back``."""
    return segment(logits, way_back(configuration, properties), heads_of(dataset), threads=threads)


def logits_to_next_stage(
    logits: NDArray[Any],
    configuration: StoredConfiguration,
    dataset: Dataset,
    shape: Shape,
    spacing: tuple[float, float, float],
    *,
    threads: int = 1,
) -> NDArray[Any]:
    """Labels on the grid of the next stage of a cascade, as nnU-Net's ``resample_and_save`` makes them.

    Args:
        logits: Of the earlier stage.
        configuration: The earlier stage's. Its spacing counts on both sides: whether slices are resampled
            one by one does not depend on the next stage's.
        dataset: Description.
        shape: Of the next stage's stored array.
        spacing: Of the case's file, in mm, ``z, y, x``.
        threads: Does not change the result.
    """
    heads, own = heads_of(dataset), configuration.spacing(spacing)
    out = np.zeros(shape, heads.dtype)
    decide(logits, shape, configuration.separate_axis(own, own), heads, out, threads=threads)
    return out
