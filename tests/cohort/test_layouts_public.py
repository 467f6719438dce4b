"""Miniatures of the trees of public data sets: pairs are right, nothing is wrongly paired, the rest is told.

Where each tree is seen stands beside its row in ``gpuprep/cohort/layouts/public.py``.
"""

from pathlib import Path

import pytest
from support.trees import images, labels, names, plant, unmatched

from gpuprep.cohort.discover import discover
from gpuprep.cohort.layouts import AUTO, NAMED
from gpuprep.cohort.layouts.public import TABLE

SEGMENTATION = "segmentation"


def test_kits_23(tmp_path: Path) -> None:
    for case in ("case_00000", "case_00588"):
        plant(tmp_path / "dataset" / case, "imaging.nii.gz", "segmentation.nii.gz")
        plant(tmp_path / "dataset" / case, "instances/kidney_instance-1_annotation-1.nii.gz")
    plant(tmp_path, "dataset/kits23.json")
    found = discover(tmp_path)
    assert found.layout == "kits"
    assert [case.id for case in found.cases] == ["case_00000", "case_00588"]
    assert labels(found, tmp_path)["case_00588"] == {
        SEGMENTATION: ["dataset/case_00588/segmentation.nii.gz"]
    }
    assert found.cases[0].labels[0].classes.names == {1: "kidney", 2: "tumor", 3: "cyst"}
    assert set(unmatched(found, tmp_path).values()) == {"one annotator's mask of one instance"}


def test_kits_21_takes_the_majority_of_annotators(tmp_path: Path) -> None:
    plant(
        tmp_path / "data/case_00000",
        *("imaging.nii.gz", "aggregated_MAJ_seg.nii.gz", "aggregated_OR_seg.nii.gz"),
        *("aggregated_AND_seg.nii.gz", "segmentations/kidney_instance-1_annotation-1.nii.gz"),
        "raw/artery/00/delineation1/1615413409.json",
    )
    found = discover(tmp_path)
    assert labels(found, tmp_path) == {
        "case_00000": {SEGMENTATION: ["data/case_00000/aggregated_MAJ_seg.nii.gz"]}
    }
    told = unmatched(found, tmp_path)
    assert told["data/case_00000/aggregated_OR_seg.nii.gz"].endswith(
        "aggregated_MAJ_seg.nii.gz is taken"
    )
    assert len(told) == 4


@pytest.mark.parametrize("parted", [True, False])
def test_abdomen_atlas(tmp_path: Path, parted: bool) -> None:
    image, mask = ("image_only/", "mask_only/") if parted else ("", "")
    for case in ("BDMAP_00000001", "BDMAP_00000002"):
        plant(
            tmp_path,
            f"{image}{case}/ct.nii.gz",
            *(f"{mask}{case}/segmentations/{one}.nii.gz" for one in ("aorta", "liver")),
        )
    plant(tmp_path, f"{mask}BDMAP_00000001/combined_labels.nii.gz")
    plant(tmp_path, f"{mask}BDMAP_00005196/combined_labels.nii.gz")  # 1.1 Mini: masks without a CT
    found = discover(tmp_path)
    assert found.layout == "abdomenatlas"
    first, second = found.cases
    assert (first.id, second.id) == ("BDMAP_00000001", "BDMAP_00000002")
    assert first.labels[0].classes.names[25] == "rectum"
    assert len(first.labels[0].classes.names) == 25
    assert second.labels[0].classes.names == {1: "aorta", 2: "liver"}
    told = unmatched(found, tmp_path)
    assert told[f"{mask}BDMAP_00005196/combined_labels.nii.gz"] == (
        "label map without an image of BDMAP_00005196"
    )
    assert len(told) == 3


def test_hecktor_22(tmp_path: Path) -> None:
    plant(
        tmp_path,
        *(
            f"imagesTr/{case}__{one}.nii.gz"
            for case in ("CHUM-001", "MDA-010")
            for one in ("CT", "PT")
        ),
        *("labelsTr/CHUM-001.nii.gz", "labelsTr/CHUS-099.nii.gz"),
        *(f"imagesTs/CHB-001__{one}.nii.gz" for one in ("CT", "PT")),
        "hecktor2022_clinical_info_training.csv",
    )
    found = discover(tmp_path)
    assert found.layout == "hecktor"
    assert names(found) == [["CT", "PT"]] * 3
    assert labels(found, tmp_path) == {
        "CHB-001": {},
        "CHUM-001": {SEGMENTATION: ["labelsTr/CHUM-001.nii.gz"]},
        "MDA-010": {},
    }
    assert found.cases[0].attributes == {"split": "test", "center": "CHB"}
    assert found.cases[1].labels[0].classes.names == {1: "GTVp", 2: "GTVn"}
    assert unmatched(found, tmp_path)["labelsTr/CHUS-099.nii.gz"] == (
        "label map without an image of CHUS-099"
    )


@pytest.mark.parametrize(
    ("ct", "label"),
    [
        ("CHUM-001/CHUM-001__CT", "CHUM-001/CHUM-001"),  # 2025
        ("hecktor_nii/CHUM001_ct", "hecktor_nii/CHUM001_gtvt"),  # 2021
        ("hecktor_nii/CHUM001/CHUM001_ct", "hecktor_nii/CHUM001/CHUM001_ct_gtvt"),  # 2020
    ],
)
def test_other_years_of_hecktor(tmp_path: Path, ct: str, label: str) -> None:
    pt = ct[:-2] + ("PT" if ct.endswith("CT") else "pt")
    plant(tmp_path, f"{ct}.nii.gz", f"{pt}.nii.gz", f"{label}.nii.gz")
    found = discover(tmp_path)
    assert found.layout == "hecktor"
    assert list(images(found, tmp_path).values()) == [[f"{ct}.nii.gz", f"{pt}.nii.gz"]]
    assert list(labels(found, tmp_path).values()) == [{SEGMENTATION: [f"{label}.nii.gz"]}]
    assert found.unmatched == ()


