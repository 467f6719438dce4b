"""Discovery as a whole: order, ids, links, single files, errors, accounting, real folders, scale."""

import json
import os
import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.trees import images, plant, unmatched, used

from gpuprep.cohort.discover import discover
from gpuprep.cohort.layouts import AUTO, LOOKS_FOR, NAMED
from gpuprep.cohort.layouts.naming import looks_like_label, split_suffix
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.case import Case, LabelSource, Source, natural_key
from gpuprep.values.errors import UsageError


def test_cases_are_in_natural_order(tmp_path: Path) -> None:
    plant(tmp_path, "scan10.nii", "scan9.nii.gz", "scan1.mha", "b/scan2.nrrd")
    assert list(images(discover(tmp_path), tmp_path)) == ["b_scan2", "scan1", "scan9", "scan10"]


@given(st.lists(st.text("ab019_-", max_size=6), max_size=8), st.randoms())
def test_natural_order_does_not_depend_on_input_order(
    words: list[str], shuffler: random.Random
) -> None:
    shuffled = words.copy()
    shuffler.shuffle(shuffled)
    assert sorted(shuffled, key=natural_key) == sorted(words, key=natural_key)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_natural_order_follows_numbers(first: int, second: int) -> None:
    keys = natural_key(f"volume-{first}"), natural_key(f"volume-{second}")
    assert (keys[0] < keys[1]) == (first < second)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.b.NII.GZ", ("a.b", ".nii.gz")),
        ("a.nii", ("a", ".nii")),
        ("a", ("a", "")),
        ("a.hdr.gz", ("a", ".hdr.gz")),
        ("体积 0.mha", ("体积 0", ".mha")),
    ],
)
def test_suffixes(name: str, parts: tuple[str, str]) -> None:
    assert split_suffix(name) == parts


def test_unicode_spaces_and_litter(tmp_path: Path) -> None:
    plant(
        tmp_path,
        "パス 体积 é/体积-0 ü.nii.gz",
        "._scan.nii",
        ".DS_Store",
        "Thumbs.db",
        ".hidden/scan.nii",
        "__MACOSX/scan.nii",
        "desktop.ini",
    )
    found = discover(tmp_path)
    assert [case.id for case in found.cases] == ["パス_体积_é_体积-0_ü"]
    assert found.unmatched == ()


def test_unknown_files_are_reported_and_detached_voxels_are_not(tmp_path: Path) -> None:
    plant(
        tmp_path,
        *("a.mhd", "a.raw", "b.mhd", "b.zraw", "c.hdr", "c.img", "d.nhdr", "d.raw.gz"),
        *("lone.raw", "lone.hdr", "notes.txt", "sub/picture.png"),
    )
    found = discover(tmp_path)
    assert list(images(found, tmp_path)) == ["a", "b", "c", "d"]
    assert unmatched(found, tmp_path) == {
        "lone.hdr": "header without its .img file",
        "lone.raw": "not an image file",
        "notes.txt": "not an image file",
        "sub/picture.png": "not an image file",
    }


def test_what_dcm2niix_writes_beside_an_image_is_no_leftover(tmp_path: Path) -> None:
    plant(tmp_path, "a.nii.gz", "a.json", "b.nii", "b.json", "c.json", "sub/a.json")
    found = discover(tmp_path)
    assert list(images(found, tmp_path)) == ["a", "b"]
    assert set(unmatched(found, tmp_path)) == {"c.json", "sub/a.json"}


def test_one_id_for_two_inputs_names_both(tmp_path: Path) -> None:
    plant(
        tmp_path, "a/volume-1.nii", "a/segmentation-1.nii", "b/volume-1.nii", "b/segmentation-1.nii"
    )
    with pytest.raises(UsageError, match=r"'volume-1' for both .*a/volume-1\.nii and .*b/volume-1"):
        discover(tmp_path)


