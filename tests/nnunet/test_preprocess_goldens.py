"""The golden data sets, prepared whole: nnU-Net's own files, shapes, labels, drawn voxels and values."""

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.nnunet_goldens import GOLDENS, PREPROCESSED, few, raw_data

from gpuprep.nnunet.folders import Preprocessed
from gpuprep.nnunet.folds import FOLDS, split_folds
from gpuprep.nnunet.preprocess import Means, preprocess

blosc2 = pytest.importorskip("blosc2")

CLOSE = 1e-6
"""Of the range of an image."""

pytestmark = pytest.mark.usefixtures("reads_here")


def digest(array: np.ndarray) -> str:
    """As the goldens have it."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:32]


@pytest.mark.parametrize("name", few(GOLDENS["datasets"]))
def test_a_golden_data_set_is_prepared_as_nnunet_does_it(name: str, tmp_path: Path) -> None:
    raw, folder = raw_data(name).parent, tmp_path / name
    folder.mkdir()
    for file in ("dataset", "dataset_fingerprint", "nnUNetPlans"):
        (folder / f"{file}.json").write_text(GOLDENS["datasets"][name][file])
    done = preprocess(Preprocessed(folder, raw), "nnUNetPlans", means=Means(scheduler="serial"))
    assert done.exit_code == 0
    made = {
        key.partition("/")[2]: cases for key, cases in PREPROCESSED.items() if key.startswith(name)
    }
    assert {path.name for path in done.folders.values()} == set(made)
    for identifier, cases in made.items():
        ends = (".b2nd", "_seg.b2nd", ".pkl")
        assert {path.name for path in (folder / identifier).iterdir()} == {
            case + end for case in cases for end in ends
        }
        for case, golden in cases.items():
            check_case(folder / identifier, case, golden)
    ids = [case.partition(".")[0] for case in cases]
    labels = {path.name.partition(".")[0] for path in (folder / "gt_segmentations").iterdir()}
    assert labels == set(ids)
    if len(ids) >= FOLDS:
        assert json.loads((folder / "splits_final.json").read_text()) == split_folds(ids)


def check_case(folder: Path, case: str, golden: dict[str, Any]) -> None:
    image = blosc2.open(str(folder / f"{case}.b2nd"))
    label = blosc2.open(str(folder / f"{case}_seg.b2nd"))
    properties = pickle.loads((folder / f"{case}.pkl").read_bytes())
    for array, prefix in ((image, ""), (label, "seg_")):
        assert str(array.dtype) == golden[f"{prefix}dtype"]
        assert list(array.chunks) == golden[f"{prefix}chunks"]
        assert list(array.blocks) == golden[f"{prefix}blocks"]
    check_values(image[:], golden)
    assert digest(label[:]) == golden["seg_sha256"], case
    assert list(properties["spacing"]) == golden["spacing"]
    assert list(properties["shape_before_cropping"]) == golden["shape_before_cropping"]
    assert [list(ends) for ends in properties["bbox_used_for_cropping"]] == golden["bbox"]
    cropped = properties["shape_after_cropping_and_before_resampling"]
    assert list(cropped) == golden["shape_cropped"]
    drawn = {
        str(key): {
            "n": len(places),
            "sha256": digest(places) if len(places) else None,
            "first": [int(place) for place in places[0]] if len(places) else None,
        }
        for key, places in properties["class_locations"].items()
    }
    assert list(drawn.items()) == list(golden["class_locations"].items())


def check_values(image: np.ndarray, golden: dict[str, Any]) -> None:
    assert list(image.shape) == golden["shape"]
    close = CLOSE * (golden["max"] - golden["min"])
    assert image.min() == pytest.approx(golden["min"], abs=close)
    assert image.max() == pytest.approx(golden["max"], abs=close)
    assert image.mean(dtype=np.float64) == pytest.approx(golden["mean"], abs=close)
    middle = tuple(slice(edge // 2 - 1, edge // 2 + 2) for edge in image.shape[1:])
    centre = np.array(golden["centre"])
    if image[0][middle].shape == centre.shape:
        assert np.abs(image[0][middle] - centre).max() <= close + 5e-7  # written with 6 digits
