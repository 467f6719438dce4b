"""Trees of public data sets as they come: nested, doubled, in part; nothing is wrongly paired."""

import re
from pathlib import Path

import pytest
from support.trees import labels, names, plant, unmatched, used

import gpuprep
from gpuprep.cohort.discover import discover
from gpuprep.cohort.layouts.public import TABLE
from gpuprep.values.errors import UsageError

SEGMENTATION = "segmentation"
LITTER = (".DS_Store", "Thumbs.db", "__MACOSX/._x.nii.gz")
TREES: dict[str, tuple[str, ...]] = {
    "kits": ("dataset/case_00000/imaging.nii.gz", "dataset/case_00000/segmentation.nii.gz"),
    "abdomenatlas": ("BDMAP_00000001/ct.nii.gz", "BDMAP_00000001/segmentations/liver.nii.gz"),
    "hecktor": (
        *("imagesTr/CHUM-001__CT.nii.gz", "imagesTr/CHUM-001__PT.nii.gz"),
        "labelsTr/CHUM-001.nii.gz",
    ),
    "autopet": tuple(f"PETCT_0a/01-01-2000-NA PET-CT/{n}.nii.gz" for n in ("CTres", "SUV", "SEG")),
    "luna16": (
        *("subset0/1.2.3.4.mhd", "subset0/1.2.3.4.raw"),
        *("seg-lungs-LUNA16/1.2.3.4.mhd", "seg-lungs-LUNA16/1.2.3.4.zraw"),
    ),
    "picai": (
        *(f"images/10000/10000_1000000_{one}.mha" for one in ("t2w", "adc", "hbv")),
        "picai_labels/csPCa_lesion_delineations/human_expert/resampled/10000_1000000.nii.gz",
    ),
    "ct-org": ("OrganSegmentations/volume-0.nii.gz", "OrganSegmentations/labels-0.nii.gz"),
    "totalsegmentator": ("s0000/ct.nii.gz", "s0000/segmentations/liver.nii.gz"),
    "brats": tuple(
        f"BraTS-MET-00001-000/BraTS-MET-00001-000-{one}.nii.gz"
        for one in ("t1n", "t1c", "t2w", "t2f", "seg")
    ),
    "amos": ("imagesTr/amos_0001.nii.gz", "labelsTr/amos_0001.nii.gz"),
    "isles22": (
        "sub-strokecase0001/ses-0001/dwi/sub-strokecase0001_ses-0001_dwi.nii.gz",
        "sub-strokecase0001/ses-0001/dwi/sub-strokecase0001_ses-0001_adc.nii.gz",
        "derivatives/sub-strokecase0001/ses-0001/sub-strokecase0001_ses-0001_msk.nii.gz",
    ),
    "isles24": (
        "raw_data/sub-stroke0001/ses-01/sub-stroke0001_ses-01_ncct.nii.gz",
        "derivatives/sub-stroke0001/ses-02/sub-stroke0001_ses-02_space-ncct_lesion-msk.nii.gz",
    ),
    "lits": ("Training Batch 1/volume-0.nii", "Training Batch 1/segmentation-0.nii"),
}

# What of a path says whose it is; PI-CAI's numbers are of one exam wherever they lie.
CASES = {
    **{"kits": "00000", "abdomenatlas": "00000001", "hecktor": "CHUM-001", "autopet": "0a"},
    **{"luna16": "1.2.3.4", "ct-org": "-0.", "totalsegmentator": "s0000", "brats": "00001"},
    **{"amos": "0001", "isles22": "case0001", "isles24": "stroke0001", "lits": "-0."},
}


def another(layout: str, number: int) -> list[str]:
    """The tree's files, of another case."""
    token = CASES[layout]
    other = re.sub(r"[0-9a](?=[^0-9a]*$)", str(number), token)
    return [file.replace(token, other) for file in TREES[layout]]


@pytest.mark.parametrize("above", ["", "as it unpacks", "as it unpacks/as it unpacks/v 1.0"])
@pytest.mark.parametrize("layout", TREES)
def test_a_tree_is_known_however_deep_it_lies(tmp_path: Path, layout: str, above: str) -> None:
    plant(tmp_path / above, *TREES[layout], *LITTER)
    found = discover(tmp_path)
    assert found.layout == layout
    (case,) = found.cases
    assert len(case.labels) == 1
    assert found.unmatched == ()


@pytest.mark.parametrize("layout", TREES)
def test_a_tree_in_capitals_is_the_same(tmp_path: Path, layout: str) -> None:
    plant(tmp_path, *(file.upper() for file in TREES[layout]))
    found = discover(tmp_path)
    assert found.layout == layout
    assert [len(case.labels) for case in found.cases] == [1]


@pytest.mark.parametrize("layout", TREES)
def test_two_copies_of_a_tree_are_refused_and_never_mixed(tmp_path: Path, layout: str) -> None:
    plant(tmp_path / "first", *TREES[layout])
    plant(tmp_path / "second", *TREES[layout])
    with pytest.raises(UsageError, match="two inputs would get one case id"):
        discover(tmp_path)