def test_plain_files_that_differ_in_their_suffix_keep_it_in_their_ids(tmp_path: Path) -> None:
    plant(tmp_path, "x.nii", "x.nii.gz", "y.mha")
    assert [case.id for case in discover(tmp_path).cases] == ["x.nii", "x.nii.gz", "y"]


def test_links_out_of_the_root_are_refused_unless_followed(tmp_path: Path) -> None:
    root = plant(tmp_path / "in", "store/real.nii")
    plant(tmp_path / "out", "far.nii", "folder/deep.nii")
    (root / "near.nii").symlink_to(root / "store/real.nii")
    (root / "far.nii").symlink_to(tmp_path / "out/far.nii")
    (root / "folder").symlink_to(tmp_path / "out/folder")
    (root / "loop").symlink_to(root)
    (root / "gone.nii").symlink_to(root / "nowhere.nii")
    found = discover(root)
    assert images(found, root) == {"near": ["near.nii"], "store_real": ["store/real.nii"]}
    reasons = unmatched(found, root)
    assert set(reasons) == {"far.nii", "folder", "gone.nii", "loop"}
    assert "link out of the input folder" in reasons["far.nii"]
    assert "broken link" in reasons["gone.nii"]

    followed = discover(root, follow_symlinks=True)
    assert set(images(followed, root)) == {"far", "folder_deep", "near", "store_real"}
    assert "already listed" in unmatched(followed, root)["loop"]


def test_a_root_that_is_a_link_is_fine(tmp_path: Path) -> None:
    plant(tmp_path / "real", "x.nii")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert [case.id for case in discover(tmp_path / "link").cases] == ["x"]


def test_names_that_are_not_text_are_refused(tmp_path: Path) -> None:
    plant(tmp_path, "fine.nii")
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.nii")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (entry,) = discover(tmp_path).unmatched
    assert "not valid UTF-8" in entry.reason
    assert entry.path.endswith(r"bad\xff.nii")


def test_a_single_file_is_one_case(tmp_path: Path) -> None:
    plant(tmp_path, "a b.nii.gz", "other.nii", "notes.txt")
    assert discover(tmp_path / "a b.nii.gz").cases == (
        Case("a_b", discover(tmp_path / "a b.nii.gz").cases[0].images),
    )
    assert images(discover(tmp_path / "a b.nii.gz"), tmp_path) == {"a_b": ["a b.nii.gz"]}
    with pytest.raises(UsageError, match=r"notes\.txt is no volume"):
        discover(tmp_path / "notes.txt")


def test_relative_roots_give_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path / "in", "x.nii")
    monkeypatch.chdir(tmp_path)
    for root in (Path("in"), Path("in/x.nii"), Path("in/../in/x.nii")):
        assert discover(root).cases[0].images[0].path == str(tmp_path / "in/x.nii")


def test_wrong_input_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        discover(tmp_path / "missing")
    with pytest.raises(UsageError, match="no layout 'litz'"):
        discover(tmp_path, layout="litz")
    with pytest.raises(UsageError, match="Found no files"):
        discover(tmp_path)
    with pytest.raises(UsageError, match="give the manifest itself"):
        discover(tmp_path, layout="manifest")
    plant(tmp_path, "a.png", "b.png", "c.txt")
    with pytest.raises(UsageError, match=r"volume-N .* Found 3 files \(2 \.png, 1 \.txt\)"):
        discover(tmp_path)
    with pytest.raises(UsageError, match="Looked for lits: volume-N"):
        discover(tmp_path, layout="lits")


def test_label_maps_alone_are_images_only_on_request(tmp_path: Path) -> None:
    plant(tmp_path, "case_0/segmentation.nii.gz", "case_1/segmentation.nii.gz")
    with pytest.raises(UsageError, match="2 of them label maps by their names"):
        discover(tmp_path)
    found = discover(tmp_path, layout="plain")
    assert list(images(found, tmp_path)) == ["case_0_segmentation", "case_1_segmentation"]


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("a/example_seg_fast_split", True),
        ("segmentations/liver", True),
        ("001_ground_truth_reoriented", True),
        ("labelsTr/case", True),
        ("brain_lesion", True),
        ("lesion_study/scan", False),
        ("unmasked", False),
        ("segment_1_of_2", False),
    ],
)
def test_names_that_speak_of_labels(file: str, expected: bool) -> None:
    assert looks_like_label(file) == expected


