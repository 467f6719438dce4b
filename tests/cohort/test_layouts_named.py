"""Layouts that file and folder names tell: LiTS, case folders, pairs, parallel folders, BIDS, DICOM."""

from pathlib import Path

import pytest
from support.trees import labels, names, plant, unmatched

from gpuprep.cohort.agreement import agree
from gpuprep.cohort.discover import discover
from gpuprep.values.errors import UsageError

SEGMENTATION = "segmentation"


def test_lits_flat_and_in_batches(tmp_path: Path) -> None:
    plant(
        tmp_path,
        *("Training Batch 1/volume-10.nii", "Training Batch 1/segmentation-10.nii"),
        *("Training Batch 2/volume-2.nii", "segmentations/segmentation-2.nii"),
        *("test-volume-2.nii", "segmentation-99.nii", "readme.txt"),
    )
    found = discover(tmp_path)
    assert found.layout == "lits"
    assert [case.id for case in found.cases] == ["test-volume-2", "volume-2", "volume-10"]
    assert labels(found, tmp_path) == {
        "test-volume-2": {},
        "volume-2": {SEGMENTATION: ["segmentations/segmentation-2.nii"]},
        "volume-10": {SEGMENTATION: ["Training Batch 1/segmentation-10.nii"]},
    }
    assert unmatched(found, tmp_path) == {
        "readme.txt": "not an image file",
        "segmentation-99.nii": "label map without an image of 99",
    }


def test_lits_labels_twice_are_not_guessed(tmp_path: Path) -> None:
    plant(tmp_path, "a/volume-1.nii", "b/segmentation-1.nii", "c/segmentation-1.nii")
    plant(tmp_path, "d/volume-2.nii", "d/segmentation-2.nii")
    found = discover(tmp_path)
    assert labels(found, tmp_path)["volume-1"] == {}
    assert "one of 2 label maps" in unmatched(found, tmp_path)["b/segmentation-1.nii"]


def test_lits_numbers_twice_are_refused(tmp_path: Path) -> None:
    plant(tmp_path, "a/volume-1.nii", "a/segmentation-1.nii", "b/volume-1.nii")
    with pytest.raises(UsageError, match=r"a/volume-1\.nii and .*b/volume-1\.nii"):
        discover(tmp_path)


def test_btcv_numbers_with_other_words(tmp_path: Path) -> None:
    plant(tmp_path, "img/img0002.nii.gz", "label/label0002.nii.gz", "img/img0001.nii.gz")
    found = discover(tmp_path)
    assert labels(found, tmp_path) == {
        "img0001": {},
        "img0002": {SEGMENTATION: ["label/label0002.nii.gz"]},
    }


def test_structures_beside_a_lone_image_of_any_name(tmp_path: Path) -> None:
    for case in ("p1", "p2"):
        plant(tmp_path / case, "scan_7.nii", "masks/left_lung.nii", "masks/heart.nii")
    found = discover(tmp_path)
    assert [case.id for case in found.cases] == ["p1", "p2"]
    assert found.cases[0].labels[0].classes.names == {1: "heart", 2: "left_lung"}


def test_a_totalsegmentator_case_alone(tmp_path: Path) -> None:
    plant(tmp_path / "s0000", "ct.nii.gz", "segmentations/liver.nii.gz")
    (case,) = discover(tmp_path / "s0000").cases
    assert case.id == "s0000"
    assert case.labels[0].classes.names == {1: "liver"}


def test_a_case_that_lacks_a_structure_is_a_case_with_its_own_names(tmp_path: Path) -> None:
    for case in ("a", "b", "c"):
        plant(
            tmp_path / case, "ct.nii.gz", "segmentations/aorta.nii.gz", "segmentations/liver.nii.gz"
        )
    (tmp_path / "b/segmentations/aorta.nii.gz").unlink()
    found = discover(tmp_path)
    assert [case.labels[0].classes.names for case in found.cases] == [
        {1: "aorta", 2: "liver"},
        {1: "liver"},
        {1: "aorta", 2: "liver"},
    ]
    assert agree(found.cases).labels[SEGMENTATION].names == {1: "aorta", 2: "liver"}


def test_one_label_map_in_a_folder_of_its_own(tmp_path: Path) -> None:
    plant(tmp_path, "p1/ct.nii", "p1/masks/ct.nii", "p2/ct.nii", "p2/masks/seg.nii")
    found = discover(tmp_path)
    assert [case.labels[0].classes.names for case in found.cases] == [{}, {}]


