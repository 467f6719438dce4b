"""What a run would do, from headers alone: projections and refusals for every case."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gpuprep.cohort.discover import Unmatched, choose, discover
from gpuprep.config.model import Config
from gpuprep.host.resources import available_memory
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.planning.agreement import named, settle
from gpuprep.preprocess.failure import explain
from gpuprep.preprocess.projection import Projection, check_memory
from gpuprep.preprocess.reference import with_reference
from gpuprep.preprocess.rehearsal import rehearse
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.agreement import Agreement
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


def preview_cohort(
    source: Path,
    config: Config,
    limit: int | None = None,
    *,
    only: Sequence[str] = (),
    failed: Collection[str] | None = None,
    present: Agreement | None = None,
) -> CohortPreview:
    """Read the headers of every case that a run would do, and project what it will need.

    A run refuses for the same reasons, by the same rules; what only voxels tell it finds besides.

    Args:
        limit: As for ``choose``, like ``only`` and ``failed``.
        present: What the output, if there is one, has agreed on.

    Raises:
        UsageError: the input cannot be used at all, or cannot agree with itself or the output.
    """
    config = with_reference(config)
    found = discover(
        source,
        layout=config.input.layout,
        follow_symlinks=config.input.follow_symlinks,
        series=config.input.series,
    )
    found = replace(found, cases=named(found.cases, config))
    cases = choose(found.cases, only=only, failed=failed, limit=limit)
    agreement = settle(found, present, config)
    projections, refused = [], []
    memory = available_memory()
    with Sandbox(ReadRules.of(config, root=found.root)) as sandbox:
        for case in cases:
            try:
                projection = rehearse(case, config, agreement, sandbox.peek)
                check_memory(case.id, projection.least_bytes, memory)
                projections.append(projection)
            except (CaseError, OSError) as error:
                refused.append(explain(CaseTask(case, "", ""), error))
    return CohortPreview(found.layout, tuple(projections), tuple(refused), found.unmatched)
