"""What a worker is handed to do with a case, and how long each stage of it takes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gpuprep.values.agreement import Agreement
from gpuprep.values.case import Case
from gpuprep.values.events import StageSpan


@dataclass(frozen=True, slots=True)
class CaseTask:
    """One task for a worker, small and picklable. ``digest`` names config and cohort statistics."""

    case: Case
    output: str
    digest: str
    kind: Literal["prepare", "measure"] = "prepare"
    backend: Literal["numpy", "cupy", "auto"] = "numpy"
    """``auto``: CUDA, and NumPy where the device cannot be opened; ``cupy``: the run stops there."""
    threads: int = 1
    memory: int = 0
    """Bytes the case may take at its peak; 0 for no limit. What is beyond goes to disk where it can."""
    shares: int = 1
    """How many cases divide the memory of their host, ``memory`` for each; a large one takes several."""
    replace: bool = False
    agreement: Agreement = field(default_factory=Agreement)
    """What the case must have in common with the others of its cohort."""
    input: str = ""
    """The input of the run that found the case."""
    root: str = ""
    """The folder that its files must lie in, links followed; empty for anywhere."""
    url: str = ""
    """Where the case is published, if not in ``output``, which then only the run's own host need have."""

    def to_json(self) -> dict[str, Any]:
        case, agreement = self.case.to_json(), self.agreement.to_json()
        return {**asdict(self), "case": case, "agreement": agreement}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> CaseTask:
        case, agreement = Case.from_json(fields["case"]), Agreement.from_json(fields["agreement"])
        return cls(**{**fields, "case": case, "agreement": agreement})


class Stopwatch:
    """Seconds per named stage of one case, and when each stretch of it began."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.spans: list[StageSpan] = []

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        began, start = time.time(), time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
            place = os.getpid(), threading.get_native_id()
            self.spans.append(StageSpan(stage, began, seconds, *place))
