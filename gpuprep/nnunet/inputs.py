"""What ``nnUNetv2_predict`` would feed its network, from stored cases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.export.case import find_cohort
from gpuprep.nnunet.trained import TrainedNetwork
from gpuprep.store.nnunet.properties import case_properties
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.errors import UsageError


def network_input(case: StoredCase, network: TrainedNetwork) -> NDArray[np.float32]:
    """A stored case as the network takes it: channel, then the stored axes, float32.

    With a previous stage, one more channel for each foreground label: 1 where its segmentation has it.

    Raises:
        UsageError: the case has no image, or lacks what the stage before made of it.
    """
    if case.image is None:
        raise UsageError(f"case {case.id} holds labels only", advice="make it with predict-input")
    image = np.asarray(case.image, np.float32)
    channels = [*(image if image.ndim == 4 else image[None])]
    if network.previous is not None:
        segmentation = _previous(case, network.previous)
        channels += [segmentation == value for value in network.dataset.values if value]
    ahead = (0, *(axis + 1 for axis in network.forward))
    return np.ascontiguousarray(np.stack(channels).transpose(ahead), np.float32)


def _previous(case: StoredCase, stage: str) -> NDArray[Any]:
    if len(case.labels) != 1:
        raise UsageError(
            f"case {case.id} has {len(case.labels)} label maps, and one must be what {stage} made of it",
            advice="give its folder to predict-input with -prev_stage_predictions",
        )
    (label,) = case.labels.values()
    return np.asarray(label)


def network_inputs(
    output: Path, network: TrainedNetwork, folder: Path | None = None
) -> Iterator[dict[str, Any]]:
    """Every case of a cohort, one by one, as ``nnUNetPredictor.predict_from_data_iterator`` takes them.

    Yields:
        ``data``, an array that ``torch.from_numpy`` takes; ``data_properties``; ``ofile``, the case's id in
        ``folder``, or None without one.
    """
    cohort = find_cohort(output)
    for case_id in cohort:
        with cohort[case_id] as case:
            yield {
                "data": network_input(case, network),
                "data_properties": case_properties(
                    case.record["geometry"], network.forward, None, network.dataset.reader
                ),
                "ofile": None if folder is None else str(folder / case_id),
            }