@pytest.mark.parametrize("layout", CASES)
def test_a_label_beside_images_of_its_own_is_theirs(tmp_path: Path, layout: str) -> None:
    """One tree lacks a label and the other that label's image; each holds a whole pair besides."""
    label = next(file for file in TREES[layout] if _is_label(file))
    plant(tmp_path / "a", *(file for file in TREES[layout] if file != label), *another(layout, 2))
    plant(tmp_path / "b", label, *another(layout, 3))
    found = discover(tmp_path)
    assert len(found.cases) == 3
    assert sorted(len(case.labels) for case in found.cases) == [0, 1, 1]
    for case in found.cases:
        assert len({Path(file).relative_to(tmp_path).parts[0] for file in case.files}) == 1
    (told,) = (entry for entry in found.unmatched if not entry.path.endswith("zraw"))
    assert told.path == str(tmp_path / "b" / label)
    assert told.reason.endswith(
        "in another folder than its image; pair image and label in a manifest"
    )


@pytest.mark.parametrize("layout", CASES)
def test_labels_in_a_tree_of_their_own_are_paired(tmp_path: Path, layout: str) -> None:
    for files in (TREES[layout], another(layout, 2)):
        for file in files:
            plant(tmp_path / ("of labels" if _is_label(file) else "of images"), file)
    found = discover(tmp_path)
    assert [len(case.labels) for case in found.cases] == [1, 1]
    assert found.unmatched == ()


def test_hecktor_25_has_its_patients_once_per_task(tmp_path: Path) -> None:
    for task in ("Task 1", "Task 2"):
        plant(
            tmp_path / "hecktor2025_training" / task,
            *(f"CHUM-001/CHUM-001__{one}.nii.gz" for one in ("CT", "PT")),
        )
    plant(tmp_path / "hecktor2025_training/Task 1", "CHUM-001/CHUM-001.nii.gz")
    plant(
        tmp_path / "hecktor2025_training/Task 2",
        *("CHUM-001/CHUM-001__CTPlanning.nii.gz", "CHUM-001/CHUM-001__RTDOSE.nii.gz"),
        "HECKTOR_2025_Training_Task_2.csv",
    )
    found = discover(tmp_path)
    assert {case.id: len(case.labels) for case in found.cases} == {
        "Task_1_CHUM-001": 1,
        "Task_2_CHUM-001": 0,
    }
    assert names(found) == [["CT", "PT"]] * 2
    assert set(unmatched(found, tmp_path).values()) == {"of the radiotherapy, on a grid of its own"}
    alone = discover(tmp_path / "hecktor2025_training/Task 1")
    assert [case.id for case in alone.cases] == ["Task_1_CHUM-001"]


def test_hecktor_labels_as_its_page_writes_them(tmp_path: Path) -> None:
    plant(
        tmp_path,
        *("imagesTr/CHUM-001__CT.nii.gz", "imagesTr/CHUM-001__PT.nii.gz"),
        "labelsTr/CHUM_001.nii.gz",
    )
    found = discover(tmp_path)
    assert labels(found, tmp_path) == {"CHUM-001": {SEGMENTATION: ["labelsTr/CHUM_001.nii.gz"]}}


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (
            "ASNR-MICCAI-BraTS2023-PED-Challenge-TrainingData",
            {1: "NC", 2: "ED", 3: "ET"},
        ),
        ("BraTS-PEDs2024_Training", {1: "ET", 2: "NET", 3: "CC", 4: "ED"}),
        ("BraTS26_PED_training", {1: "ET", 2: "NET", 3: "CC", 4: "ED"}),
        ("BraTS-PEDs-v1/Training", {1: "ET", 2: "NET", 3: "CC", 4: "ED"}),
        ("children", {}),
    ],
)
def test_brats_numbers_children_by_the_year_of_the_folder(
    tmp_path: Path, folder: str, expected: dict[int, str]
) -> None:
    case = "BraTS-PED-00001-000"
    plant(tmp_path / folder / case, *(f"{case}-{one}.nii.gz" for one in ("t1n", "t1c", "seg")))
    for root in (tmp_path, tmp_path / folder):
        if root.name != "Training":  # whose own name tells nothing
            (found,) = discover(root).cases
            assert found.labels[0].classes.names == expected


def test_brats_without_time_points(tmp_path: Path) -> None:
    plant(tmp_path, *(f"BraTS-GoAT-00000/BraTS-GoAT-00000-{one}.nii.gz" for one in ("t1c", "seg")))
    (case,) = discover(tmp_path).cases
    assert (case.id, case.attributes) == ("BraTS-GoAT-00000", {"task": "GoAT"})
    assert case.labels[0].classes.names == {1: "NETC", 2: "SNFH", 3: "ET"}


def test_volumes_and_labels_elsewhere_are_not_called_organs(tmp_path: Path) -> None:
    plant(tmp_path / "mine", "volume-1.nii.gz", "labels-1.nii.gz")
    (case,) = discover(tmp_path).cases
    assert case.labels[0].classes.names == {}


