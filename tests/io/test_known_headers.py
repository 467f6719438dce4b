"""Headers that are kept tell what reading them again would, and are read anew wherever they might not."""

import os
import shutil
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import SegmentationStorage
from support.dicom_series import dataset, write_series

import gpuprep.io.dicom.header as reader
from gpuprep.io.dicom import known, many
from gpuprep.io.dicom.known import KnownHeaders
from gpuprep.io.dicom.membership import Membership, NoImage, Structures
from gpuprep.io.dicom.series import sort_out


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were written just now count as old ones."""
    monkeypatch.setattr(known, "_SETTLED_NS", -1)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "in 体积"
    root.mkdir()
    write_series(root / "a", [0, 5, 10], SeriesDescription="thin\n\t\"'")
    write_series(root / "b", [0, 5], SeriesInstanceUID="")
    dataset(SegmentationStorage).save_as(root / "a" / "seg.dcm", enforce_file_format=True)
    (root / "a" / "7.dcm").write_bytes(b"torn")
    (root / "note.txt").write_text("no image")
    return root


def files(root: Path) -> list[str]:
    return [str(path) for path in sorted(root.rglob("*")) if path.is_file()]


def looked_at(root: Path, cache: Path) -> tuple[object, list[str]]:
    """What comes of the files with the cache, and which of them were opened."""
    with mock.patch.object(reader, "read_header", wraps=reader.read_header) as reading:
        with KnownHeaders(cache) as headers:
            found = sort_out(files(root), headers)
        return found, [Path(call.args[0]).name for call in reading.call_args_list]


def test_a_second_look_opens_no_file_and_finds_the_same(tree: Path, tmp_path: Path) -> None:
    found, opened = looked_at(tree, tmp_path / "out/.gpuprep/headers")
    assert len(opened) == len(files(tree))
    assert found == sort_out(files(tree))
    assert looked_at(tree, tmp_path / "out/.gpuprep/headers") == (found, [])


def test_the_real_and_hostile_files_tell_the_same(scans: Path, tmp_path: Path) -> None:
    wanted = [f for f in files(scans) if ".nii" not in f]
    without = sort_out(wanted)
    for _ in range(2):
        with KnownHeaders(tmp_path / "headers") as headers:
            assert sort_out(wanted, headers) == without


def _rewritten(file: Path) -> None:
    """Other bytes of one length, with the times of the first: only the entry's time tells."""
    old = file.stat()
    content = file.read_bytes().replace(b"1.2.3.4", b"1.2.3.9")
    file.write_bytes(content)
    os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))


def _replaced(file: Path) -> None:
    old = file.stat()
    other = file.with_name("other")
    other.write_bytes(file.read_bytes().replace(b"1.2.3.4", b"1.2.3.9"))
    os.utime(other, ns=(old.st_atime_ns, old.st_mtime_ns))
    other.rename(file)


def _longer(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0\0")


@pytest.mark.parametrize("change", [_rewritten, _replaced, _longer, Path.unlink])
def test_a_file_that_changed_is_read_anew(tree: Path, tmp_path: Path, change: object) -> None:
    looked_at(tree, tmp_path / "headers")
    change(tree / "a" / "98.dcm")  # type: ignore[operator]
    found, opened = looked_at(tree, tmp_path / "headers")
    assert found == sort_out(files(tree))
    assert opened == ([] if change == Path.unlink else ["98.dcm"])
    assert looked_at(tree, tmp_path / "headers") == (found, [])


def test_a_file_that_may_still_change_is_not_kept(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(known, "_SETTLED_NS", 10**12)
    looked_at(tree, tmp_path / "headers")
    assert len(looked_at(tree, tmp_path / "headers")[1]) == len(files(tree))


def test_what_the_machine_did_not_give_is_asked_for_again(tree, tmp_path, monkeypatch):
    opened = reader.open_plain

    def failing(path: Path) -> object:
        if path.name == "98.dcm":
            raise OSError(5, "Input/output error", str(path))
        if path.name == "97.dcm":
            raise MemoryError
        return opened(path)

    monkeypatch.setattr(reader, "open_plain", failing)
    looked_at(tree, tmp_path / "headers")
    monkeypatch.setattr(reader, "open_plain", opened)
    found, anew = looked_at(tree, tmp_path / "headers")
    assert found == sort_out(files(tree))
    assert set(anew) == {"98.dcm", "97.dcm"}


@pytest.fixture
def kept(tree: Path, tmp_path: Path) -> tuple[Path, Path, bytes]:
    looked_at(tree, tmp_path / "headers")
    return tree, tmp_path / "headers", (tmp_path / "headers").read_bytes()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_cache_costs_time_and_nothing_else(kept, data: st.DataObject) -> None:
    tree, cache, content = kept
    at = data.draw(st.integers(0, len(content) - 1))
    ways = {
        "cut": content[:at],
        "flipped": content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :],
        "zeros": content[:at] + bytes(len(content) - at),
        "empty": b"",
    }
    cache.write_bytes(ways[data.draw(st.sampled_from(sorted(ways)))])
    found, _ = looked_at(tree, cache)
    assert found == sort_out(files(tree))
    assert looked_at(tree, cache) == (found, [])


def test_a_cache_of_another_form_or_without_a_disk_is_no_hindrance(tree, tmp_path):
    (tmp_path / "headers").write_bytes(b"something else\n" * 9)
    looked_at(tree, tmp_path / "headers")
    assert looked_at(tree, tmp_path / "headers")[1] == []
    (tmp_path / "file").write_text("in the way")
    assert looked_at(tree, tmp_path / "file" / "headers")[0] == sort_out(files(tree))


def test_the_file_stays_small_though_all_changes_and_trees_come_and_go(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(known, "_WASTE_BYTES", 0)
    monkeypatch.setattr(known, "_UNSEEN_BYTES", 0)
    looked_at(tree, tmp_path / "headers")
    size = (tmp_path / "headers").stat().st_size
    for _ in range(9):
        for file in files(tree):
            os.utime(file)
        looked_at(tree, tmp_path / "headers")
    shutil.copytree(tree, tmp_path / "other")
    looked_at(tmp_path / "other", tmp_path / "headers")
    assert (tmp_path / "headers").stat().st_size < 3 * size
    assert looked_at(tmp_path / "other", tmp_path / "headers")[1] == []


def test_many_files_are_read_by_processes_to_the_same_effect(tree, monkeypatch):
    here = many.read_headers(files(tree), 1)
    monkeypatch.setattr(many, "_PER_PROCESS", 2)
    monkeypatch.setattr(many, "_PER_REQUEST", 2)
    monkeypatch.setattr(many, "_read_here", lambda paths: [None] * len(paths))
    assert many.read_headers(files(tree), 2) == here
    kinds = {type(header) for header in here}
    assert kinds == {Membership, NoImage, Structures}


def test_a_header_is_read_no_further_than_the_columns(tmp_path: Path) -> None:
    """What comes after is hundreds of private tags on real scanners."""
    one = dataset(PixelSpacing=[1, 1])
    one.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    content = (tmp_path / "x.dcm").read_bytes()
    (tmp_path / "x.dcm").write_bytes(content[: content.index(b"\x28\x00\x30\x00") + 9])
    assert isinstance(reader.read_header(tmp_path / "x.dcm"), Membership)
