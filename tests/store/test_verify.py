"""Verify: a flipped bit anywhere, and every lost, cut or foreign file, is named."""

from __future__ import annotations

import errno
import os
import random
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from gpuprep.store.case import write_case
from gpuprep.store.files import append_line
from gpuprep.store.layout import case_folder
from gpuprep.store.record import read_record, write_record
from gpuprep.store.shard import write_encoded_shard
from gpuprep.store.verify import Problem, verify_case, verify_cohort
from gpuprep.values.geometry import Geometry

SHAPE = (20, 17, 18)
GRID = Geometry(SHAPE)
IMAGE = np.random.default_rng(0).normal(size=SHAPE).astype("f2")
LABEL = (IMAGE > 0).astype("u1")


def make_case(root: Path, case_id: str) -> Path:
    folder = case_folder(root, case_id)
    files = write_case(
        folder, image=IMAGE, labels={"liver": LABEL}, geometry=GRID, chunk=16, durable=False
    )
    write_record(folder, {"files": files, "case": case_id}, durable=False)
    return folder


@pytest.fixture
def case(tmp_path: Path) -> Path:
    return make_case(tmp_path, "a")


def files_of(problems: list[Problem]) -> set[str]:
    return {problem.file for problem in problems}


def test_sound_case(case):
    assert verify_case(case) == []
    assert verify_case(case, full=True) == []


@pytest.mark.parametrize("call", ["scandir", "pread"])
def test_a_disk_that_fails_is_no_damage_to_delete(case, monkeypatch, call):
    before = getattr(os, call)

    def fail(where: object, *rest: object) -> object:
        if isinstance(where, int) or str(where).endswith("labels"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return before(where, *rest)

    monkeypatch.setattr(os, call, fail)
    (problem,) = verify_case(case, full=True)
    assert problem.message == f"{case}: cannot be read: Input/output error"
    assert problem.advice.startswith("check the disk")


def test_flipped_bit_anywhere_is_found(case):
    picks = random.Random(0)
    for path in sorted(path for path in case.rglob("*") if path.is_file()):
        name = path.relative_to(case).as_posix()
        sound = path.read_bytes()
        places = {0, len(sound) - 1, *(picks.randrange(len(sound)) for _ in range(40))}
        for place in places:
            flipped = bytearray(sound)
            flipped[place] ^= 1 << picks.randrange(8)
            path.write_bytes(flipped)
            found = verify_case(case, full=True)
            assert name in files_of(found), (name, place)
            assert all(problem.case == "a" and problem.advice for problem in found)
        path.write_bytes(sound)
    assert verify_case(case, full=True) == []


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("size", [0, 10, -1, -40])
def test_cut_shard_is_found(case, size, full):
    path = case / "0/c.0.0.0"
    path.write_bytes(path.read_bytes()[:size])
    found = verify_case(case, full=full)
    assert files_of(found) == {"0/c.0.0.0"}
    assert "its record says" in found[0].message


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", ["0/c.0.0.0", "0/zarr.json", "labels/zarr.json", "zarr.json"])
def test_missing_file_is_found(case, name, full):
    (case / name).unlink()
    found = verify_case(case, full=full)
    assert Problem("a", name, "the file is missing") in found
    assert files_of(found) == {name}


@pytest.mark.parametrize("name", ["0/c.0.0.1", ".hidden", "labels/liver/0/c.0.0.0.partial"])
def test_foreign_file_is_found(case, name):
    (case / name).write_bytes(b"x")
    assert verify_case(case) == [Problem("a", name, "the file is not in the record")]


def test_links_do_not_stand_for_files(case, tmp_path):
    path = case / "0/c.0.0.0"
    path.rename(tmp_path / "shard")
    path.symlink_to(tmp_path / "shard")
    (case / "more").symlink_to(tmp_path)
    assert files_of(verify_case(case)) == {"0/c.0.0.0", "more"}
    assert files_of(verify_case(case, full=True)) == {"0/c.0.0.0", "more"}


def test_folder_without_record_is_no_case(tmp_path):
    (found,) = verify_case(tmp_path)
    assert found.file == "record.json"
    assert "No such file" in found.message


def test_chunks_are_checked_even_where_the_record_agrees(case):
    """A shard damaged before its seal was taken, as bad memory does it."""
    seal = write_encoded_shard(case / "0/c.0.0.0", [b"not a chunk", *[None] * 7], count=8)
    record = read_record(case)
    record["files"]["0/c.0.0.0"] = asdict(seal)
    write_record(case, record)
    assert verify_case(case) == []
    (found,) = verify_case(case, full=True)
    assert found.file == "0/c.0.0.0"
    assert "chunk at byte 0 is damaged" in found.message


def test_cohort(tmp_path):
    for case_id in ("case_10", "case_2", "case_3"):
        make_case(tmp_path, case_id)
        append_line(tmp_path / "manifest.jsonl", {"case": case_id})
    seen = []
    assert verify_cohort(tmp_path, full=True, on_case=lambda case, _: seen.append(case)) == []
    assert seen == ["case_2", "case_3", "case_10"]

    (case_folder(tmp_path, "case_10") / "record.json").unlink()
    (case_folder(tmp_path, "case_2") / "0/c.0.0.0").unlink()
    shutil.rmtree(case_folder(tmp_path, "case_3"))
    (tmp_path / "cases/stray.txt").touch()
    found = verify_cohort(tmp_path)
    assert [(problem.case, problem.file) for problem in found] == [
        ("case_2", "0/c.0.0.0"),
        ("case_10", "record.json"),
        ("stray.txt", "record.json"),
        ("case_3", ""),
    ]
    assert str(found[0]).startswith(
        "case_2/0/c.0.0.0: the file is missing; delete the case's folder"
    )
