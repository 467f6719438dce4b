"""A disk that fails now and then, always for one file, or by halves: what a run says and leaves behind."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from chaos.faulty_disk import faulty
from support.cohorts import contents
from support.runs import end, finish, start

pytestmark = pytest.mark.slow

QUICK = ("--set", "run.backoff=0.02")
SPORADIC = (
    "write:EIO:every=29:.staging",
    "open:EIO:every=97:.staging",
    "mkdir:EIO:every=31:.staging",
    "rename:EIO:every=41:.staging",
    "unlink:EIO:every=7:.staging",
    "fsync:EIO:every=31",
)


@dataclass(frozen=True)
class Ended:
    """A run that met faults: how it ended, what it said, and which calls failed on which files."""

    code: int
    printed: str
    faults: tuple[str, ...]

    def met(self, call: str, part: str) -> bool:
        return any(line.startswith(call) and part in line for line in self.faults)


@pytest.fixture
def suffer(some, tmp_path):
    """Runs the cohort into ``tmp_path/out`` while files below a folder obey rules."""

    def run(scheduler: str, folder: Path, *rules: str) -> Ended:
        told = tmp_path / "told"
        environment = faulty(folder, *rules, told=told)
        process = start(some, tmp_path / "out", scheduler, "", *QUICK, environment=environment)
        printed = end(process)
        assert "Traceback" not in printed, printed
        faults = told.read_text().splitlines() if told.exists() else []
        return Ended(process.returncode, " ".join(printed.split()), tuple(faults))

    return run


def failures(output: Path) -> dict[str, dict[str, str]]:
    path = output / "failures.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return {row["case"]: row for row in map(json.loads, lines)}


def of_cases(files: dict[str, bytes], *cases: str) -> dict[str, bytes]:
    """The files of a cohort that has only these of its cases."""
    folders = {f"{case}.zarr" for case in cases}
    return {
        path: text
        for path, text in files.items()
        if {*Path(path).parts[1:2]} <= folders | {"zarr.json"}
    }


def check_resumed(some: Path, output: Path, clean: dict[str, bytes]) -> None:
    """The same command on a disk that works finishes the rest and leaves nothing else."""
    resumed = finish(some, output)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert contents(output) == clean
    assert not list((output / ".staging").glob("*"))
    assert not failures(output)
    assert not (output / "attempts.jsonl").exists()


@pytest.mark.parametrize("scheduler", ["local", "serial"])
def test_a_disk_that_fails_now_and_then_costs_attempts_and_no_case_is_half(
    some, clean, tmp_path, suffer, scheduler
):
    output = tmp_path / "out"
    ended = suffer(scheduler, output, *SPORADIC, "write:EIO:always:.staging/volume-3.")
    assert ended.code == 1, ended
    assert {line.split()[0] for line in ended.faults} >= {"write", "open", "mkdir", "fsync"}
    failed = failures(output)
    assert "volume-3" in failed
    for failure in failed.values():
        assert (failure["kind"], failure["code"]) == ("store", "EIO")
        assert failure["message"].startswith(f"{output}/")
        assert "cannot be written: Input/output error (5 attempts)" in failure["message"]
        assert failure["advice"].startswith("check the disk")
    done = {path.stem for path in (output / "cases").glob("*.zarr")}
    assert done | set(failed) == {f"volume-{number}" for number in range(6)}
    assert contents(output) == of_cases(clean, *done)
    check_resumed(some, output, clean)


def test_a_source_that_fails_now_and_then_is_read_again(some, clean, tmp_path, suffer):
    ended = suffer(
        "local",
        some,
        "read:EIO:at=3:/volume-1.",
        "open:EIO:at=2:/segmentation-4.",
        "stat:ESTALE:at=2:/volume-2.",
        "read:EIO:always:/volume-3.",
    )
    assert ended.code == 1, ended
    assert ended.met("read EIO", "volume-1.")
    assert ended.met("open EIO", "segmentation-4.")
    assert ended.met("stat ESTALE", "volume-2.")
    output = tmp_path / "out"
    (failure,) = failures(output).values()
    assert (failure["case"], failure["kind"], failure["code"]) == ("volume-3", "io", "EIO")
    reason = "cannot be read: Input/output error (5 attempts)"
    assert failure["message"] == f"{some}/volume-3.nii.gz: {reason}"
    check_resumed(some, output, clean)


@pytest.mark.parametrize("scheduler", ["local", "serial"])
def test_a_disk_that_takes_and_gives_by_halves_changes_no_byte(
    some, clean, tmp_path, suffer, scheduler
):
    rules = ("write:EINTR:every=3", "read:EINTR:every=5", "write:short:always", "read:short:always")
    ended = suffer(scheduler, tmp_path.parent, *rules)
    assert ended.code == 0, ended
    for call in ("write EINTR", "write short", "read EINTR", "read short"):
        assert ended.met(call, f"{some if 'read' in call else tmp_path}/"), call
    assert ended.met("write short", "manifest.jsonl")
    assert contents(tmp_path / "out") == clean


@pytest.mark.parametrize(
    "rules",
    [
        ("open:EIO:at=2:manifest.jsonl",),
        ("write:EIO:always:failures.jsonl", "write:EIO:always:.staging/volume-3."),
        ("write:EIO:always:attempts.jsonl", "mkdir:EIO:at=1:.staging/volume-2."),
        ("rename:EIO:always:gpuprep.json",),
        ("open:EIO:at=1:gpuprep.json",),
    ],
    ids=lambda rules: rules[0],
)
def test_a_run_whose_own_files_fail_stops_and_says_which(some, clean, tmp_path, suffer, rules):
    output = tmp_path / "out"
    ended = suffer("serial", output, *rules)
    assert ended.code == 3, ended
    assert str(output) in ended.printed
    assert "Input/output error" in ended.printed
    assert "check the disk" in ended.printed
    assert "same command again" in ended.printed
    check_resumed(some, output, clean)


def test_a_run_goes_on_without_what_it_can_do_without(some, clean, tmp_path, suffer):
    output = tmp_path / "out"
    told = ("status", "run-", "report.json", "/logs")
    rules = [f"open:EIO:always:{name}" for name in told]
    ended = suffer("serial", output, *rules, "unlink:EIO:always", "stat:EIO:always:attempts.jsonl")
    assert ended.code == 0, ended
    for name in told[:3]:
        assert ended.met("open", name)
    assert contents(output) == clean
    check_resumed(some, output, clean)


def test_a_case_whose_fsync_failed_is_not_done(some, clean, tmp_path, suffer):
    output = tmp_path / "out"
    ended = suffer("serial", output, "fsync:EIO:always:.staging/volume-2.")
    assert ended.code == 1, ended
    (failure,) = failures(output).values()
    assert (failure["case"], failure["code"]) == ("volume-2", "EIO")
    assert "done volume-2" not in ended.printed
    assert contents(output) == of_cases(clean, *(f"volume-{n}" for n in (0, 1, 3, 4, 5)))
    check_resumed(some, output, clean)


def test_a_case_whose_rename_cannot_be_made_durable_is_not_called_done(
    some, clean, tmp_path, suffer
):
    output = tmp_path / "out"
    ended = suffer(
        "serial", output, "fsync:EIO:after=1:/cases$"
    )  # the first is of the empty folder
    assert ended.code == 1, ended
    assert {failure["code"] for failure in failures(output).values()} == {"EIO"}
    assert "done volume" not in ended.printed
    assert not (output / "manifest.jsonl").exists()
    check_resumed(some, output, clean)


def test_a_rename_that_was_done_and_reported_as_failed_counts(some, clean, tmp_path, suffer):
    output = tmp_path / "out"
    ended = suffer("serial", output, "rename:done-EIO:always:/case$")
    assert ended.code == 0, ended
    assert contents(output) == clean


def test_a_fault_at_any_call_of_any_reader_is_no_fault_of_the_file(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    script = Path(__file__).with_name("faulty_reads.py")
    paths = os.pathsep.join([*map(str, script.parents[1:3]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, **faulty(folder, told=tmp_path / "told")}
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True, text=True, env=environment, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert len(told) >= 20
    assert min(faults for faults, _ in told.values()) >= 6  # small files are read in a few calls
    assert {name: broken for name, (_, broken) in told.items() if broken} == {}
