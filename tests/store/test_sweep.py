"""What killed processes left in staging: whose it is, when it goes, and lines that were cut."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from gpuprep.host import owners
from gpuprep.store.commit import sweep
from gpuprep.store.files import append_line
from gpuprep.store.layout import NAME_LIMIT
from gpuprep.store.places import read_lines

pytestmark = pytest.mark.usefixtures("reads_here")

SPAWN = multiprocessing.get_context("spawn")


@pytest.mark.parametrize("owner", ["0123", "a-b-c-d", "0123456789ab-1-5-feed"])
def test_other_machines_have_a_day(tmp_path, owner):
    attempt = tmp_path / ".staging" / f"a.{owner}"
    attempt.mkdir(parents=True)
    assert sweep(tmp_path) == 0
    yesterday = time.time() - 25 * 3600
    os.utime(attempt, (yesterday, yesterday))
    assert sweep(tmp_path) == 1


def test_reused_process_id_is_not_the_owner(tmp_path):
    machine, pid, _, number = owners.mark().split("-")
    (tmp_path / ".staging" / f"a.{machine}-{pid}-1-{number}").mkdir(parents=True)
    assert sweep(tmp_path) == 1


@pytest.fixture
def of_earlier_boot(tmp_path, monkeypatch):
    """Makes an attempt of a host that was booted since."""

    def leave(host: str = "") -> Path:
        with monkeypatch.context() as patch:
            patch.setattr(owners, "_boot", lambda: "another boot")
            if host:
                patch.setattr(owners, "_host", lambda: host)
            forget()
            attempt = tmp_path / ".staging" / f"a.{owners.mark()}"
        forget()
        attempt.mkdir(parents=True)
        return attempt

    def forget() -> None:
        owners._machine_marks.cache_clear()
        owners._machine.cache_clear()

    return leave


def test_what_this_host_left_before_it_was_booted_goes_at_once(
    tmp_path, monkeypatch, of_earlier_boot
):
    of_earlier_boot()
    monkeypatch.setattr(owners, "_booted", lambda: time.time() + 5)
    assert sweep(tmp_path) == 1


def test_a_host_of_that_name_that_still_writes_was_not_booted(tmp_path, of_earlier_boot):
    of_earlier_boot()  # changed since this host was booted: by another one
    assert sweep(tmp_path) == 0


def test_another_host_before_our_boot_has_its_day(tmp_path, monkeypatch, of_earlier_boot):
    attempt = of_earlier_boot(host="elsewhere")
    monkeypatch.setattr(owners, "_booted", lambda: time.time() + 5)
    assert sweep(tmp_path) == 0
    assert attempt.exists()


def test_a_name_of_the_greatest_length_has_room_for_a_mark():
    most = "f" * sum(owners._MARK_LENGTHS)
    assert NAME_LIMIT + len(f".{most}-4194304-{10**11}-{'0' * 8}") <= 255
    machine, *_ = owners.mark().split("-")
    assert len(machine) == len(most)


def test_lines(tmp_path):
    path = tmp_path / "manifest.jsonl"
    assert list(read_lines(path)) == []
    append_line(path, {"case": "ü\n", "n": 1})
    append_line(path, {"case": "b"})
    assert list(read_lines(path)) == [{"case": "ü\n", "n": 1}, {"case": "b"}]
    assert path.read_bytes().count(b"\n") == 2


@pytest.mark.parametrize("torn", [b'{"case": "c', b'{"case": "\xc3', b"\0\0\0", b"[1]\n", b"\n"])
def test_torn_lines_cost_only_themselves(tmp_path, torn):
    path = tmp_path / "manifest.jsonl"
    append_line(path, {"case": "a"})
    with path.open("ab") as stream:
        stream.write(torn)
    assert list(read_lines(path)) == [{"case": "a"}]
    append_line(path, {"case": "b"})
    assert list(read_lines(path)) == [{"case": "a"}, {"case": "b"}]


def test_a_line_taken_by_halves_is_whole(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, text: write(file, text[: -(-len(text) // 2)]))
    append_line(tmp_path / "manifest.jsonl", {"case": "a", "padding": "x" * 100})
    append_line(tmp_path / "manifest.jsonl", {"case": "b"})
    assert [row["case"] for row in read_lines(tmp_path / "manifest.jsonl")] == ["a", "b"]


def append_many(path: Path, writer: int) -> None:
    for number in range(200):
        append_line(path, {"writer": writer, "number": number, "padding": "x" * 300})


def test_writers_do_not_tear_each_other(tmp_path):
    path = tmp_path / "manifest.jsonl"
    with SPAWN.Pool(3) as pool:
        pool.starmap(append_many, [(path, writer) for writer in range(3)])
    rows = [(row["writer"], row["number"]) for row in read_lines(path)]
    assert sorted(rows) == [(writer, number) for writer in range(3) for number in range(200)]
