"""Logits become the segmentations that nnU-Net makes of them, voxel for voxel."""

from typing import Any

import numpy as np
import pytest
from support.nnunet_exports import EXPORTS, blobs, digest, planned

from gpuprep.nnunet.plans_file import PlansFile
from gpuprep.nnunet.way_back import logits_to_next_stage, logits_to_segmentation, way_back
from gpuprep.values.errors import ConfigError, UsageError

ROWS = EXPORTS["export"]
SMALL = next(row for row in ROWS if row["case"] == "small_b")


def name_of(row: dict[str, Any]) -> str:
    return f"{row['dataset']}-{row['configuration']}"


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_segmentations_are_nnunets(row: dict[str, Any]) -> None:
    (heads, *shape), _, wanted = row["logits"]
    logits = blobs(heads, shape)
    assert digest(logits) == wanted
    configuration, dataset = planned(row)
    properties = row["properties"]
    made = logits_to_segmentation(logits, configuration, dataset, properties, threads=2)
    assert [list(made.shape), str(made.dtype), digest(made)] == row["segmentation"]
    if "next_stage" in row:
        wanted = row["next_stage"]
        shape, spacing = tuple(wanted["target_shape"]), tuple(properties["spacing"])
        made = logits_to_next_stage(logits, configuration, dataset, shape, spacing)
        assert (str(made.dtype), digest(made)) == (wanted["dtype"], wanted["sha256"])


def test_what_is_no_output_of_the_network_is_refused() -> None:
    configuration, dataset = planned(SMALL)
    logits = blobs(3, SMALL["logits"][0][1:])
    broken = logits.copy()
    broken[1, 2, 3, 4:7] = np.nan
    for wrong, told in (
        (logits[:2], "2 channels, dataset.json has 3"),
        (logits.astype(np.float64), "float64"),
        (logits[0], "shape"),
        (broken, "not finite in 3 of"),
    ):
        with pytest.raises(UsageError, match=told):
            logits_to_segmentation(wrong, configuration, dataset, SMALL["properties"])
    with pytest.raises(UsageError, match="spacing"):
        way_back(configuration, {})


def test_a_cascade_inherits_and_what_leads_nowhere_is_refused(tmp_path) -> None:
    cascade, _ = planned(
        {"dataset": "Dataset708_SynthCascade", "configuration": "3d_cascade_fullres"}
    )
    full, _ = planned({"dataset": "Dataset708_SynthCascade", "configuration": "3d_fullres"})
    assert cascade.previous == "3d_lowres"
    assert full.previous is None
    assert cascade.fields["spacing"] == full.fields["spacing"]
    circle = {"a": {"inherits_from": "b"}, "b": {"inherits_from": "a"}}
    plans = PlansFile(tmp_path, {"configurations": circle, "transpose_forward": [0, 1, 2]})
    with pytest.raises(ConfigError, match="leads nowhere"):
        plans.configuration("a")
    with pytest.raises(UsageError, match="no configuration c") as refused:
        plans.configuration("c")
    assert "a, b" in refused.value.advice


def test_other_ways_of_resampling_are_refused() -> None:
    configuration, _ = planned(SMALL)
    configuration.fields["resampling_fn_probabilities"] = "resample_torch_fornnunet"
    with pytest.raises(ConfigError, match="resample_torch_fornnunet"):
        way_back(configuration, SMALL["properties"])
