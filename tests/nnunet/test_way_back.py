"""Logits become the segmentations that nnU-Net makes of them, voxel for voxel."""

import tracemalloc
from pathlib import Path
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


def test_a_region_begins_where_its_float32_sigmoid_rounds_above_one_half() -> None:
    row = {"dataset": "Dataset703_StrokeRegions", "configuration": "3d_fullres"}
    configuration, dataset = planned(row)
    shape = (1, 2, 4)
    logits = np.full((3, *shape), -1, np.float32)
    largest = np.float32(1.5 * 2**-24)  # whose sigmoid torch rounds to 0.5
    logits[0, 0, 0] = 0, 2**-24, largest, np.nextafter(largest, np.float32(1))
    logits[1, 0, 0] = -0.0, -1, 1, 1
    logits[2, 0, 1] = 9  # the last region is painted over the others
    properties = {
        "spacing": [1.0, 1.0, 1.0],
        "bbox_used_for_cropping": [[0, edge] for edge in shape],
        "shape_before_cropping": shape,
        "shape_after_cropping_and_before_resampling": shape,
    }
    made = logits_to_segmentation(logits, configuration, dataset, properties)
    np.testing.assert_array_equal(made.transpose(configuration.forward)[0, 0], [0, 0, 2, 2])
    np.testing.assert_array_equal(made.transpose(configuration.forward)[0, 1], [3, 3, 3, 3])
    logits[1] = -1
    made = logits_to_segmentation(logits, configuration, dataset, properties)
    np.testing.assert_array_equal(made.transpose(configuration.forward)[0, 0], [0, 0, 0, 1])


def test_memory_holds_slabs_and_not_all_classes(tmp_path: Path) -> None:
    row = {"dataset": "Dataset702_TotalSeg", "configuration": "3d_fullres"}
    configuration, dataset = planned(row)
    small, shape = (20, 30, 40), (40, 60, 80)
    np.save(tmp_path / "x.npy", np.zeros((len(dataset.values), *small), np.float16))
    logits = np.load(tmp_path / "x.npy", mmap_mode="r")
    properties = {
        "spacing": [0.5, 0.5, 0.5],
        "bbox_used_for_cropping": [[0, edge] for edge in shape],
        "shape_before_cropping": shape,
        "shape_after_cropping_and_before_resampling": shape,
    }
    tracemalloc.start()
    logits_to_segmentation(logits, configuration, dataset, properties)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16e6  # float64 of all classes would be 180 MB


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
