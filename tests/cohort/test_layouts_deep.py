"""Data sets with a dataset.json that lie far below the folder that was given, as archives unpack."""

from pathlib import Path

import pytest
from support.trees import names, plant, unmatched

from gpuprep.cohort.discover import discover
from gpuprep.values.errors import UsageError

KITS = ("dataset/case_00000/imaging.nii.gz", "dataset/case_00000/segmentation.nii.gz")
AUTOPET_3 = tuple(
    f"{folder}Tr/psma_0a_2018-01-01{channel}.nii.gz"
    for folder, channel in (("images", "_0000"), ("images", "_0001"), ("labels", ""))
)
DESCRIBED = (
    '{"channel_names": {"0": "CT", "1": "PET"}, "labels": {"tumor": 1}, "file_ending": ".nii.gz"}'
)


@pytest.mark.parametrize("above", ["", "autopet", "autopet/nnunet_train", "a/b/c"])
@pytest.mark.parametrize("layout", ["auto", "nnunet"])
def test_a_described_data_set_is_known_however_deep_it_lies(
    tmp_path: Path, above: str, layout: str
) -> None:
    plant(tmp_path / above, *AUTOPET_3)
    (tmp_path / above / "dataset.json").write_text(DESCRIBED)
    plant(tmp_path, "a note.txt")
    found = discover(tmp_path, layout=layout)
    assert found.layout == "nnunet"
    assert names(found) == [["CT", "PET"]]  # and not the label with the first of two cases
    assert [len(case.labels) for case in found.cases] == [1]
    assert list(unmatched(found, tmp_path)) == ["a note.txt"]


def test_several_described_far_below_are_not_chosen_from(tmp_path: Path) -> None:
    for number in (1, 2):
        plant(tmp_path / f"x/Dataset00{number}", *AUTOPET_3)
        (tmp_path / f"x/Dataset00{number}/dataset.json").write_text(DESCRIBED)
    with pytest.raises(
        UsageError, match=r"holds 2 datasets .x/Dataset001/dataset\.json, .*give one"
    ):
        discover(tmp_path)


def test_a_model_far_below_is_no_data_set(tmp_path: Path) -> None:
    plant(tmp_path, *KITS, "out/nnUNet_results/Dataset220/plans.json")
    plant(tmp_path, *(f"a/{file}" for file in ("x.nii.gz", "x_seg.nii.gz")))
    (tmp_path / "out/nnUNet_results/Dataset220/dataset.json").write_text(DESCRIBED)
    assert discover(tmp_path).layout == "kits"
    for file in KITS:
        (tmp_path / file).unlink()
    assert discover(tmp_path).layout == "pairs"


def channels_of(root: Path) -> dict[str, tuple[list[str], int]]:
    found = discover(root)
    assert found.layout == "pairs"
    assert found.unmatched == ()
    told = {case.id: [Path(file.path).name for file in case.images] for case in found.cases}
    return {case.id: (told[case.id], len(case.labels)) for case in found.cases}


def test_channels_below_the_root_are_of_one_case_without_a_description(tmp_path: Path) -> None:
    plant(tmp_path / "x", *AUTOPET_3, "imagesTs/b_0001.nii.gz", "imagesTs/b_0000.nii.gz")
    assert channels_of(tmp_path) == {
        "x_b": (["b_0000.nii.gz", "b_0001.nii.gz"], 0),
        "x_psma_0a_2018-01-01": (
            ["psma_0a_2018-01-01_0000.nii.gz", "psma_0a_2018-01-01_0001.nii.gz"],
            1,
        ),
    }


def test_numbers_that_are_cases_stay_cases(tmp_path: Path) -> None:
    plant(tmp_path, *(f"{one}/scan_000{k}.nii.gz" for one in ("images", "labels") for k in (0, 1)))
    plant(tmp_path, "labels/scan.nii.gz", "images/scan.nii.gz")
    assert channels_of(tmp_path) == {
        name: ([f"{name}.nii.gz"], 1) for name in ("scan", "scan_0000", "scan_0001")
    }


def test_one_channel_keeps_its_number_in_the_id(tmp_path: Path) -> None:
    plant(tmp_path / "x", "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "imagesTs/b_0000.nii.gz")
    assert channels_of(tmp_path) == {
        "x_a_0000": (["a_0000.nii.gz"], 1),
        "x_b_0000": (["b_0000.nii.gz"], 0),
    }
