"""Miniatures of the trees of public MR and stroke data sets, as ``test_layouts_public.py`` has CT and PET."""

from pathlib import Path

from support.trees import images, labels, names, plant, unmatched

from gpuprep.cohort.discover import discover

SEGMENTATION = "segmentation"


def test_isles_22(tmp_path: Path) -> None:
    for case in ("sub-strokecase0001", "sub-strokecase0002"):
        start = f"{case}/ses-0001"
        plant(
            tmp_path,
            *(f"{start}/dwi/{case}_ses-0001_{one}.nii.gz" for one in ("dwi", "adc")),
            *(
                f"{start}/dwi/{case}_ses-0001_dwi.json",
                f"{start}/anat/{case}_ses-0001_FLAIR.nii.gz",
            ),
            f"derivatives/{start}/{case}_ses-0001_msk.nii.gz",
        )
    plant(tmp_path, "participants.tsv", "dataset_description.json")
    (
        tmp_path / "derivatives/sub-strokecase0002/ses-0001/sub-strokecase0002_ses-0001_msk.nii.gz"
    ).rename(
        tmp_path / "derivatives/sub-strokecase0002/ses-0001/sub-strokecase0003_ses-0001_msk.nii.gz"
    )
    plant(
        tmp_path, "derivatives/sub-strokecase0009/ses-0001/sub-strokecase0009_ses-0001_msk.nii.gz"
    )
    found = discover(tmp_path)
    assert found.layout == "isles22"
    assert names(found) == [["DWI", "ADC", "FLAIR"]] * 2
    assert labels(found, tmp_path) == {
        "sub-strokecase0001": {
            SEGMENTATION: [
                "derivatives/sub-strokecase0001/ses-0001/sub-strokecase0001_ses-0001_msk.nii.gz"
            ]
        },
        "sub-strokecase0002": {},
    }
    assert found.cases[0].labels[0].classes.names == {1: "lesion"}
    told = unmatched(found, tmp_path)
    assert sorted(Path(file).name for file in told) == [
        "sub-strokecase0003_ses-0001_msk.nii.gz",
        "sub-strokecase0009_ses-0001_msk.nii.gz",
    ]


def test_isles_24(tmp_path: Path) -> None:
    raw, derived = "raw_data/sub-stroke0001/ses-01", "derivatives/sub-stroke0001"
    start = f"{derived}/ses-01/sub-stroke0001_ses-01_space-ncct_"
    maps = f"{derived}/ses-01/perfusion-maps/sub-stroke0001_ses-01_space-ncct_"
    plant(
        tmp_path,
        *(f"{raw}/sub-stroke0001_ses-01_{one}.nii.gz" for one in ("ncct", "cta", "ctp")),
        *(f"{start}{one}.nii.gz" for one in ("cta", "ctp", "lvo-msk", "cow-msk")),
        *(f"{maps}{one}.nii.gz" for one in ("tmax", "mtt", "cbf", "cbv")),
        *(
            f"{derived}/ses-02/sub-stroke0001_ses-02_space-ncct_{one}.nii.gz"
            for one in ("lesion-msk", "dwi", "adc")
        ),
        "phenotype/sub-stroke0001/ses-01/sub-stroke0001_ses-01_demographic_baseline.csv",
    )
    found = discover(tmp_path)
    assert found.layout == "isles24"
    assert names(found) == [["NCCT", "CTA", "Tmax", "MTT", "CBF", "CBV"]]
    assert images(found, tmp_path)["sub-stroke0001"][:2] == [
        f"{raw}/sub-stroke0001_ses-01_ncct.nii.gz",
        f"{start}cta.nii.gz",
    ]
    assert set(labels(found, tmp_path)["sub-stroke0001"]) == {SEGMENTATION, "occlusion", "vessels"}
    assert sorted(Path(file).name for file in unmatched(found, tmp_path)) == [
        "sub-stroke0001_ses-01_cta.nii.gz",
        "sub-stroke0001_ses-01_ctp.nii.gz",
        "sub-stroke0001_ses-01_space-ncct_ctp.nii.gz",
        "sub-stroke0001_ses-02_space-ncct_adc.nii.gz",
        "sub-stroke0001_ses-02_space-ncct_dwi.nii.gz",
    ]