def test_the_folder_of_one_case_is_its_data_set(tmp_path: Path) -> None:
    for layout in ("kits", "totalsegmentator", "abdomenatlas", "brats"):
        plant(tmp_path / layout, *TREES[layout])
        folder = tmp_path / layout / Path(TREES[layout][0]).parent
        found = discover(folder)
        assert (found.layout, len(found.cases)) == (layout, 1)
        assert found.cases[0].id == folder.name
        assert len(found.cases[0].labels) == 1


def test_a_table_is_found_above_its_cases(tmp_path: Path) -> None:
    for version, age in (("v1", 50), ("v2", 60)):
        case = f"s000{version[1]}"
        plant(tmp_path / version, f"{case}/ct.nii.gz", f"{case}/segmentations/liver.nii.gz")
        text = f"image_id;age;split\n{case};{age};train\ns0009;1;test\n"
        (tmp_path / version / "meta.csv").write_text(text)
    found = discover(tmp_path)
    assert [case.attributes["age"] for case in found.cases] == ["50", "60"]
    assert found.unmatched == ()


def test_structures_in_two_folders_are_told(tmp_path: Path) -> None:
    plant(tmp_path / "images", "s0000/ct.nii.gz", "s0001/ct.nii.gz", "s0002/ct.nii.gz")
    for folder in ("masks a", "masks b"):
        plant(tmp_path / folder, "s0000/segmentations/liver.nii.gz")
    plant(tmp_path / "masks a", "s0001/segmentations/liver.nii.gz")
    found = discover(tmp_path)
    assert {case.id: len(case.labels) for case in found.cases} == {
        "s0000": 0,
        "s0001": 1,
        "s0002": 0,
    }
    assert set(unmatched(found, tmp_path).values()) == {
        "structure of s0000 in several folders; pair image and label in a manifest"
    }


def test_a_structure_that_stands_twice_is_told_with_the_others(tmp_path: Path) -> None:
    plant(tmp_path, "s0000/ct.nii.gz", "s0001/ct.nii.gz", "s0001/segmentations/liver.nii.gz")
    plant(tmp_path / "s0000/segmentations", "liver.nii", "liver.nii.gz", "spleen.nii.gz")
    found = discover(tmp_path)
    assert [len(case.labels) for case in found.cases] == [0, 1]
    told = unmatched(found, tmp_path)
    assert len(told) == 3
    assert set(told.values()) == {
        "structure of s0000 beside files of one structure twice; pair image and label in a manifest"
    }


def test_one_of_two_data_sets_is_taken_and_the_other_told(tmp_path: Path) -> None:
    plant(tmp_path / "kits", *TREES["kits"])
    plant(tmp_path / "amos", *TREES["amos"])
    found = discover(tmp_path)
    assert found.layout == "kits"
    told = unmatched(found, tmp_path)
    assert set(told) == {f"amos/{file}" for file in TREES["amos"]}
    assert told[f"amos/{TREES['amos'][0]}"].endswith(
        "give its folder by itself, or list it in a manifest"
    )
    assert found.cases[0].labels


def test_links_inside_are_read_and_links_outside_told(tmp_path: Path) -> None:
    root = plant(tmp_path / "in", "case_00000/imaging.nii.gz", "case_00001/imaging.nii.gz")
    plant(tmp_path, "in/masks/a.nii.gz", "elsewhere/b.nii.gz")
    (root / "case_00000/segmentation.nii.gz").symlink_to(root / "masks/a.nii.gz")
    (root / "case_00001/segmentation.nii.gz").symlink_to(tmp_path / "elsewhere/b.nii.gz")
    found = discover(root)
    assert {case.id: len(case.labels) for case in found.cases} == {"case_00000": 1, "case_00001": 0}
    told = unmatched(found, root)
    assert "input.follow_symlinks: true" in told["case_00001/segmentation.nii.gz"]
    assert set(told) == {"case_00001/segmentation.nii.gz", "masks/a.nii.gz"}


@pytest.mark.parametrize("layout", TREES)
def test_images_alone_are_cases_by_the_layouts_name(tmp_path: Path, layout: str) -> None:
    only = [file for file in TREES[layout] if not _is_label(file)]
    plant(tmp_path, *only)
    found = discover(tmp_path, layout=layout)
    (case,) = found.cases
    assert case.labels == ()
    assert set(used(found)) <= {str(tmp_path / file) for file in only}
    assert case.images


def _is_label(file: str) -> bool:
    return any(word in file for word in ("seg", "SEG", "label", "msk", "picai_labels"))


def test_the_guide_says_of_every_row_where_it_was_seen() -> None:
    text = (Path(gpuprep.__file__).parent / "guide/layouts.md").read_text("utf-8")
    table = text[text.index("## Where the public trees were seen") :]
    for row in TABLE:
        assert row.sources
        assert f"| `{row.name}` | {', '.join(row.sources)} |" in table