def test_autopet(tmp_path: Path) -> None:
    study = "03-23-2003-NA-PET-CT Ganzkoerper  primaer mit KM-96698"
    for folder in (f"PETCT_0011f3deaf/{study}", "PETCT_01140d52d8/08-13-2005-NA-PET-CT-56839"):
        plant(
            tmp_path / "FDG-PET-CT-Lesions" / folder,
            *(f"{one}.nii.gz" for one in ("CT", "CTres", "PET", "SEG", "SUV")),
        )
    found = discover(tmp_path)
    assert found.layout == "autopet"
    assert names(found) == [["CT", "SUV"]] * 2
    assert found.cases[1].id == "PETCT_01140d52d8_08-13-2005-NA-PET-CT-56839"
    assert found.cases[1].attributes == {"subject": "PETCT_01140d52d8"}
    assert {Path(file).name for file in unmatched(found, tmp_path)} == {"CT.nii.gz", "PET.nii.gz"}


def test_luna_16(tmp_path: Path) -> None:
    first, second = "1.3.6.1.4.1.14519.5.2.1.6279.6001.1", "1.3.6.1.4.1.14519.5.2.1.6279.6001.2"
    plant(
        tmp_path,
        *(f"subset0/{first}.{one}" for one in ("mhd", "raw")),
        *(f"subset9/{second}.{one}" for one in ("mhd", "raw")),
        *(f"seg-lungs-LUNA16/{first}.{one}" for one in ("mhd", "zraw")),
        *(f"seg-lungs-LUNA16/{first}9.{one}" for one in ("mhd", "zraw")),
        *("annotations.csv", "candidates_V2.csv"),
    )
    found = discover(tmp_path)
    assert found.layout == "luna16"
    assert labels(found, tmp_path) == {
        first: {SEGMENTATION: [f"seg-lungs-LUNA16/{first}.mhd"]},
        second: {},
    }
    assert [case.attributes for case in found.cases] == [{"subset": "0"}, {"subset": "9"}]
    assert set(unmatched(found, tmp_path)) == {f"seg-lungs-LUNA16/{first}9.mhd"}


def test_ct_org(tmp_path: Path) -> None:
    plant(
        tmp_path / "OrganSegmentations",
        *("volume-0.nii.gz", "labels-0.nii.gz", "volume-10.nii.gz", "labels-10.nii.gz"),
        *("volume-2.nii.gz", "labels-3.nii.gz", "README.txt"),
    )
    found = discover(tmp_path)
    assert found.layout == "ct-org"
    assert labels(found, tmp_path) == {
        "volume-0": {SEGMENTATION: ["OrganSegmentations/labels-0.nii.gz"]},
        "volume-2": {},
        "volume-10": {SEGMENTATION: ["OrganSegmentations/labels-10.nii.gz"]},
    }
    assert found.cases[0].labels[0].classes.names[6] == "brain"
    assert set(unmatched(found, tmp_path)) == {
        "OrganSegmentations/README.txt",
        "OrganSegmentations/labels-3.nii.gz",
    }


@pytest.mark.parametrize("image", ["ct", "mri"])
def test_totalsegmentator(tmp_path: Path, image: str) -> None:
    for case in ("s0000", "s0011"):
        plant(
            tmp_path / case,
            f"{image}.nii.gz",
            *(f"segmentations/{one}.nii.gz" for one in ("spleen", "rib_left_10", "rib_left_9")),
        )
    (tmp_path / "meta.csv").write_text("image_id;age;split\ns0000;60;train\ns0011;;test\n")
    found = discover(tmp_path)
    assert found.layout == "totalsegmentator"
    (label,) = found.cases[0].labels
    assert label.classes.names == {1: "rib_left_9", 2: "rib_left_10", 3: "spleen"}
    assert found.cases[0].attributes == {"age": "60", "split": "train"}
    assert found.unmatched == ()


def test_a_label_that_stands_twice_is_taken_for_none(tmp_path: Path) -> None:
    plant(tmp_path, "subset0/1.2.3.4.mhd", "subset0/1.2.3.4.raw")
    plant(tmp_path, *(f"{one}/seg-lungs-LUNA16/1.2.3.4.mhd" for one in ("a", "b")))
    found = discover(tmp_path, layout="luna16")
    assert labels(found, tmp_path) == {"1.2.3.4": {}}
    assert set(unmatched(found, tmp_path).values()) == {
        "one of 2 label maps of 1.2.3.4; pair image and label in a manifest"
    }


def test_images_alone_are_a_data_set_only_by_name(tmp_path: Path) -> None:
    plant(tmp_path, "case_00300/imaging.nii.gz", "case_00301/imaging.nii.gz")
    assert discover(tmp_path).layout == "plain"
    found = discover(tmp_path, layout="kits")
    assert [case.id for case in found.cases] == ["case_00300", "case_00301"]


def test_every_row_can_be_named_and_is_found() -> None:
    for row in TABLE:
        assert row.name in AUTO
        assert row.name in NAMED