def test_cases_survive_json(tmp_path: Path) -> None:
    plant(
        tmp_path, "s0/ct.nii.gz", "s0/segmentations/liver.nii.gz", "s0/segmentations/aorta.nii.gz"
    )
    for case in discover(tmp_path).cases:
        assert Case.from_json(case.to_json()) == case


def test_regions_survive_json_in_their_order(tmp_path: Path) -> None:
    plant(tmp_path, "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")
    labels = {"background": 0, "whole": [1, 2], "core": 2}
    document = {"channel_names": {"0": "MR"}, "labels": labels, "regions_class_order": [1, 2]}
    (tmp_path / "dataset.json").write_text(json.dumps({**document, "file_ending": ".nii.gz"}))
    (case,) = discover(tmp_path).cases
    task = CaseTask(case, str(tmp_path), "digest")
    assert CaseTask.from_json(json.loads(json.dumps(task.to_json()))) == task
    assert list(case.labels[0].classes.regions) == ["whole", "core"]


def test_every_layout_says_what_it_looks_for() -> None:
    assert set(LOOKS_FOR) == {*AUTO, *NAMED, "manifest"}


# fmt: off
_PARTS = st.sampled_from([
    "volume-1", "volume-2", "segmentation-1", "a_image", "a_label", "a_ct", "a_t1", "a_t2", "a_seg",
    "a_mask", "image", "label", "ct", "T1", "T2", "lesion", "x", "sub-1_T1w", "sub-1_dseg",
    "case_0000", "case_0001", "case", "readme",
])
# fmt: on
_FOLDERS = st.sampled_from(
    ["", "p1", "p2", "p1/segmentations", "images", "labels", "sub-1/anat", "imagesTr", "labelsTr"]
)
_SUFFIXES = st.sampled_from([".nii.gz", ".mha", ".txt", ".raw"])


@given(st.sets(st.tuples(_FOLDERS, _PARTS, _SUFFIXES), min_size=1, max_size=12))
def test_every_file_is_in_one_case_or_reported(
    tmp_path_factory: pytest.TempPathFactory, files: set[tuple[str, str, str]]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    planted = {f"{folder}/{stem}{suffix}".lstrip("/") for folder, stem, suffix in files}
    plant(root, *planted)
    try:
        found = discover(root)
    except UsageError as error:
        refused = error.message
    else:
        refused = ""
    if refused:
        assert "two inputs" in refused or "no cohort found" in refused
        return
    told = [entry.path for entry in found.unmatched]
    assert sorted([*used(found), *told]) == sorted(str(root / file) for file in planted)
    assert all(entry.reason for entry in found.unmatched)
    ids = [case.id for case in found.cases]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids, key=natural_key)
    assert discover(root) == found


def test_discovery_is_linear(tmp_path: Path) -> None:
    def seconds(root: Path, count: int) -> float:
        plant(root, *(f"s{i}/s{i}_{word}.nii.gz" for i in range(count) for word in ("ct", "seg")))
        start = time.process_time()
        assert len(discover(root).cases) == count
        return time.process_time() - start

    few, many = seconds(tmp_path / "few", 100), seconds(tmp_path / "many", 1000)
    assert many < 10 * few * 4 + 0.5  # quadratic would be a hundredfold


def test_every_slice_of_a_series_is_a_file_of_its_case_and_labels_follow() -> None:
    series = Source("/in/series", ("/in/series/1.dcm", "/in/series/2.dcm"))
    case = Case("a", (series, Source("/in/pet.nii")), (LabelSource((Source("/in/seg.nii"),)),))
    assert case.files == ("/in/series/1.dcm", "/in/series/2.dcm", "/in/pet.nii", "/in/seg.nii")
