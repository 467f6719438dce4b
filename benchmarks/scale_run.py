"""One run of ``scale.py`` in a process of its own: the real coordinator, over cases that nobody reads."""

from __future__ import annotations

import json
import sys
import time
from typing import Any
from unittest.mock import patch

import gpuprep
from gpuprep.config.file import parse_config
from gpuprep.executors import dask
from gpuprep.executors.base import Outcome
from gpuprep.preprocess.task import CaseTask
from gpuprep.running.workforce import Workforce
from gpuprep.values.events import CaseDone, Event, RunStarted
from simulation import SimulatedCluster, measured_stages
from timing import forget_peak, resident_bytes

CONFIG = parse_config({"run": {"backoff": 0.001, "storm": 1000}}, "scale")


class Watch:
    """What the run looks like from outside: when it began and first ended a case, and its memory."""

    def __init__(self) -> None:
        self.began = self.first = 0.0
        self.before = 0
        self.cpu = time.process_time()

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self.began, self.before = time.monotonic(), forget_peak()
        elif isinstance(event, CaseDone) and not self.first:
            self.first = time.monotonic()


def main(request: dict[str, Any]) -> dict[str, Any]:
    watch = Watch()
    run = simulate if request["cluster"] == "simulated" else hand_to_dask
    row = run(request, watch)
    peak = resident_bytes("VmHWM")
    return {**request, **row, "growth_bytes": peak - watch.before, "peak_bytes": peak}


def simulate(request: dict[str, Any], watch: Watch) -> dict[str, Any]:
    """A run over simulated workers; seconds are those of the simulated clock."""
    stages = measured_stages()
    workers = request["workers"]
    cluster = SimulatedCluster(workers, stages, faults=request["faults"], seed=0)

    def starter(*_: object, **__: object) -> Any:
        return lambda: cluster

    with patch.object(Workforce, "starter", starter):
        report = gpuprep.run(request["input"], request["output"], config=CONFIG, listeners=[watch])
    finished = report.finished
    ended = finished.done + finished.failed
    return {
        "done": finished.done,
        "failed": finished.failed,
        "cases_per_second": ended / cluster.now,
        "busy": cluster.worked / (workers * cluster.now),
        "cpu_per_case": (time.process_time() - watch.cpu) / ended,
        "first_result": cluster.first_result,
        "seconds_per_case": cluster.worked / ended,
    }


def hand_to_dask(request: dict[str, Any], watch: Watch) -> dict[str, Any]:
    """A run over real worker processes whose cases do nothing; CPU time is that of this process."""
    with patch.object(dask, "perform_in_slot", do_nothing):
        report = gpuprep.run(
            request["input"],
            request["output"],
            config=CONFIG,
            workers=request["workers"],
            listeners=[watch],
        )
    finished = report.finished
    seconds = time.monotonic() - watch.began
    return {
        "done": finished.done,
        "failed": finished.failed,
        "cases_per_second": finished.done / seconds,
        "busy": None,
        "cpu_per_case": (time.process_time() - watch.cpu) / finished.done,
        "first_result": watch.first - watch.began,
        "seconds_per_case": 0.0,
    }


def do_nothing(fields: dict[str, Any]) -> Outcome:
    """What a worker does with a case here."""
    plan = CaseTask.from_json(fields)
    return Outcome(plan, done=CaseDone(plan.case.id))


if __name__ == "__main__":
    sys.modules["scale_run"] = sys.modules["__main__"]  # workers find ``do_nothing`` by that name
    do_nothing.__module__ = "scale_run"
    print(json.dumps(main(json.loads(sys.argv[1]))))
