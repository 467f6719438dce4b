"""Publishing: one rename or nothing, one winner among many, and no litter after a crash."""

from __future__ import annotations

import errno
import multiprocessing
import os
import subprocess
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from gpuprep.store import commit
from gpuprep.store.commit import Staging, sweep
from gpuprep.store.record import read_record, write_record
from gpuprep.values.errors import RunStopped, StoreError, StoreFault, UsageError

SPAWN = multiprocessing.get_context("spawn")


_gate: dict[str, Barrier] = {}


def build(staging: Staging, mark: object) -> None:
    """A case of one file and a record that both carry ``mark``."""
    (staging.folder / "0").mkdir()
    (staging.folder / "0" / "voxels").write_text(str(mark))
    write_record(staging.folder, {"files": {}, "mark": mark}, durable=False)


def commit_case(root: Path, mark: object, *, replace: bool = False) -> bool:
    with Staging(root, "a") as staging:
        build(staging, mark)
        return staging.publish(replace=replace)


def mark_of(root: Path) -> object:
    folder = root / "cases/a.zarr"
    mark = read_record(folder)["mark"]
    assert (folder / "0" / "voxels").read_text() == str(mark)
    return mark


def is_clean(root: Path) -> bool:
    return not any((root / ".staging").iterdir())


def test_published_case_is_whole_and_alone(tmp_path):
    assert commit_case(tmp_path, 1)
    assert mark_of(tmp_path) == 1
    assert sorted(path.name for path in (tmp_path / "cases/a.zarr").iterdir()) == [
        "0",
        "record.json",
    ]
    assert is_clean(tmp_path)


def test_leaving_without_publishing_leaves_nothing(tmp_path):
    with Staging(tmp_path, "a") as staging:
        build(staging, 1)
    with pytest.raises(ZeroDivisionError), Staging(tmp_path, "a"):
        raise ZeroDivisionError
    assert is_clean(tmp_path)
    assert not any((tmp_path / "cases").iterdir())


def test_second_commit_changes_nothing(tmp_path):
    assert commit_case(tmp_path, 1)
    assert not commit_case(tmp_path, 2)
    assert mark_of(tmp_path) == 1
    assert is_clean(tmp_path)


def test_replacing(tmp_path):
    assert commit_case(tmp_path, 1, replace=True)
    assert commit_case(tmp_path, 2, replace=True)
    assert mark_of(tmp_path) == 2
    assert is_clean(tmp_path)


def test_publishing_twice(tmp_path):
    with Staging(tmp_path, "a") as staging:
        build(staging, 1)
        assert staging.publish()
        assert not staging.publish()


@pytest.mark.parametrize("content", [[], ["0"], ["0", "zarr.json"]])
def test_folder_without_record_gives_way(tmp_path, content):
    for name in content:
        (tmp_path / "cases/a.zarr" / name).mkdir(parents=True)
    assert commit_case(tmp_path, 1)
    assert mark_of(tmp_path) == 1
    assert is_clean(tmp_path)


def test_no_record_no_case(tmp_path):
    with Staging(tmp_path, "a") as staging, pytest.raises(StoreError, match="write the record"):
        staging.publish()
    assert not (tmp_path / "cases/a.zarr").exists()


def test_unsafe_id_starts_nothing(tmp_path):
    with pytest.raises(UsageError):
        Staging(tmp_path / "out", "../a")
    assert not (tmp_path / "out").exists()


def race(root: Path, number: int, replace: bool) -> bool:
    with Staging(root, "a") as staging:
        build(staging, number)
        _gate["barrier"].wait(60)
        return staging.publish(replace=replace)


def meet_at(barrier: Barrier) -> None:
    """Before the first task of each process of the pool."""
    _gate["barrier"] = barrier


def run_race(root: Path, *, replace: bool) -> list[bool]:
    """Four processes publish at once: each waits at the barrier until all four are there."""
    with SPAWN.Pool(4, meet_at, (SPAWN.Barrier(4),)) as pool:
        return pool.starmap(race, [(root, number, replace) for number in range(4)], chunksize=1)


def test_race_has_one_winner(tmp_path):
    for attempt in range(3):
        root = tmp_path / str(attempt)
        won = run_race(root, replace=False)
        assert won.count(True) == 1
        assert mark_of(root) == won.index(True)
        assert is_clean(root)


