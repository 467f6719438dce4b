"""The files of a stored case against those of the input now: by role, by time, else by their sums."""

import gzip
import hashlib
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuprep.ledger.sources import Comparison, compare
from gpuprep.values.case import Case, LabelSource, Source

FILES = {"t1.nii": b"one", "t2.nii": b"two", "label.nii": b"ten"}


def case_in(folder: Path, *, order=("t1.nii", "t2.nii"), label="label.nii") -> Case:
    images = [Source(str(folder / file), name=f"T{n}") for n, file in enumerate(order, 1)]
    labels = (LabelSource((Source(str(folder / label)),)),) if label else ()
    return Case("a", tuple(images), labels)


def rows_of(
    case: Case, beside: dict[str, tuple[str, ...]] | None = None
) -> list[dict[str, object]]:
    """The rows of a record, as a run writes them."""
    rows = []
    for files, role in case.roles.items():
        for file in (*files, *(beside or {}).get(role, ())):
            found = Path(file).stat()
            told = hashlib.sha256(Path(file).read_bytes()).hexdigest()
            row = {"path": file, "size": found.st_size, "mtime_ns": found.st_mtime_ns}
            rows.append({**row, "sha256": told, "role": role})
    return rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for name, text in FILES.items():
        (tmp_path / "in" / name).write_bytes(text)
    return tmp_path / "in"


def test_files_at_their_place_are_not_read(folder, monkeypatch):
    rows = rows_of(case_in(folder))
    monkeypatch.setattr("gpuprep.ledger.sources._sum", pytest.fail)
    assert compare(rows, case_in(folder)) == Comparison()
    (folder / "t1.nii").write_bytes(b"longer")
    assert compare(rows, case_in(folder)).change == "t1.nii changed (3 → 6 bytes)"
    (folder / "t1.nii").unlink()
    assert "t1.nii is not to be had any more" in compare(rows, case_in(folder)).change


def test_moved_and_renamed_files_are_known_by_their_sums(folder):
    rows, new = rows_of(case_in(folder)), folder.parent / "new"
    new.mkdir()
    for name in FILES:
        shutil.copy(folder / name, new / f"x-{name}")
    moved = case_in(new, order=("x-t1.nii", "x-t2.nii"), label="x-label.nii")
    found = compare(rows, moved)
    assert not found.change
    assert found.stamp
    assert compare(rows, moved, found.stamp) == found
    (new / "x-t2.nii").write_bytes(b"owt")
    os.utime(new / "x-t2.nii", ns=(0, 0))
    told = "x-t2.nii (before: t2.nii) changed (other contents in as many bytes, 3)"
    assert compare(rows, moved, found.stamp).change == told


def test_a_gzip_file_is_known_by_its_end_and_not_read(folder, monkeypatch):
    packed = folder / "a.nii.gz"
    packed.write_bytes(gzip.compress(b"voxels", mtime=0))
    case = Case("a", (Source(str(packed)),))
    rows = [{**row, "gzip": packed.read_bytes()[-8:].hex()} for row in rows_of(case)]
    monkeypatch.setattr("gpuprep.ledger.sources._sum", pytest.fail)
    moved = Case("a", (Source(shutil.copy(packed, folder / "b.nii.gz")),))
    assert compare(rows, moved).stamp
    (folder / "b.nii.gz").write_bytes(gzip.compress(b"VOXELS", mtime=0))
    assert "other contents" in compare(rows, moved).change


def test_two_channels_that_changed_places_are_another_case(folder):
    """Both files are there, at the same paths and of the same size: roles tell."""
    rows = rows_of(case_in(folder))
    swapped = case_in(folder, order=("t2.nii", "t1.nii"))
    assert "changed (other contents" in compare(rows, swapped).change


def test_what_came_and_what_went_is_named(folder):
    whole, bare = case_in(folder), case_in(folder, label="")
    taken = "its label segmentation was taken away (label.nii)"
    assert compare(rows_of(whole), bare).change == taken
    assert compare(rows_of(bare), whole).change == "its label segmentation was added (label.nii)"
    single = case_in(folder, order=("t1.nii",))
    assert "image" in compare(rows_of(whole), single).change


@pytest.mark.parametrize("suffixes", [(".mhd", ".raw"), (".hdr", ".img")])
def test_voxels_beside_a_header_move_with_it(tmp_path, suffixes):
    header, voxels = (tmp_path / f"in/a{suffix}" for suffix in suffixes)
    header.parent.mkdir()
    header.write_bytes(b"header")
    voxels.write_bytes(b"voxels")
    case = Case("a", (Source(str(header)),))
    rows = rows_of(case, {"image": (str(voxels),)})
    assert compare(rows, case) == Comparison()
    moved = header.parent.rename(tmp_path / "new")
    there = Case("a", (Source(str(moved / header.name)),))
    assert compare(rows, there).stamp
    (moved / voxels.name).write_bytes(b"VOXELS")
    assert voxels.name in compare(rows, there).change


def test_records_of_older_versions_go_by_path_size_and_time(folder):
    case = case_in(folder)
    rows = [{k: v for k, v in row.items() if k != "role"} for row in rows_of(case)]
    assert compare(rows, case) == Comparison()
    moved = case_in(Path(shutil.copytree(folder, folder.parent / "new")))
    assert "an older version stored it" in compare(rows, moved).change


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    slices=st.lists(st.binary(min_size=3, max_size=4), min_size=2, max_size=6),
    order=st.randoms(use_true_random=False),
    damage=st.none() | st.integers(0, 5),
)
def test_a_series_is_known_by_its_bytes_whatever_its_files_are_called(
    tmp_path_factory, slices, order, damage
):
    old, new = tmp_path_factory.mktemp("old"), tmp_path_factory.mktemp("new")
    names = [f"{number}.dcm" for number in range(len(slices))]
    for name, content in zip(names, slices, strict=True):
        (old / name).write_bytes(content)
    rows = rows_of(Case("a", (Source(str(old), tuple(str(old / name) for name in names)),)))
    shuffled = order.sample(slices, len(slices))
    if damage is not None and damage < len(slices):
        shuffled[damage] = bytes([shuffled[damage][0] ^ 1]) + shuffled[damage][1:]
    for name, content in zip(names, shuffled, strict=True):
        (new / name).write_bytes(content)
    case = Case("a", (Source(str(new), tuple(str(new / name) for name in names)),))
    same = sorted(shuffled) == sorted(slices)
    found = compare(rows, case)
    assert bool(found.stamp) == same
    assert bool(found.change) != same
    fewer = Case("a", (Source(str(new), case.images[0].files[1:] + (str(old / names[0]),) * 2),))
    assert "added" in compare(rows, fewer).change
