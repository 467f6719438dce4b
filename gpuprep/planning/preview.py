"""What a run would do, from headers alone: projections and refusals for every case."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gpuprep.cohort.discover import Found, Unmatched, choose, discover
from gpuprep.config.model import Config
from gpuprep.io.rules import ReadRules
from gpuprep.planning.agreement import named, settle
from gpuprep.planning.rehearsals import Rehearsed, rehearse_all
from gpuprep.preprocess.projection import Projection
from gpuprep.preprocess.reference import with_reference
from gpuprep.values.agreement import Agreement
from gpuprep.values.events import CaseFailed


@dataclass(frozen=True, slots=True)
class CohortPreview:
    """What would be done, what would be refused and why, and which files belong to no case.

    ``projections`` and ``refused`` are the first ones, as many as were asked for; the numbers are of all.
    """

    layout: str
    projections: tuple[Projection, ...]
    refused: tuple[CaseFailed, ...]
    unmatched: tuple[Unmatched, ...]
    cases_to_do: int
    cases_refused: int
    bytes_in: int
    bytes_out: int
    reader: str = "checked"
    """Who would read voxels (``input.reader``)."""

    def to_json(self) -> dict[str, Any]:
        return {
            "layout": self.layout,
            "reader": self.reader,
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
    headers: Path | None = None,
    keep_headers: bool = True,
    most: int | None = None,
    on_case: Callable[[int], None] = lambda _: None,
) -> CohortPreview:
    """Read the headers of every case that a run would do, and project what it will need.

    A run refuses for the same reasons, by the same rules; what only voxels tell it finds besides.

    Args:
        limit: As for ``choose``, like ``only`` and ``failed``.
        present: What the output, if there is one, has agreed on.
        headers: As for ``discover``, like ``keep_headers``.
        most: How many projections, and how many refusals, to keep; None keeps all.
        on_case: Is told the number of cases whenever one of them is through, from any thread.

    Raises:
        UsageError: the input cannot be used at all, or cannot agree with itself or the output.
    """
    config = with_reference(config)
    found = discover(
        source,
        layout=config.input.layout,
        follow_symlinks=config.input.follow_symlinks,
        series=config.input.series,
        several_volumes=config.input.several_volumes,
        structures=config.input.structure_rules,
        headers=headers,
        keep_headers=keep_headers,
    )
    found = replace(found, cases=named(found.cases, config))
    cases = choose(found.cases, only=only, failed=failed, limit=limit)
    agreement = settle(found, present, config)
    rules = ReadRules.of(config, root=found.root)
    rehearsed = rehearse_all(cases, config, agreement, rules, on_case=lambda: on_case(len(cases)))
    return replace(_summed(found, rehearsed, most), reader=config.input.reader)


def _summed(found: Found, rehearsed: Iterable[Rehearsed], most: int | None) -> CohortPreview:
    projections: list[Projection] = []
    refused: list[CaseFailed] = []
    numbers = {"cases_to_do": 0, "cases_refused": 0, "bytes_in": 0, "bytes_out": 0}
    for row in rehearsed:
        if isinstance(row, CaseFailed):
            numbers["cases_refused"] += 1
            if most is None or len(refused) < most:
                refused.append(row)
            continue
        numbers["cases_to_do"] += 1
        numbers["bytes_in"] += row.bytes_in
        numbers["bytes_out"] += row.bytes_out
        if most is None or len(projections) < most:
            projections.append(row)
    return CohortPreview(
        found.layout,
        tuple(projections),
        tuple(refused),
        found.unmatched,
        cases_to_do=numbers["cases_to_do"],
        cases_refused=numbers["cases_refused"],
        bytes_in=numbers["bytes_in"],
        bytes_out=numbers["bytes_out"],
    )
