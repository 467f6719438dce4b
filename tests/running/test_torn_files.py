"""Files of an output that a power cut tore: the same command mends each, and readers have words for it."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from support.cohorts import contents, run, run_told, write_pair

import gpuprep
from gpuprep.executors.base import Outcome
from gpuprep.executors.task import open_workplace
from gpuprep.ledger.failures import group_failures
from gpuprep.ledger.fingerprint import load_fingerprint
from gpuprep.ledger.index import listed_cases
from gpuprep.ledger.output import load_output_config
from gpuprep.ledger.state import read_state
from gpuprep.preprocess.task import CaseTask
from gpuprep.store.agreement import read_agreement
from gpuprep.store.places import to_place
from gpuprep.store.verify import verify_cohort
from gpuprep.values.case import Case, Source
from gpuprep.values.errors import CorruptStoreError, GpuprepError

pytestmark = pytest.mark.usefixtures("reads_here")

CONFIG = {
    "image": {"intensity": [{"zscore": {"over": "cohort"}}], "resample": {"spacing": [3, 3, 3]}}
}
NAMES = (
    *("gpuprep.json", "fingerprint.json", "agreement.json", "inputs.json", "manifest.jsonl"),
    *("report.json", "zarr.json", "cases/zarr.json", ".gpuprep/status.json", "withdrawn.json"),
    *("failures.jsonl", "attempts.jsonl", "index.npz"),
)
TOLD = {"gpuprep.json", "fingerprint.json", "agreement.json"}


def torn(text: bytes, how: str) -> bytes:
    return {
        "empty": b"",
        "zeros": bytes(len(text)),
        "half": text[: len(text) // 2],
        "noise": bytes(range(256)) * 2,
        "list": b"[1]",
        "other": b'{"key": 1, "channels": [{}], "inputs": 3, "labels": 1, "running": 2, "case": []}\n',
    }[how]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    for number in range(2):
        write_pair(folder, number)
    return folder


@pytest.fixture(scope="module")
def finished(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "out"
    assert run(source, out, CONFIG).exit_code == 0
    return out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "out"))


class _Advised(Exception):
    """An error that says what to do."""


def read_all(out: Path) -> None:
    """What commands read of an output; only errors of ours, which say what to do."""
    for read in (
        *(load_output_config, read_state, group_failures, verify_cohort, gpuprep.open),
        lambda place: gpuprep.open(place).agreement,
        lambda place: gpuprep.open(place).table(),
        lambda place: load_fingerprint(to_place(place)),
    ):
        with suppress(_Advised):
            try:
                read(out)
            except GpuprepError as error:
                raise (_Advised if error.advice else AssertionError)(str(error)) from error


@pytest.mark.parametrize("how", ["empty", "zeros", "half", "noise", "list", "other"])
@pytest.mark.parametrize("name", NAMES)
def test_the_same_command_mends(source, finished, out, name, how):
    file = out / name
    whole = file.read_bytes() if file.exists() else b'{"case": "volume-0", "code": "E_X"}\n'
    file.write_bytes(torn(whole, how))
    read_all(out)
    report, told = run_told(source, out, CONFIG)
    assert report.exit_code == 0
    assert report.finished.skipped == 2
    assert verify_cohort(out, full=True) == []
    assert contents(out) == contents(finished)
    assert (name in TOLD) == any(name in line for line in told), told
    assert read_state(out).state == "finished"
    assert set(listed_cases(out)) == {"volume-0", "volume-1"}
    same = ("gpuprep.json", "fingerprint.json", "agreement.json", "inputs.json", "zarr.json")
    for each in same:
        assert (out / each).read_bytes() == (finished / each).read_bytes(), each
    assert not (out / "withdrawn.json").exists()


@pytest.mark.parametrize("seal", [True, False])
def test_statistics_with_one_other_digit_are_not_taken(out, seal):
    tree = json.loads((out / "fingerprint.json").read_text())
    tree["cases"] += 1
    if not seal:
        del tree["seal"]  # as older versions wrote them
    (out / "fingerprint.json").write_text(json.dumps(tree))
    if seal:
        with pytest.raises(CorruptStoreError, match="seal"):
            load_fingerprint(out)
    else:
        assert load_fingerprint(out).cases == 3


def test_a_worker_takes_no_damaged_statistics_for_none(out):
    (out / "fingerprint.json").write_bytes(b"")
    case = Case("a", (Source("/nowhere/a.nii.gz"),))
    ended = open_workplace(CaseTask(case, str(out), "digest"))
    assert isinstance(ended, Outcome)
    assert ended.failed is not None
    assert "fingerprint.json" in ended.failed.message


def test_damaged_cases_do_not_speak_for_the_agreement(source, finished, out):
    (out / "agreement.json").write_bytes(b"")
    (out / "cases/volume-0.zarr/zarr.json").write_bytes(b"")
    assert run(source, out, CONFIG).exit_code == 0
    assert read_agreement(to_place(out)) == read_agreement(to_place(finished))
    assert verify_cohort(out, full=True) == []
