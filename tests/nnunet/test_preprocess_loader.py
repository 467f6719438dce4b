"""nnU-Net's own data set and data loader open what was prepared; skipped where nnU-Net is not installed."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.nnunet_balls import NAME, SHAPE, planned, raw_dataset

from gpuprep.nnunet.folders import Preprocessed
from gpuprep.nnunet.preprocess import Means, preprocess

pytest.importorskip("blosc2")
pytest.importorskip("nnunetv2.training.dataloading.data_loader")


def test_nnunets_loader_draws_patches_around_what_is_labelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
    from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    raw = raw_dataset(tmp_path / "raw", 5)
    folder = planned(tmp_path / "prepared", raw)
    preprocess(Preprocessed(folder, raw), "nnUNetPlans", means=Means(scheduler="serial"))
    plans = PlansManager(json.loads((folder / "nnUNetPlans.json").read_text()))
    description = json.loads((folder / "dataset.json").read_text())
    for name in ("2d", "3d_fullres"):
        configuration = plans.get_configuration(name)
        cases = folder / configuration.data_identifier
        dataset = infer_dataset_class(str(cases))(str(cases))
        assert dataset.identifiers == [f"ball_{number:03d}" for number in range(5)]
        data, seg, _, properties = dataset.load_case("ball_003")
        assert data.shape[0] == 2
        assert data.shape[1:] == seg.shape[1:]
        assert set(properties["class_locations"]) == {1, 2}
        assert properties["shape_before_cropping"] == SHAPE[::-1]
        patch = configuration.patch_size
        labels = plans.get_label_manager(description)
        np.random.seed(0)
        loader = nnUNetDataLoader(
            dataset, 6, patch, patch, labels, oversample_foreground_percent=1.0
        )
        batch = next(loader)
        assert batch["data"].shape == (6, 2, *patch)
        assert all((each > 0).any() for each in batch["target"].numpy())
    assert plans.dataset_name == NAME
