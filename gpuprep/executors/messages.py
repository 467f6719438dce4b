"""Outcomes as plain data: they travel with the word that a task has ended, not by a fetch after it.

A worker tells its outcome to the scheduler on the connection on which it says, next, that the task is
finished; the scheduler passes both on in that order. So whoever hears the end of a task has its outcome, also
where the worker's host is cut off a moment later. Nothing but strings, numbers and lists is unpacked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from distributed import get_worker

from gpuprep.executors.base import Outcome
from gpuprep.ops.statistics import Histogram
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.events import CaseDone, CaseFailed, StageSpan


def perform_and_tell(
    perform: Callable[[dict[str, Any]], Outcome], fields: dict[str, Any], topic: str
) -> None:
    """On a worker: run a task given as JSON, and tell the topic's listener under the task's key."""
    worker = get_worker()
    key = worker.get_current_task()
    worker.log_event(topic, {"key": key, "outcome": pack(perform(fields))})


def pack(outcome: Outcome) -> str:
    """An outcome as JSON in ASCII, without its task, which the listener knows.

    Names of files that are no UTF-8 come through, too.
    """
    fields = {
        "done": asdict(outcome.done) if outcome.done else None,
        "failed": asdict(outcome.failed) if outcome.failed else None,
        "stop": outcome.stop,
        "stage_seconds": outcome.stage_seconds,
        "histograms": outcome.histograms and [each.to_json() for each in outcome.histograms],
    }
    return json.dumps(fields)


def unpack(task: CaseTask, text: str) -> Outcome:
    """What ``pack`` gave, for its task."""
    fields = json.loads(text)
    histograms = fields["histograms"]
    return Outcome(
        task,
        done=_done(fields["done"]) if fields["done"] else None,
        histograms=tuple(map(Histogram.from_json, histograms)) if histograms else None,
        failed=CaseFailed(**fields["failed"]) if fields["failed"] else None,
        stop=fields["stop"],
        stage_seconds=tuple((name, seconds) for name, seconds in fields["stage_seconds"]),
    )


def _done(fields: Mapping[str, Any]) -> CaseDone:
    lists = {name: tuple(fields[name]) for name in ("findings", "fallbacks")}
    stages = tuple(StageSpan(**span) for span in fields["stages"])
    return CaseDone(**{**fields, **lists, "stages": stages})