def test_competing_labels_beside_structures_are_not_guessed(tmp_path: Path) -> None:
    plant(
        tmp_path / "case_0",
        *("imaging.nii.gz", "first_seg.nii.gz", "second_seg.nii.gz"),
        "segmentations/kidney_annotation-1.nii.gz",
    )
    found = discover(tmp_path)
    assert labels(found, tmp_path) == {"case_0": {}}
    assert len(found.unmatched) == 3


@pytest.mark.parametrize(
    "words", [("t1", "t1ce", "t2", "flair", "seg"), ("t1n", "t1c", "t2w", "t2f", "seg")]
)
@pytest.mark.parametrize("nested", [True, False])
def test_brats(tmp_path: Path, words: tuple[str, ...], nested: bool) -> None:
    separator = "-" if "t1n" in words else "_"
    for case in ("BraTS-10", "BraTS-9"):
        folder = tmp_path / case if nested else tmp_path
        plant(folder, *(f"{case}{separator}{word}.nii.gz" for word in words))
    found = discover(tmp_path)
    assert found.layout == ("folders" if nested else "pairs")
    assert [case.id for case in found.cases] == ["BraTS-9", "BraTS-10"]
    assert names(found) == [list(words[:4])] * 2
    assert all(len(case.labels) == 1 for case in found.cases)
    assert found.unmatched == ()


def test_a_case_without_a_channel_stays_a_case(tmp_path: Path) -> None:
    for case in ("A", "B", "C"):
        plant(tmp_path / case, *(f"{case}_{word}.nii.gz" for word in ("t1", "t2", "flair", "seg")))
    (tmp_path / "B/B_flair.nii.gz").unlink()
    found = discover(tmp_path)
    assert [case.id for case in found.cases] == ["A", "B", "C"]
    assert agree(found.cases).channels == ("t1", "t2", "flair")
    assert not found.unmatched


def test_images_that_are_no_channels_become_cases(tmp_path: Path) -> None:
    plant(tmp_path, "p_ct.nii", "p_ct_seg.nii", "p_pet.nii", "p_pet_seg.nii", "p_mask.nii")
    found = discover(tmp_path)
    assert labels(found, tmp_path) == {
        "p_ct": {SEGMENTATION: ["p_ct_seg.nii"]},
        "p_pet": {SEGMENTATION: ["p_pet_seg.nii"]},
    }
    assert "could belong to p_ct, p_pet" in unmatched(found, tmp_path)["p_mask.nii"]


def test_pairs_by_suffix_in_all_their_forms(tmp_path: Path) -> None:
    plant(
        tmp_path,
        *("a_image.nrrd", "a_label.nrrd", "b.nii.gz", "b_seg.nii.gz", "c.mha", "c_mask.mha"),
        *("d.nii", "d_segmentation.nii", "e_ct.nii", "e_seg.nii", "f/f_x.nii", "f/f_x_gt.nii"),
        *("unpaired.nii", "orphan_seg.nii"),
    )
    found = discover(tmp_path)
    assert found.layout == "pairs"
    paired = {case: len(maps) for case, maps in labels(found, tmp_path).items()}
    assert paired == {"a": 1, "b": 1, "c": 1, "d": 1, "e_ct": 1, "f_x": 1, "unpaired": 0}
    assert set(unmatched(found, tmp_path)) == {"orphan_seg.nii"}


def test_two_label_maps_of_one_image_keep_their_names(tmp_path: Path) -> None:
    plant(tmp_path, "a.nii", "a_mask.nii", "a_seg.nii")
    assert labels(discover(tmp_path), tmp_path) == {
        "a": {"mask": ["a_mask.nii"], "seg": ["a_seg.nii"]}
    }


def test_labels_that_may_belong_elsewhere_are_not_guessed(tmp_path: Path) -> None:
    plant(tmp_path, "a_ct.nii", "a_ct_small.nii", "a_seg.nii", "b.nii", "b_seg.nii")
    found = discover(tmp_path)
    assert labels(found, tmp_path)["a_ct"] == {}
    assert "could belong to a_ct, a_ct_small" in unmatched(found, tmp_path)["a_seg.nii"]


