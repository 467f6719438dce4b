"""Which decoded cases are kept, within which bytes, and until when."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.kept_cases import (
    MIB,
    SHAPE,
    Counting,
    config_of,
    entries,
    kept_once,
    taken,
    task_of,
    write_case,
)

from gpuprep.config.file import parse_config
from gpuprep.host.owners import mark
from gpuprep.preprocess import decoded_cases
from gpuprep.preprocess.decoded_cases import KeptCase, clear_scratch
from gpuprep.preprocess.pipeline import measure_case, run_case
from gpuprep.preprocess.task import CaseTask
from gpuprep.running.coordinator import run
from gpuprep.values.case import Case, Source


@pytest.fixture(autouse=True)
def _pays(monkeypatch):
    """Cases as small as these are read in no time."""
    monkeypatch.setattr(decoded_cases, "_PAYS", 0.0)


def test_files_that_are_not_compressed_are_not_kept(tmp_path):
    case = write_case(tmp_path / "in")
    plain = tmp_path / "in" / "plain.nii"
    nibabel.save(nibabel.load(case.images[1].path), plain)
    case = Case("plain", (Source(str(plain)),))
    assert taken(task_of(tmp_path, case), config_of(tmp_path))[2] == 1
    assert not (tmp_path / "scratch").exists()


def test_a_case_that_is_read_faster_than_it_is_kept_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(decoded_cases, "_PAYS", 1.0)
    assert taken(task_of(tmp_path, write_case(tmp_path / "in")), config_of(tmp_path))[2] == 3
    assert not (tmp_path / "scratch").exists()


def test_cases_beyond_the_budget_are_not_kept(tmp_path):
    _, _, first = kept_once(tmp_path)
    size = first.stat().st_size
    first.unlink()
    most = MIB + 7 * int(np.prod(SHAPE))  # what one takes for certain, before it is written
    config = config_of(tmp_path, most + size + size // 2)
    tasks = [task_of(tmp_path, write_case(tmp_path / "in", name, 7)) for name in "abc"]
    for task in tasks:
        taken(task, config)
    assert [taken(task, config)[2] for task in tasks] == [0, 0, 3]
    KeptCase(tasks[0], config).drop()
    assert [taken(tasks[2], config)[2] for _ in range(2)] == [3, 0]


def test_what_a_killed_process_was_writing_is_taken_away(tmp_path):
    _, config, _ = kept_once(tmp_path)
    script = "from gpuprep.host.owners import mark; print(mark())"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    names = f"left.{done.stdout.strip()}.partial", f"own.{mark()}.partial"
    for name in names:
        (tmp_path / "scratch" / name).write_bytes(bytes(9))
    taken(task_of(tmp_path, write_case(tmp_path / "in", "b")), config)
    assert {file.name for file in entries(tmp_path)} & {*names} == {names[1]}


def test_at_the_end_of_a_run_only_what_is_ours_goes(tmp_path):
    kept_once(tmp_path)
    config = config_of(tmp_path, after="drop")
    ours = f"{'0a' * 16}.{mark()}.partial"
    others = {"song.mp3.partial", "notes.decoded"}
    for name in (ours, *others):
        (tmp_path / "scratch" / name).touch()
    clear_scratch(config.run.scratch)
    assert {file.name for file in entries(tmp_path)} == others


def test_a_scratch_that_cannot_be_written_costs_nothing(tmp_path):
    (tmp_path / "scratch").write_text("a file in its place")
    task = task_of(tmp_path, write_case(tmp_path / "in"))
    assert taken(task, config_of(tmp_path))[2] == 3


def test_voxels_beyond_the_memory_of_a_task_lie_on_disk(tmp_path):
    task, config, _ = kept_once(tmp_path)
    voxels = int(np.prod(SHAPE))
    case, _, reads = taken(replace(task, memory=2 * voxels * 3), config)
    on_disk = [is_mapped(array) for array in (*case.channels, *case.labels.values())]
    assert (reads, on_disk) == (0, [False, True, False])


def is_mapped(array: np.ndarray) -> bool:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.base is not None


PROCESS = """
import sys
from pathlib import Path
from gpuprep.config.file import parse_config
from gpuprep.host.owners import mark
from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.preprocess import decoded_cases
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.case import Case, Source
from gpuprep.values.findings import Findings
import json
decoded_cases._PAYS = 0.0
settings = json.loads(sys.argv[1])
config = parse_config(settings["config"])
largest = 0
for path in settings["files"]:
    task = CaseTask(Case(Path(path).stem, (Source(path),)), settings["output"], "digest")
    decoded_cases.read_case(task, config, lambda source: read(source, ReadRules()), Findings())
    sizes = [entry.stat().st_size for entry in Path(config.run.scratch.folder).iterdir()]
    largest = max(largest, sum(sizes))
