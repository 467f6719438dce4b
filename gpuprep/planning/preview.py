"""What a run would do, from headers alone: projections and refusals for every case."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gpuprep.cohort.discover import Unmatched, discover
from gpuprep.config.model import Config
from gpuprep.host.resources import available_memory
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.preprocess.failure import explain
from gpuprep.preprocess.projection import Projection, check_memory, project_case
from gpuprep.preprocess.reference import with_reference
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.errors import CaseError
from gpuprep.values.events import CaseFailed


@dataclass(frozen=True, slots=True)
class CohortPreview:
    """What would be done, what would be refused and why, and which files belong to no case."""

    layout: str
    projections: tuple[Projection, ...]
    refused: tuple[CaseFailed, ...]
    unmatched: tuple[Unmatched, ...]

    @property
    def bytes_in(self) -> int:
        return sum(row.bytes_in for row in self.projections)

    @property
    def bytes_out(self) -> int:
        return sum(row.bytes_out for row in self.projections)

    def to_json(self) -> dict[str, Any]:
        return {
            "layout": self.layout,
            "cases": [asdict(row) for row in self.projections],
            "refused": [row.to_json() for row in self.refused],
            "unmatched": [asdict(row) for row in self.unmatched],
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
        }


def preview_cohort(source: Path, config: Config, limit: int | None = None) -> CohortPreview:
    """Read the header of every case and project what it will need.

    Raises:
        UsageError: the input cannot be used at all.
    """
    config = with_reference(config)
    found = discover(
        source,
        layout=config.input.layout,
        follow_symlinks=config.input.follow_symlinks,
        series=config.input.series,
    )
    projections, refused = [], []
    memory = available_memory()
    with Sandbox(ReadRules.of(config, root=found.root)) as sandbox:
        for case in found.cases[:limit]:
            try:
                projection = project_case(case, config, sandbox.peek)
                check_memory(case.id, projection.least_bytes, memory)
                projections.append(projection)
            except CaseError as error:
                refused.append(explain(CaseTask(case, "", ""), error))
    return CohortPreview(found.layout, tuple(projections), tuple(refused), found.unmatched)