def test_race_of_replacers_leaves_one_whole_case(tmp_path):
    commit_case(tmp_path, -1)
    assert run_race(tmp_path, replace=True) == [True] * 4
    assert mark_of(tmp_path) in range(4)
    assert is_clean(tmp_path)


def test_rename_that_worked_but_reported_failure(tmp_path, monkeypatch):
    """NFS repeats a lost call: the rename is done and yet answers 'no such file'."""
    rename = Path.rename

    def rename_twice(self: Path, target: Path) -> Path:
        rename(self, target)
        return rename(self, target)

    with Staging(tmp_path, "a") as staging:
        build(staging, 1)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", rename_twice)
            assert staging.publish()
    assert mark_of(tmp_path) == 1


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        (errno.ENOSPC, RunStopped, "No space left.*bytes are free"),
        (errno.EDQUOT, RunStopped, "quota"),
        (errno.EROFS, StoreError, "Read-only"),
        (errno.EACCES, StoreError, "Permission denied"),
        (errno.EIO, StoreError, "Input/output"),
    ],
)
def test_refusals_of_the_disk(tmp_path, monkeypatch, code, error, message):
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with Staging(tmp_path, "a") as staging:
        build(staging, 1)
        monkeypatch.setattr(commit, "fsync_path", refuse)
        with pytest.raises(error, match=f"cases/a.zarr: .*{message}"):
            staging.publish()
    assert not (tmp_path / "cases/a.zarr").exists()
    assert is_clean(tmp_path)


def test_a_case_is_not_published_until_its_name_is_on_the_disk(tmp_path, monkeypatch):
    """The second attempt finds the case of the first, whose last fsync failed."""

    def refuse_names(path: Path) -> None:
        if path == tmp_path / "cases":
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(commit, "fsync_path", refuse_names)
    for _ in range(2):
        with pytest.raises(StoreFault):
            commit_case(tmp_path, 1)
    monkeypatch.undo()
    assert not commit_case(tmp_path, 2)
    assert mark_of(tmp_path) == 1


def test_a_case_taken_aside_comes_back_when_its_successor_cannot_be_put_there(
    tmp_path, monkeypatch
):
    commit_case(tmp_path, 1)
    rename = Path.rename

    def refuse_successor(self: Path, target: Path) -> Path:
        if self.name == "case":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(self, target)

    monkeypatch.setattr(commit, "exchange", lambda *_: False)
    monkeypatch.setattr(Path, "rename", refuse_successor)
    with pytest.raises(StoreFault):
        commit_case(tmp_path, 2, replace=True)
    assert mark_of(tmp_path) == 1
    assert is_clean(tmp_path)


def test_an_attempt_that_could_not_begin_leaves_nothing(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(commit, "failpoint", refuse)
    with pytest.raises(StoreFault), Staging(tmp_path, "a"):
        pass
    assert is_clean(tmp_path)


def test_output_that_is_a_file(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(StoreError, match="out"), Staging(tmp_path / "out", "a"):
        pass


CRASH = """
import os, sys
from gpuprep.store.commit import Staging
from gpuprep.store.record import write_record
staging = Staging(sys.argv[1], "a").__enter__()
write_record(staging.folder, {"files": {}, "mark": 7})
if sys.argv[2] == "replacing":
    staging._clear_target(replace=True)
os._exit(1)
"""


def crash(root: Path, moment: str) -> None:
    """A process that dies with an attempt open."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", CRASH, str(root), moment]
    assert subprocess.run(command, env=environment, timeout=30, check=False).returncode == 1
    assert not is_clean(root)


def test_sweep_removes_attempts_of_the_dead_only(tmp_path):
    assert sweep(tmp_path) == 0
    crash(tmp_path, "building")
    with Staging(tmp_path, "a") as alive:
        build(alive, 1)
        assert sweep(tmp_path) == 1
        assert sweep(tmp_path) == 0
        assert alive.publish()
    assert is_clean(tmp_path)


def test_case_whose_replacer_died_is_put_back(tmp_path):
    commit_case(tmp_path, 1)
    crash(tmp_path, "replacing")
    assert not (tmp_path / "cases/a.zarr").exists()
    assert sweep(tmp_path) == 1
    assert mark_of(tmp_path) == 1
    assert is_clean(tmp_path)
