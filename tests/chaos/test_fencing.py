"""Many hands on one cohort: one winner for each case, and the same bytes however the work was shared."""

import json
import multiprocessing

import pytest
from support.cohorts import contents
from support.runs import end, start

import gpuprep
from gpuprep.config.file import parse_config
from gpuprep.executors.base import Outcome
from gpuprep.executors.task import perform_in_slot
from gpuprep.ledger.claim import claim
from gpuprep.preprocess.task import CaseTask
from gpuprep.store.verify import verify_cohort
from gpuprep.values.case import Case, LabelSource, Source

pytestmark = pytest.mark.slow

COHORT = ("--set", "image.intensity=[{zscore: {over: cohort}}]")


def test_twenty_executions_of_one_case_have_one_winner(some, tmp_path):
    config = parse_config({})
    claim(tmp_path, config, overwrite=False)
    label = LabelSource((Source(str(some / "segmentation-0.nii.gz")),))
    case = Case("a", (Source(str(some / "volume-0.nii.gz")),), (label,))
    plan = CaseTask(case, str(tmp_path), config.digest).to_json()
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        outcomes: list[Outcome] = pool.map(perform_in_slot, [plan] * 20, chunksize=1)
    assert all(outcome.done for outcome in outcomes)
    stored = gpuprep.open(tmp_path)["a"].record["timings"]
    taken = [
        {name: round(seconds, 4) for name, seconds in outcome.stage_seconds if name != "commit"}
        for outcome in outcomes
    ]
    assert taken.count(stored) == 1
    assert not verify_cohort(tmp_path, full=True)
    assert not list((tmp_path / ".staging").iterdir())


def test_workers_and_order_do_not_show(some, tmp_path):
    """The case that sleeps comes back last, in both passes."""
    made = {}
    for name, workers, sleeper in (("one", 1, "none"), ("two", 2, "volume-0"), ("four", 4, "e-3")):
        output = tmp_path / name
        armed = f"before_read@{sleeper}=sleep-0.5"
        process = start(some, output, "local", armed, *COHORT, "--workers", str(workers))
        printed = end(process)
        assert process.returncode == 0, printed
        lines = map(json.loads, (output / "manifest.jsonl").read_text().splitlines())
        listed = {line.pop("case"): line | {"record": "size and time"} for line in lines}
        made[name] = contents(output), (output / "fingerprint.json").read_bytes(), listed
    assert made["one"] == made["two"] == made["four"]
