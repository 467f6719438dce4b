"""What the runs of all jobs count, added up; each job's process keeps a file of its numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

METRICS_FILE = "metrics.prom"

_STAGES = "gpuprep_stage_seconds"
_FAMILIES = {
    "gpuprep_items": ("Cases by how they ended; class is the kind of a failure.", "state", "class"),
    "gpuprep_bytes": ("Bytes of source files read and of stored files written.", "dir"),
    _STAGES: ("Seconds of work per stage, over all workers.", "stage"),
    "gpuprep_retries": ("Cases handed out once more.",),
}

Key = tuple[str, tuple[str, ...]]
"""A family, and the values of its labels."""


class Tally:
    """Counters of all runs since the service began; of one that was at work then, all of it."""

    def __init__(self, jobs: Path) -> None:
        self._jobs = jobs
        self._total: defaultdict[Key, float] = defaultdict(float)
        self._last: dict[str, dict[Key, float]] = {}

    def look(self, working: Iterable[str]) -> None:
        """Add what the jobs at work, and those that were at the last look, have counted since."""
        now = set(working)
        for job_id in now | self._last.keys():
            self._add(job_id)
        for ended in self._last.keys() - now:
            del self._last[ended]

    def stages(self) -> dict[str, float]:
        """Seconds of work by stage since the service began."""
        return _stages(self._total)

    def stages_of(self, job_id: str) -> dict[str, float]:
        """The same of a job at work, as of the last look."""
        return _stages(self._last.get(job_id, {}))

    def _add(self, job_id: str) -> None:
        last = self._last.get(job_id, {})
        told = _read(self._jobs / job_id / METRICS_FILE)
        for key, value in told.items():
            before = last.get(key, 0.0)
            self._total[key] += value - before if value >= before else value  # a run anew
        self._last[job_id] = told or last

    def collect(self) -> Iterator[Metric]:
        """The families, as Prometheus has them."""
        for name, (help_text, *labels) in _FAMILIES.items():
            family = CounterMetricFamily(name, help_text, labels=labels)
            for (each, values), value in sorted(self._total.items()):
                if each == name:
                    family.add_metric(values, value)
            yield family


def stages_in(job: Path) -> dict[str, float]:
    """Seconds of work by stage that the last run in a job's folder counted, over all workers."""
    return _stages(_read(job / METRICS_FILE))


def _stages(counts: Mapping[Key, float]) -> dict[str, float]:
    return {key[0]: value for (name, key), value in counts.items() if name == _STAGES}


def _read(path: Path) -> dict[Key, float]:
    """The counters in a file; none where there is none, or it is not whole."""
    try:
        families = list(text_string_to_metric_families(path.read_text("utf-8")))
    except (OSError, ValueError):
        return {}
    return {
        (
            family.name,
            tuple(sample.labels[label] for label in _FAMILIES[family.name][1:]),
        ): sample.value
        for family in families
        if family.name in _FAMILIES
        for sample in family.samples
        if sample.name.endswith("_total")
    }