print(largest)
"""


def test_two_processes_share_the_budget(tmp_path):
    budget = 6 * MIB
    files = []
    for number in range(8):
        case = write_case(tmp_path / "in", str(number), number)
        files.append(case.images[0].path)
    scratch = {"folder": str(tmp_path / "scratch"), "bytes": budget, "after": "keep"}
    told = [
        json.dumps(
            {"config": {"run": {"scratch": scratch}}, "files": some, "output": str(tmp_path)}
        )
        for some in (files, files[::-1])  # they meet, and some both want to keep
    ]
    processes = [
        subprocess.Popen([sys.executable, "-c", PROCESS, each], stdout=subprocess.PIPE, text=True)
        for each in told
    ]
    largest = [int(process.communicate(timeout=120)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert 0 < max(largest) <= budget
    kept = entries(tmp_path)
    assert {file.suffix for file in kept} == {".decoded"}
    assert len(kept) == 8
    for path in files:
        case = Case(Path(path).stem, (Source(path),))
        task = CaseTask(case, str(tmp_path), "digest")
        assert taken(task, parse_config({"run": {"scratch": scratch}}))[2] == 0


def test_a_run_that_measures_first_reads_once_and_leaves_nothing(tmp_path, monkeypatch):
    for name in ("a", "b"):
        write_case(tmp_path / "in", name)
        (tmp_path / "in" / f"{name}_pet.nii.gz").unlink()
        (tmp_path / "in" / f"{name}_label.nii.gz").unlink()
    reads = []
    real = decoded_cases.assemble

    def counted(case, *rest, **more):
        reads.append(case.id)
        return real(case, *rest, **more)

    monkeypatch.setattr(decoded_cases, "assemble", counted)
    config = config_of(
        tmp_path, after="drop", image={"intensity": [{"zscore": {"over": "cohort"}}]}
    )
    report = run(tmp_path / "in", tmp_path / "out", config=config, scheduler="serial")
    assert (report.exit_code, report.finished.done) == (0, 2)
    assert sorted(reads) == ["a_ct", "b_ct"]
    assert not (tmp_path / "scratch").exists()


def test_a_stored_case_is_dropped_unless_another_run_is_to_read_it(tmp_path):
    task = task_of(tmp_path, write_case(tmp_path / "in"))
    keeping, dropping = config_of(tmp_path), config_of(tmp_path, after="drop")
    assert keeping.digest == dropping.digest == parse_config({}).digest
    measure_case(replace(task, kind="measure"), dropping, Counting())
    assert len(entries(tmp_path)) == 1
    run_case(task, keeping, Counting())
    assert len(entries(tmp_path)) == 1
    reader = Counting()
    run_case(task, dropping, reader)
    assert (reader.reads, entries(tmp_path)) == (0, [])
    run_case(task, dropping, reader)  # nobody is to read it after this one
    assert (reader.reads, entries(tmp_path)) == (3, [])


def test_clearing_takes_away_what_is_ours(tmp_path):
    kept_once(tmp_path)
    (tmp_path / "scratch" / "note.txt").write_text("somebody's")
    clear_scratch(config_of(tmp_path).run.scratch)
    assert len(entries(tmp_path)) == 2
    clear_scratch(config_of(tmp_path, after="drop").run.scratch)
    assert [file.name for file in entries(tmp_path)] == ["note.txt"]
    clear_scratch(config_of(tmp_path / "nowhere", after="drop").run.scratch)
