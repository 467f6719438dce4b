"""The second stage of a cascade gets the file that nnU-Net's validation of the first one writes."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.commands import call
from support.nnunet_exports import EXPORTS, blobs, digest
from support.nnunet_goldens import GOLDENS

blosc2 = pytest.importorskip("blosc2")

ROW = next(row for row in EXPORTS["export"] if "next_stage" in row)
WANTED = ROW["next_stage"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data set's plans, and an empty array in the place of the second stage's."""
    folder = tmp_path / "pp" / ROW["dataset"]
    arrays = folder / "nnUNetPlans_3d_fullres"
    arrays.mkdir(parents=True)
    for name in ("dataset", "nnUNetPlans"):
        (folder / f"{name}.json").write_text(GOLDENS["datasets"][ROW["dataset"]][name])
    plans = json.loads((folder / "nnUNetPlans.json").read_text())
    plans["configurations"]["3d_fullres"]["patch_size"] = [8, 8, 8]  # the first stage's counts
    (folder / "nnUNetPlans.json").write_text(json.dumps(plans))
    file = str(arrays / f"{ROW['case']}.b2nd")
    blosc2.zeros((1, *WANTED["target_shape"]), np.float32, urlpath=file)
    monkeypatch.setenv("nnUNet_preprocessed", str(folder.parent))
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    (tmp_path / "logits").mkdir()
    return tmp_path


def test_labels_and_chunks_are_nnunets(folder: Path) -> None:
    (heads, *shape), _, _ = ROW["logits"]
    np.save(folder / "logits" / f"{ROW['case']}.npy", blobs(heads, shape))
    np.save(folder / "logits" / "other.npy", blobs(heads, [4, 4, 4]))
    words = ("nnunet", "next-stage", folder / "logits", "-d", 708, "--threads", 2)
    done = call(*words, "--json", check=1)
    told = json.loads(done.stdout)
    assert "other.b2nd is not there" in told["failed"]["other"]
    (file,) = told["written"]
    base = folder / "results" / ROW["dataset"] / "nnUNetTrainer__nnUNetPlans__3d_lowres"
    assert Path(file) == base / "predicted_next_stage" / "3d_cascade_fullres" / "big_0.b2nd"
    array = blosc2.open(file)
    assert [str(array.dtype), digest(array[:])] == [WANTED["dtype"], WANTED["sha256"]]
    assert [list(array.chunks), list(array.blocks)] == [WANTED["chunks"], WANTED["blocks"]]


def test_a_configuration_without_a_next_stage_is_refused(folder: Path) -> None:
    words = ("nnunet", "next-stage", folder / "logits", "-d", 708)
    assert "3d_fullres has no next stage" in call(*words, "-c", "3d_fullres", check=2).stderr