def test_picai(tmp_path: Path) -> None:
    lesions, anatomy = (
        "picai_labels/csPCa_lesion_delineations",
        "picai_labels/anatomical_delineations",
    )
    for patient, study in (("10000", "1000000"), ("10001", "1000001")):
        plant(
            tmp_path,
            *(
                f"images/{patient}/{patient}_{study}_{one}.mha"
                for one in ("t2w", "adc", "hbv", "sag")
            ),
            f"{lesions}/AI/Bosma22a/{patient}_{study}.nii.gz",
            f"{anatomy}/whole_gland/AI/Bosma22b/{patient}_{study}.nii.gz",
        )
    plant(
        tmp_path,
        f"{lesions}/human_expert/resampled/10000_1000000.nii.gz",
        f"{lesions}/human_expert/original/10000_1000000.nii.gz",
        f"{lesions}/human_expert/Pooch25/10001_1000001.nii.gz",
        *("picai_labels/clinical_information/marksheet.csv", "picai_labels/README.md"),
    )
    found = discover(tmp_path)
    assert found.layout == "picai"
    assert names(found) == [["T2W", "ADC", "HBV"]] * 2
    paired = labels(found, tmp_path)
    assert paired["10000_1000000"][SEGMENTATION] == [
        f"{lesions}/human_expert/resampled/10000_1000000.nii.gz"
    ]
    assert paired["10001_1000001"][SEGMENTATION] == [
        f"{lesions}/human_expert/Pooch25/10001_1000001.nii.gz"
    ]
    assert found.cases[0].labels[0].classes.names[2] == "ISUP 2"
    told = unmatched(found, tmp_path)
    assert len(told) == 6  # two sagittal images, two masks of a model, one original, the README


def test_brats_2024(tmp_path: Path) -> None:
    for case in ("BraTS-GLI-00000-000", "BraTS-GLI-00000-001", "BraTS-PED-00002-000"):
        plant(
            tmp_path / "training_data1" / case,
            *(f"{case}-{one}.nii.gz" for one in ("t1c", "t1n", "t2f", "t2w", "seg")),
        )
    plant(
        tmp_path / "BraTS-MEN-RT-0000-1",
        *(f"BraTS-MEN-RT-0000-1_{one}.nii.gz" for one in ("t1c", "gtv")),
    )
    found = discover(tmp_path)
    assert found.layout == "brats"
    assert names(found) == [["T1", "T1c", "T2", "FLAIR"]] * 2 + [["T1c"]] + [
        ["T1", "T1c", "T2", "FLAIR"]
    ]
    classes = {case.id: case.labels[0].classes.names for case in found.cases}
    assert classes["BraTS-GLI-00000-001"] == {1: "NETC", 2: "SNFH", 3: "ET", 4: "RC"}
    assert classes["BraTS-PED-00002-000"][1] == "ET"
    assert classes["BraTS-MEN-RT-0000-1"] == {1: "GTV"}
    assert found.unmatched == ()


def test_amos_without_its_list(tmp_path: Path) -> None:
    plant(
        tmp_path,
        *("imagesTr/amos_0001.nii.gz", "labelsTr/amos_0001.nii.gz", "imagesTr/amos_0507.nii.gz"),
        *("labelsTr/amos_0507.nii.gz", "imagesVa/amos_0008.nii.gz", "labelsVa/amos_0008.nii.gz"),
        *("imagesTs/amos_0101.nii.gz", "labeled_data_meta_0000_0599.csv"),
    )
    found = discover(tmp_path)
    assert found.layout == "amos"
    assert [sorted(case.attributes.items()) for case in found.cases] == [
        [("modality", "CT"), ("split", "train")],
        [("modality", "CT"), ("split", "validation")],
        [("modality", "CT"), ("split", "test")],
        [("modality", "MR"), ("split", "train")],
    ]
    assert [len(case.labels) for case in found.cases] == [1, 1, 0, 1]
    assert found.cases[0].labels[0].classes.names[15] == "prostate/uterus"
    assert found.unmatched == ()
