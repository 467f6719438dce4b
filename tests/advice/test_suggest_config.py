"""``gpuprep suggest`` on the layouts that people have, run as it is: CT, MR, MSD, broken and mixed cases."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml
from support.cohorts import write_pairs
from support.commands import call
from support.suggested import plain, runs, suggested, write

from gpuprep.config.file import load_config


def test_a_ct_with_labels_has_window_and_zscore_of_its_labelled_voxels(tmp_path: Path) -> None:
    scans = write_pairs(tmp_path / "scans", 3)
    text, config = suggested(scans)
    voxels = []
    for number in range(3):
        image = nibabel.load(scans / f"volume-{number}.nii.gz").get_fdata()
        voxels.append(image[nibabel.load(scans / f"segmentation-{number}.nii.gz").get_fdata() > 0])
    clip, zscore = (step for step in config["image"]["intensity"])
    mean = np.mean([each.mean() for each in voxels])
    square = np.mean([(each**2).mean() for each in voxels])
    assert zscore["zscore"]["mean"] == pytest.approx(mean, rel=1e-6)
    assert zscore["zscore"]["std"] == pytest.approx(np.sqrt(square - mean**2), rel=1e-6)
    weights = np.concatenate([np.full(len(each), 1 / len(each)) for each in voxels])
    pooled = np.concatenate(voxels)
    order = np.argsort(pooled)
    reached = np.cumsum(weights[order]) / 3
    assert clip["clip"]["low"] == pooled[order][np.searchsorted(reached, 0.005)]
    assert clip["clip"]["high"] == pooled[order][np.searchsorted(reached, 0.995)]
    assert config["input"] == {"layout": "auto"}
    assert "by the layout lits" in plain(text)
    assert config["image"]["resample"]["spacing"] == [0.8, 0.8, 1.6]
    assert "labelled voxels of 3 cases" in plain(text)
    assert "several orientations: RAS 2, LPS 1" in plain(text)
    cohort = runs(scans, text, tmp_path)
    inside = np.concatenate(
        [case.image[:][case.labels["segmentation"][:] > 0] for case in cohort.values()]
    )
    assert abs(inside.mean()) < 0.2
    assert 0.7 < inside.std() < 1.1


def test_an_mr_is_normalised_image_by_image_within_what_is_not_zero(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    for number in range(3):
        for channel in range(2):
            image = np.zeros((30, 32, 20), np.int16)
            image[8:24, 6:26, 4:16] = random.integers(100, 900, (16, 20, 12))
            write(tmp_path / f"scans/imagesTr/a{number}_000{channel}.nii.gz", image, (1, 1, 2))
        write(
            tmp_path / f"scans/labelsTr/a{number}.nii.gz", (image > 700).astype(np.uint8), (1, 1, 2)
        )
    dataset = {
        "channel_names": {"0": "T1", "1": "FLAIR"},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": 3,
        "file_ending": ".nii.gz",
    }
    (tmp_path / "scans/dataset.json").write_text(json.dumps(dataset))
    text, config = suggested(tmp_path / "scans")
    image = config["image"]
    assert image["intensity"] == [{"zscore": {"over": "foreground"}}]
    assert image["crop"] == {"to": "nonzero"}
    assert image["foreground"] == {
        "where": "nonzero_or_label",
        "fill_holes": True,
        "outside": "zero",
    }
    assert "by the layout nnunet" in plain(text)
    (case, *_) = runs(tmp_path / "scans", text, tmp_path).values()
    assert case.image.shape == (2, 12, 20, 16)
    assert case.image[0].std() == pytest.approx(1, abs=0.01)


def test_msd_names_are_kept_by_their_input_and_headers_alone_leave_the_numbers_to_the_run(
    tmp_path: Path,
) -> None:
    random = np.random.default_rng(5)
    for number in range(2):
        image = random.normal(-300, 200, (24, 24, 10)).astype(np.int16)
        write(tmp_path / f"scans/imagesTr/liver_{number}.nii.gz", image, (0.8, 0.8, 5))
        label = np.zeros((24, 24, 10), np.uint8)
        label[4:20, 4:20, 2:8] = 1
        label[9:13, 9:13, 4:6] = 2
        write(tmp_path / f"scans/labelsTr/liver_{number}.nii.gz", label, (0.8, 0.8, 5))
    dataset = {
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "liver", "2": "tumour"},
        "numTraining": 2,
        "training": [
            {"image": f"./imagesTr/liver_{n}.nii.gz", "label": f"./labelsTr/liver_{n}.nii.gz"}
            for n in range(2)
        ],
    }
    (tmp_path / "scans/dataset.json").write_text(json.dumps(dataset))
    text, config = suggested(tmp_path / "scans", "--headers-only")
    assert "from headers alone" in plain(text)
    clip, zscore = config["image"]["intensity"]
    assert clip == {"percentile_clip": {"low": 0.5, "high": 99.5, "over": "cohort"}}
    assert zscore == {"zscore": {"over": "cohort"}}
    assert config["image"]["foreground"] == {"where": "label"}
    assert config["image"]["resample"]["separate_z"] == "auto"
    assert "by the layout msd" in plain(text)
    cohort = runs(tmp_path / "scans", text, tmp_path)
    assert cohort["liver_0"].label_names["segmentation"] == {1: "liver", 2: "tumour"}


def test_a_coarse_axis_has_nnunets_tenth_percentile_and_a_spread_is_warned_of(
    tmp_path: Path,
) -> None:
    random = np.random.default_rng(7)
    for number, thick in enumerate((1.0, 5.0, 5.0, 5.0, 6.0)):
        image = random.integers(1, 500, (64, 60, 12)).astype(np.int16)
        write(tmp_path / f"scans/c{number}.nii.gz", image, (0.7, 0.7, thick))
    done = call("suggest", tmp_path / "scans", "--json", check=0)
    told = json.loads(done.stdout)
    assert told["config"]["image"]["resample"]["spacing"] == [0.7, 0.7, 2.6]
    (warning,) = (each for each in told["warnings"] if "spacing along z" in each)
    assert "from 1 to 6 mm" in warning
    assert told["training"]["batch"] >= 2
    load_config_of(told["config"], tmp_path)


def load_config_of(fields: dict, folder: Path) -> None:
    (folder / "told.yaml").write_text(yaml.safe_dump(fields))
    load_config(folder / "told.yaml", ())


def test_a_broken_case_is_a_warning_and_the_rest_is_measured(tmp_path: Path) -> None:
    scans = write_pairs(tmp_path / "scans", 3)
    whole = (scans / "volume-1.nii.gz").read_bytes()
    (scans / "volume-1.nii.gz").write_bytes(whole[: len(whole) // 2])
    text, config = suggested(scans)
    assert "1 case would be refused (E_TRUNCATED): volume-1" in plain(text)
    assert "labelled voxels of 2 cases" in plain(text)
    assert "mean" in config["image"]["intensity"][1]["zscore"]


def test_kinds_that_are_mixed_are_named(tmp_path: Path) -> None:
    random = np.random.default_rng(9)
    for number in range(3):
        write(
            tmp_path / f"scans/ct{number}.nii.gz",
            random.normal(-500, 300, (20, 20, 10)).astype(np.int16),
        )
    write(tmp_path / "scans/odd.nii.gz", random.integers(0, 900, (20, 20, 10)).astype(np.int16))
    told = json.loads(call("suggest", tmp_path / "scans", "--json", check=0).stdout)
    assert any("CT 3, MR 1" in each and "odd" in each for each in told["warnings"])


def test_what_the_config_says_of_the_input_is_kept(tmp_path: Path) -> None:
    scans = write_pairs(tmp_path / "scans", 2)
    flags = ("--set", "input.policy.W_NAN=skip", "--set", "image.orientation=RAS")
    _, config = suggested(scans, *flags)
    assert config["input"] == {"layout": "auto", "policy": {"W_NAN": "skip"}}
    assert config["image"]["orientation"] == "RAS"


def test_an_input_without_a_readable_case_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/a.nii.gz").write_bytes(b"nothing")
    done = call("suggest", tmp_path / "scans", check=2)
    assert "none of 1 cases can be read" in done.stderr
