"""New images are found by nnU-Net's names, and become a manifest."""

import json
from pathlib import Path

import pytest

from gpuprep.nnunet.dataset import Dataset, parse_dataset
from gpuprep.nnunet.new_cases import find_new_cases
from gpuprep.values.errors import UsageError


@pytest.fixture
def dataset() -> Dataset:
    channels = {"0": "T1", "1": "T2"}
    fields = {"channel_names": channels, "labels": {"background": 0, "a": 1}, "numTraining": 3}
    return parse_dataset({**fields, "file_ending": ".nii.gz"}, "Dataset001_A")


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_a_case_is_all_of_its_channels_and_nothing_is_left_unsaid(
    tmp_path: Path, dataset: Dataset
) -> None:
    names = ("b_10_0000.nii.gz", "b_2_0000.nii.gz", "b_2_0001.nii.gz", "b_2_0002.nii.gz")
    others = ("._b_2_0000.nii.gz", "b_2.nii.gz", "b_3_0000.mha", "read.me")
    folder = touch(tmp_path / "in", *names, *others)
    found = find_new_cases([folder], dataset, tmp_path / "segs")
    assert [row["case_id"] for row in found.rows] == ["b_2", "b_10"]
    assert found.rows[1] == {
        "case_id": "b_10",
        "image": str(folder / "b_10_0000.nii.gz"),
        "image_1": str(folder / "b_10_0001.nii.gz"),  # missing: the case fails, and it alone
        "label": str(tmp_path / "segs" / "b_10.nii.gz"),
    }
    left = ["._b_2_0000.nii.gz", "b_2.nii.gz", "b_2_0002.nii.gz", "b_3_0000.mha", "read.me"]
    assert [path.name for path in found.left] == left
    found.save(tmp_path / "cases.jsonl")
    lines = (tmp_path / "cases.jsonl").read_text().splitlines()
    assert tuple(map(json.loads, lines)) == found.rows


def test_ids_are_those_that_training_has(tmp_path: Path, dataset: Dataset) -> None:
    folder = touch(tmp_path / "in", "pat 1_0000.nii.gz")
    (row,) = find_new_cases([folder], dataset, tmp_path / "segs").rows
    assert row["case_id"] == "pat_1"
    assert row["image"] == str(folder / "pat 1_0000.nii.gz")
    assert row["label"] == str(tmp_path / "segs" / "pat 1.nii.gz")


def test_one_file_stands_for_its_case(tmp_path: Path, dataset: Dataset) -> None:
    folder = touch(tmp_path / "in", "a_0000.nii.gz", "a_0001.nii.gz", "b_0000.nii.gz")
    (row,) = find_new_cases([folder / "a_0001.nii.gz"], dataset).rows
    assert row["image_1"] == str(folder / "a_0001.nii.gz")
    assert "label" not in row


def test_no_case_and_two_of_one_name_are_refused(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(UsageError, match=r"no image is named CASE_0000\.nii\.gz"):
        find_new_cases([touch(tmp_path / "none", "a.nii.gz")], dataset)
    folders = [touch(tmp_path / name, "a_0000.nii.gz") for name in ("in", "more")]
    with pytest.raises(UsageError, match=r"case a lies in .*in and in .*more"):
        find_new_cases(folders, dataset)
