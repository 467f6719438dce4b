"""Small whole cases against nnU-Net's own (``tests/goldens``): masks, channels that differ, turned axes.

Labels reach beyond the image's mask, which has cavities: nnU-Net counts them in, and marks the rest with -1.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes, find_objects
from support.in_memory import Files, computed
from support.label_votes import Votes
from support.nnunet_configs import nnunet_config

from gpuprep.preprocess.compute import Computed
from gpuprep.values.case import Case, LabelSource
from gpuprep.values.geometry import Geometry

FOLDER = Path(__file__).parents[1] / "goldens"
TOLD: dict[str, Any] = json.loads((FOLDER / "goldens.json").read_text("utf-8"))["nnunet_masks"]


@lru_cache
def arrays() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "nnunet_masks.npz", allow_pickle=False) as found:
        return {key: found[key] for key in found.files}


def made(name: str) -> Computed:
    """The case by the config that stands for its plans."""
    plans, label = json.loads(TOLD[name]["plans"]), arrays()[f"{name}/label"]
    (configuration,) = plans["configurations"]
    grid = Geometry(label.shape, tuple(TOLD[name]["spacing"][::-1]))
    files = Files()
    images = tuple(
        files.add(f"{number}", channel, grid=grid)
        for number, channel in enumerate(arrays()[f"{name}/image"])
    )
    labels = (LabelSource((files.add("label", label, grid=grid),)),)
    config = nnunet_config(plans, configuration)
    lossy = config.label.model_copy(update={"loss": 1.0})  # labels beyond the crop
    config = config.model_copy(update={"label": lossy})
    return computed(files, Case(name, images, labels), config)[0]


def marked(name: str) -> np.ndarray:
    """The cropped label map with -1 where it is 0 outside the image's mask, whose holes are filled."""
    mask = binary_fill_holes(arrays()[f"{name}/image"].any(0))
    (box,) = find_objects(mask.astype(np.int8))
    label = arrays()[f"{name}/label"]
    return np.where((label == 0) & ~mask, -1, label)[box]


@pytest.mark.parametrize("name", TOLD)
def test_a_case_is_nnunets(name: str) -> None:
    case = made(name)
    forward = json.loads(TOLD[name]["plans"])["transpose_forward"]
    expected = arrays()[f"{name}/stored_image"]
    image = np.reshape(case.image, (-1, *case.geometry.shape))
    image = image.transpose(0, *(axis + 1 for axis in forward))
    assert image.shape == expected.shape
    crop = [case.record["geometry"]["crop"][axis] for axis in forward]
    assert crop == json.loads(TOLD[name]["box"])
    for channel, wanted in zip(image, expected, strict=True):
        assert np.abs(channel - wanted).max() <= 1e-6 * np.ptp(wanted)
    (label,) = case.labels.values()
    assert label.dtype == (np.int16 if name == "many_labels" else np.int8)
    stored = arrays()[f"{name}/stored_label"]
    votes = Votes(marked(name), label.shape, case.record["mapping"]["separate_axis"])
    np.testing.assert_array_equal(label, votes.winner())
    theirs = stored.transpose(np.argsort(forward))
    np.testing.assert_array_equal(label[~votes.tie], theirs[~votes.tie])
    assert votes.among_tied(theirs).all()
    assert case.record["outside"] == {
        "value": -1,
        "voxels": {"segmentation": np.count_nonzero(label == -1)},
    }
    assert "-1" not in case.record["labels"]["segmentation"]
