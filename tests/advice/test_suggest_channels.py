"""``gpuprep suggest`` where channels differ, and where there are no label maps, or nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.cohorts import write_pairs
from support.dicom_series import write_series
from support.suggested import plain, runs, suggested, write


def test_a_ct_without_labels_keeps_its_lungs(tmp_path: Path) -> None:
    random = np.random.default_rng(11)
    image = np.full((40, 40, 20), -1000)
    image[8:32, 8:32] = 40
    image[12:28, 12:28, 4:16] = -850  # air that the body encloses
    image += random.integers(-20, 20, image.shape)
    write(tmp_path / "scans/a.nii.gz", image.astype(np.int16))
    text, config = suggested(tmp_path / "scans")
    assert config["image"]["intensity"][0]["clip"]["low"] < -860
    assert "voxels in the box of the body" in plain(text)
    flags = ("--headers-only", "--set", "input.channels=[CT]")
    text, config = suggested(tmp_path / "scans", *flags)
    assert config["image"]["intensity"][0]["clip"] == {"low": -1000, "high": 1000}
    (case,) = runs(tmp_path / "scans", text, tmp_path).values()
    assert case.channel_names == ("CT",)


def test_label_maps_alone_have_no_steps(tmp_path: Path) -> None:
    scans = write_pairs(tmp_path / "scans", 2)
    for file in scans.glob("volume-*"):
        file.unlink()
    text, config = suggested(scans, "--set", "label.only=true", "--set", "input.layout=plain")
    assert "intensity" not in config["image"]
    assert config["label"]["only"] is True
    runs(scans, text, tmp_path)


def test_each_channel_has_its_own_steps(tmp_path: Path) -> None:
    """A CT beside an MR of a masked head: the MR alone is 0 outside the mask."""
    random = np.random.default_rng(13)
    for number in range(2):
        inside = np.zeros((28, 30, 16), bool)
        inside[6:22, 8:24, 3:13] = True
        inside[12:14, 12:14, 6:8] = False  # a hole
        ct = np.where(inside, random.normal(60, 40, inside.shape), 0)
        mr = np.where(inside, random.integers(200, 800, inside.shape), 0)
        for channel, image in enumerate((ct, mr)):
            write(
                tmp_path / f"scans/imagesTr/a{number}_000{channel}.nii.gz", image.astype(np.int16)
            )
        write(tmp_path / f"scans/labelsTr/a{number}.nii.gz", ((mr > 700) * 1).astype(np.uint8))
    dataset = {
        "channel_names": {"0": "CT", "1": "T1"},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    (tmp_path / "scans/dataset.json").write_text(json.dumps(dataset))
    text, config = suggested(tmp_path / "scans")
    channels = config["image"]["channels"]
    assert "intensity" not in config["image"]
    assert list(channels["CT"]) == ["intensity"]
    assert [list(step) for step in channels["CT"]["intensity"]] == [["clip"], ["zscore"]]
    assert channels["T1"] == {"intensity": [{"zscore": {"over": "foreground"}}], "outside": "zero"}
    assert config["image"]["foreground"] == {"where": "nonzero_or_label", "fill_holes": True}
    assert "CT" in plain(text)
    (case, *_) = runs(tmp_path / "scans", text, tmp_path).values()
    ct, mr = case.image[:]
    assert mr.std() == pytest.approx(1, abs=0.05)
    assert ct.min() < 0
    text, config = suggested(tmp_path / "scans", "--headers-only")
    assert config["image"]["channels"]["T1"]["intensity"] == [{"zscore": {"over": "image"}}]
    assert config["image"]["foreground"] == {"where": "label"}


def test_the_modality_of_dicom_tells_and_odd_names_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    for number in range(2):
        heights = [2.0 * step for step in range(6)]
        series = {"SeriesInstanceUID": f"1.2.{number}", "StudyInstanceUID": f"1.3.{number}"}
        write_series(tmp_path / f"scans/{number}", heights, **series)
    flags = ("--headers-only", "--set", 'input.channels=["yes: a #1"]')
    text, config = suggested(tmp_path / "scans", *flags)
    assert config["input"]["channels"] == ["yes: a #1"]
    assert config["image"]["intensity"][0] == {"clip": {"low": -1000, "high": 1000}}
    assert "by the layout dicom" in plain(text)