def test_parallel_folders(tmp_path: Path) -> None:
    plant(
        tmp_path,
        *("imagesTr/x.nii.gz", "labelsTr/x.nii.gz", "imagesTr/y_0000.nii.gz", "labelsTr/y.nii.gz"),
        *("imagesTs/z.nii.gz", "labelsTr/nobody.nii.gz"),
        *("more/images/w.mha", "more/masks/w_mask.mha"),
    )
    found = discover(tmp_path)
    assert found.layout == "pairs"
    assert labels(found, tmp_path) == {
        "more_w": {SEGMENTATION: ["more/masks/w_mask.mha"]},
        "x": {SEGMENTATION: ["labelsTr/x.nii.gz"]},
        "y_0000": {SEGMENTATION: ["labelsTr/y.nii.gz"]},
        "z": {},
    }
    assert found.cases[-1].attributes == {"split": "test"}
    assert set(unmatched(found, tmp_path)) == {"labelsTr/nobody.nii.gz"}


def test_bids_channels_labels_and_people(tmp_path: Path) -> None:
    plant(
        tmp_path,
        *("dataset_description.json", "README", "sub-01/ses-1/anat/sub-01_ses-1_T1w.json"),
        *(f"sub-01/ses-1/anat/sub-01_ses-1_{one}.nii.gz" for one in ("FLAIR", "T2w", "T1w")),
        *(f"sub-02/ses-1/anat/sub-02_ses-1_{one}.nii.gz" for one in ("FLAIR", "T2w", "T1w")),
        "sub-01/ses-1/func/sub-01_ses-1_task-rest_bold.nii.gz",
        "derivatives/manual/sub-01/ses-1/anat/sub-01_ses-1_label-lesion_mask.nii.gz",
        "derivatives/auto/sub-01/ses-1/anat/sub-01_ses-1_dseg.nii.gz",
        "derivatives/auto/sub-01/ses-1/anat/sub-01_ses-1_space-MNI_dseg.nii.gz",
    )
    (tmp_path / "participants.tsv").write_text("participant_id\tgroup\tage\nsub-01\tpatient\tn/a\n")
    found = discover(tmp_path)
    assert found.layout == "bids"
    assert names(found) == [["T1w", "T2w", "FLAIR"]] * 2
    first, second = found.cases
    assert first.id == "sub-01_ses-1"
    assert first.attributes == {"subject": "01", "session": "1", "group": "patient"}
    assert {label.name for label in first.labels} == {"lesion", "dseg"}
    assert second.labels == ()
    assert {Path(file).name for file in unmatched(found, tmp_path)} == {
        "sub-01_ses-1_task-rest_bold.nii.gz",
        "sub-01_ses-1_space-MNI_dseg.nii.gz",
    }


def test_bids_runs_are_cases(tmp_path: Path) -> None:
    plant(tmp_path, *(f"sub-1/anat/sub-1_run-{run}_T1w.nii.gz" for run in (2, 10)))
    plant(tmp_path, "derivatives/x/sub-1/anat/sub-1_run-2_dseg.nii.gz")
    found = discover(tmp_path)
    assert [case.id for case in found.cases] == ["sub-1_run-2", "sub-1_run-10"]
    assert [len(case.labels) for case in found.cases] == [1, 0]


def test_bids_labels_of_several_runs_are_not_guessed(tmp_path: Path) -> None:
    plant(tmp_path, *(f"sub-1/anat/sub-1_run-{run}_T1w.nii.gz" for run in (1, 2)))
    plant(tmp_path, "derivatives/x/sub-1/anat/sub-1_dseg.nii.gz")
    found = discover(tmp_path)
    assert [case.labels for case in found.cases] == [(), ()]
    assert "fits sub-1_run-1, sub-1_run-2" in found.unmatched[0].reason


def test_bids_subjects_twice_are_refused(tmp_path: Path) -> None:
    plant(tmp_path, "a/sub-1/anat/sub-1_T1w.nii.gz", "b/sub-1/anat/sub-1_T1w.nii.gz")
    with pytest.raises(UsageError, match="'sub-1' for both"):
        discover(tmp_path)


def test_dicom_series_beside_volume_files_are_cases(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    for slice_file in (scans / "ge_tilt_varspacing_ct").glob("0*.dcm"):
        (tmp_path / "series" / slice_file.name).write_bytes(slice_file.read_bytes())
    plant(tmp_path, "scan.nii.gz", "series/notes.txt")
    found = discover(tmp_path)
    assert [(case.id, len(case.images[0].files)) for case in found.cases] == [
        ("scan", 0),
        ("series", 9),
    ]
    assert set(unmatched(found, tmp_path)) == {"series/notes.txt"}
    only = discover(tmp_path, layout="dicom")
    assert [case.id for case in only.cases] == ["series"]
    assert set(unmatched(only, tmp_path)) == {"scan.nii.gz", "series/notes.txt"}
