"""The hour that was: a ring of samples, told column by column."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuprep.host.gpus import Gpu
from gpuprep.service.machine.bodies import GpuHistory, History

EVERY_SECONDS = 5.0
_KEPT = 720


@dataclass(frozen=True, slots=True)
class Sample:
    """How the machine stood at one moment; sizes are bytes."""

    time: float
    busy: float | None = None
    memory_used: int = 0
    disk_free: int | None = None
    workers: int = 0
    waiting: int = 0
    stages: Mapping[str, float] = field(default_factory=dict)
    """Seconds of work by stage since the service began, over all workers."""
    gpus: tuple[Gpu, ...] = ()


class Ring:
    """The samples of the last hour, the oldest first."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._samples: deque[Sample] = deque(maxlen=kept)

    def add(self, sample: Sample) -> None:
        self._samples.append(sample)

    def told(self, since: float = 0.0) -> History:
        """The samples behind a time, column by column; for stages how many workers were at each."""
        samples = list(self._samples)
        later = (k for k, each in enumerate(samples) if _tenths(each.time) > since)
        first = next(later, len(samples))
        wanted = samples[first:]
        names = dict.fromkeys(name for each in wanted for name in each.stages)
        before = [None, *samples][first : first + len(wanted)]
        indices = sorted({gpu.index for each in wanted for gpu in each.gpus})
        return History(
            every=EVERY_SECONDS,
            time=[_tenths(each.time) for each in wanted],
            busy=[_rounded(each.busy) for each in wanted],
            memory=[each.memory_used for each in wanted],
            disk=[each.disk_free for each in wanted],
            workers=[each.workers for each in wanted],
            waiting=[each.waiting for each in wanted],
            stages={
                name: [_rate(name, old, new) for old, new in zip(before, wanted, strict=True)]
                for name in names
            },
            gpus=[_of_gpu(index, wanted) for index in indices],
        )


def _rate(name: str, old: Sample | None, new: Sample) -> float:
    """Seconds of work at a stage for each second since the sample before."""
    if old is None or new.time <= old.time:
        return 0.0
    worked = new.stages.get(name, 0.0) - old.stages.get(name, 0.0)
    return round(max(0.0, worked) / (new.time - old.time), 3)


def _of_gpu(index: int, samples: list[Sample]) -> GpuHistory:
    found = [next((gpu for gpu in each.gpus if gpu.index == index), None) for each in samples]
    return GpuHistory(
        index=index,
        busy=[_rounded(gpu.busy) if gpu else None for gpu in found],
        memory=[gpu.memory_used if gpu else None for gpu in found],
    )


def _tenths(seconds: float) -> float:
    """A time as it is told, and so as one asks for what came after it."""
    return round(seconds, 1)


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 3)
