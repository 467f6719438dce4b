"""Terminals and logs that are not UTF-8: every command prints what they can show, and keeps its ids."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from support.cohorts import write_pair

from gpuprep.cli.streams import open_streams

ID = "łódź 7→"
OLD = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
STREAMS = [{"PYTHONIOENCODING": "latin-1"}, OLD]


def call(environment, *words, feed=""):
    done = subprocess.run(
        [sys.executable, "-m", "gpuprep.cli.app", *map(str, words)],
        input=feed.encode(),
        capture_output=True,
        env={**os.environ, **environment},
        timeout=240,
        check=False,
    )
    assert b"Traceback (most" not in done.stderr + done.stdout, done.stderr.decode("latin-1")
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "ein → aus ü"
    folder.mkdir()
    write_pair(folder, 0)
    (folder / "volume-0.nii.gz").rename(folder / f"{ID}.nii.gz")
    (folder / "segmentation-0.nii.gz").rename(folder / f"{ID}_seg.nii.gz")
    (folder / "übrig.txt").write_text("nothing")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("environment", STREAMS, ids=["latin-1", "old locale"])
def test_every_command_prints_on_streams_that_are_not_utf8(source, tmp_path, environment):
    out = tmp_path / "out…"
    plan = json.loads(call(environment, "plan", source, "--json")[1])
    (name,) = [row["case_id"] for row in plan["cases"]]
    told = json.loads(call({}, "plan", source, "--json")[1])
    assert plan == told
    code, printed, _ = call(environment, "run", source, out, "--scheduler", "serial")
    assert code == 0
    assert b"1 done" in printed
    assert [path.name for path in out.glob("cases/*.zarr")] == [f"{name}.zarr"]
    code, printed, _ = call(environment, "run", source, out, "--only-from", "-", feed=name)
    assert b"1 already done" in printed
    for words in (
        ("plan", source),
        ("status", out),
        ("verify", out),
        ("failures", out),
        ("inspect", out / name),
        ("inspect", source / f"{ID}.nii.gz"),
        ("export", out, name, tmp_path / "→.nii.gz"),
        ("guide", "runs"),
        ("run", "--help"),
    ):
        assert call(environment, *words)[0] == 0, words
    assert call(environment, "run", source, out, "--only", "→ß")[0] == 2


def test_our_signs_are_told_by_their_look_and_letters_as_escapes(source):
    code, printed, _ = call({"PYTHONIOENCODING": "ascii"}, "plan", source)
    assert code == 0
    assert "40x36x20" in printed.decode("ascii")
    assert "\\u0142" in printed.decode("ascii")


def test_streams_that_cannot_be_changed_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    open_streams()


def test_numbers_in_json_are_the_same_in_ascii(source):
    """Escapes of Python's own, as \\xfc, are no JSON."""
    _, printed, _ = call({"PYTHONIOENCODING": "latin-1"}, "plan", source, "--json")
    assert np.isfinite(json.loads(printed.decode("ascii"))["bytes_in"])


LIBRARY = """
import sys, gpuprep
try:
    gpuprep.run(sys.argv[1], sys.argv[2], scheduler="serial")
except gpuprep.GpuprepError as error:
    print(error, "|", error.advice)
"""


def test_a_python_that_misreads_names_is_told_how_to_start(source, tmp_path):
    """The command starts anew in UTF-8; a program that calls us has to be started so."""
    plain = tmp_path / "in"
    source.rename(plain)
    for folder in (plain, plain / "übrig.txt"):
        done = subprocess.run(
            [sys.executable, "-c", LIBRARY, str(folder), str(tmp_path / "out")],
            capture_output=True,
            text=True,
            env={**os.environ, **OLD},
            timeout=120,
            check=False,
        )
        assert not done.stderr
        assert "takes file names for ascii" in done.stdout
        assert "PYTHONUTF8=1" in done.stdout
