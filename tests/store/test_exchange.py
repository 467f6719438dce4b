"""A case that is replaced is at its place at every moment."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gpuprep.store import commit
from gpuprep.store.commit import Staging, exchange
from gpuprep.store.record import read_record, write_record


def commit_case(root: Path, mark: int) -> bool:
    with Staging(root, "a") as staging:
        write_record(staging.folder, {"files": {}, "mark": mark}, durable=False)
        published = staging.publish(replace=True, durable=False)
        assert not staging.publish(replace=True, durable=False)  # it does not swap them back
        return published


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "mark").write_text(name)
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this disk cannot exchange folders")
    return tmp_path / "a", tmp_path / "b"


def test_folders_change_places(pair):
    assert [(folder / "mark").read_text() for folder in pair] == ["b", "a"]


def test_absent_folder_is_no_error(tmp_path):
    (tmp_path / "a").mkdir()
    assert not exchange(tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_path_through_a_file_is_an_error(pair):
    with pytest.raises(NotADirectoryError):
        exchange(pair[0], pair[1] / "mark" / "folder")


def test_case_is_never_absent_while_it_is_replaced(tmp_path, pair):
    assert commit_case(tmp_path, 0)
    absent, done = [], threading.Event()

    def look() -> None:
        while not done.is_set():
            if not (tmp_path / "cases/a.zarr/record.json").exists():
                absent.append(1)

    watcher = threading.Thread(target=look)
    watcher.start()
    for mark in range(1, 100):
        assert commit_case(tmp_path, mark)
    done.set()
    watcher.join()
    assert not absent
    assert read_record(tmp_path / "cases/a.zarr")["mark"] == 99
    assert not any((tmp_path / ".staging").iterdir())


def test_disk_that_cannot_exchange_still_replaces(tmp_path, monkeypatch):
    monkeypatch.setattr(commit, "exchange", lambda one, other: False)
    for mark in range(3):
        assert commit_case(tmp_path, mark)
    assert read_record(tmp_path / "cases/a.zarr")["mark"] == 2
    assert not any((tmp_path / ".staging").iterdir())
