"""Logits become the segmentations that nnU-Net makes of them, voxel for voxel."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.nnunet_drawn import drawn
from support.nnunet_exports import DRAWN, EXPORTS, blobs, digest, trained

from gpuprep.nnunet.trained import TrainedNetwork
from gpuprep.nnunet.way_back import logits_to_next_stage, logits_to_segmentation, way_back
from gpuprep.values.errors import ConfigError, UsageError

ROWS = EXPORTS["export"]
SMALL = next(row for row in ROWS if row["case"] == "small_b")


def network_of(row: dict[str, Any], folder: Path) -> TrainedNetwork:
    return trained(row["dataset"], row["configuration"], folder)


def name_of(row: dict[str, Any]) -> str:
    return f"{row['dataset']}-{row['configuration']}"


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_segmentations_are_nnunets(row: dict[str, Any], tmp_path: Path) -> None:
    (heads, *shape), _, wanted = row["logits"]
    logits = blobs(heads, shape)
    assert digest(logits) == wanted
    network, properties = network_of(row, tmp_path), row["properties"]
    made = logits_to_segmentation(logits, network, properties, threads=2)
    assert [list(made.shape), str(made.dtype), digest(made)] == row["segmentation"]
    if "next_stage" in row:
        wanted = row["next_stage"]
        made = logits_to_next_stage(logits, network, tuple(wanted["target_shape"]))
        assert (str(made.dtype), digest(made)) == (wanted["dtype"], wanted["sha256"])


def test_drawn_logits_become_what_nnunet_makes_of_them(tmp_path: Path) -> None:
    axes = set()
    for seed, (shape, dtype, wanted) in enumerate(DRAWN):
        case = drawn(seed)
        (tmp_path / "dataset.json").write_text(json.dumps(case.dataset))
        (tmp_path / "plans.json").write_text(json.dumps(case.plans))
        network = TrainedNetwork.read(tmp_path / "plans.json", case.configuration)
        axes.add(way_back(network, case.properties).separate_axis)
        made = logits_to_segmentation(case.logits, network, case.properties)
        assert (list(made.shape), str(made.dtype)) == (shape, dtype), seed
        assert digest(made)[:16] == wanted, seed
    assert axes == {None, 0, 1, 2}


def test_a_region_begins_where_its_float32_sigmoid_rounds_above_one_half(tmp_path: Path) -> None:
    network = trained("Dataset703_StrokeRegions", "3d_fullres", tmp_path)
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
    made = logits_to_segmentation(logits, network, properties)
    np.testing.assert_array_equal(made.transpose(network.forward)[0, 0], [0, 0, 2, 2])
    np.testing.assert_array_equal(made.transpose(network.forward)[0, 1], [3, 3, 3, 3])
    logits[1] = -1
    made = logits_to_segmentation(logits, network, properties)
    np.testing.assert_array_equal(made.transpose(network.forward)[0, 0], [0, 0, 0, 1])


def test_memory_holds_slabs_and_not_all_classes(tmp_path: Path) -> None:
    network = trained("Dataset702_TotalSeg", "3d_fullres", tmp_path)
    small, shape = (20, 30, 40), (40, 60, 80)
    np.save(tmp_path / "x.npy", np.zeros((network.heads.number, *small), np.float16))
    logits = np.load(tmp_path / "x.npy", mmap_mode="r")
    properties = {
        "spacing": [0.5, 0.5, 0.5],
        "bbox_used_for_cropping": [[0, edge] for edge in shape],
        "shape_before_cropping": shape,
        "shape_after_cropping_and_before_resampling": shape,
    }
    tracemalloc.start()
    logits_to_segmentation(logits, network, properties)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16e6  # float64 of all classes would be 180 MB


def test_what_is_no_output_of_the_network_is_refused(tmp_path: Path) -> None:
    network = network_of(SMALL, tmp_path)
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
            logits_to_segmentation(wrong, network, SMALL["properties"])
    with pytest.raises(UsageError, match="spacing"):
        way_back(network, {})
    wider = {**SMALL["properties"], "bbox_used_for_cropping": [[0, 9]] * 3}
    with pytest.raises(UsageError, match="the box does not have the shape"):
        way_back(network, wider)


def test_a_cascade_inherits(tmp_path: Path) -> None:
    cascade = trained("Dataset708_SynthCascade", "3d_cascade_fullres", tmp_path)
    full = trained("Dataset708_SynthCascade", "3d_fullres", tmp_path)
    low = trained("Dataset708_SynthCascade", "3d_lowres", tmp_path)
    assert (cascade.previous, full.previous) == ("3d_lowres", None)
    assert [stage.name for stage in low.next_stages()] == ["3d_cascade_fullres"]
    assert cascade.fields["spacing"] == full.fields["spacing"]
    with pytest.raises(UsageError, match="no configuration 3d") as refused:
        trained("Dataset708_SynthCascade", "3d", tmp_path)
    assert "3d_lowres" in refused.value.advice


def test_other_ways_of_resampling_are_refused(tmp_path: Path) -> None:
    network = network_of(SMALL, tmp_path)
    network.fields["resampling_fn_probabilities"] = "resample_torch_fornnunet"
    with pytest.raises(ConfigError, match="resample_torch_fornnunet"):
        way_back(network, SMALL["properties"])
