"""Outcomes as messages: what a worker packs, the coordinator unpacks, with nothing but plain data between."""

from dataclasses import replace

import msgpack
import numpy as np
import pytest

from gpuprep.executors.base import Outcome, pack, unpack
from gpuprep.ops.statistics import Histogram
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.case import Case, Source
from gpuprep.values.events import CaseDone, CaseFailed, StageSpan

PLAN = CaseTask(Case("liver-1", (Source("/data/liver-1.nii.gz"),)), "/out", "digest")
DONE = CaseDone(
    "liver-1",
    bytes_in=10,
    bytes_out=20,
    seconds=1.5,
    findings=("W_4D",),
    fallbacks=("out of memory",),
    stages=(StageSpan("read", 1.0, 0.5, 7, 8), StageSpan("store", 1.5, 0.5, 7, 8)),
)
FAILED = CaseFailed(
    "liver-1", "input", "E_TRUNCATED", "too short", "get it again", "/a", "", "never"
)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(PLAN, done=DONE, stage_seconds=(("read", 0.5), ("store", 0.5))),
        Outcome(PLAN, failed=FAILED),
        Outcome(PLAN, failed=replace(FAILED, path="/a/name that is no UTF-8 \udcff")),
        Outcome(PLAN, stop="the disk is full"),
    ],
    ids=["done", "failed", "failed with a strange name", "stop"],
)
def test_an_outcome_comes_out_as_it_went_in(outcome):
    assert unpack(PLAN, over_the_wire(outcome)) == outcome


def test_histograms_keep_every_count():
    before = Histogram.of(-1000, np.array([3, 0, 0, 2**40]))
    (after,) = unpack(PLAN, over_the_wire(Outcome(PLAN, histograms=(before,)))).histograms
    assert after.start == before.start
    assert after.counts.tolist() == before.counts.tolist()


def over_the_wire(outcome: Outcome) -> str:
    return msgpack.unpackb(msgpack.packb(pack(outcome)))
