"""A whole cohort for other software: nnU-Net's preprocessed cases, or the layout of the MSD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gpuprep.export.case import Labelled, all_cases, find_case
from gpuprep.export.msd import write_msd
from gpuprep.export.nnunet import write_nnunet
from gpuprep.values.errors import UsageError

Target = Literal["nnunet", "msd"]


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written where."""

    folder: Path
    target: Target
    cases: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"folder": str(self.folder), "target": self.target, "cases": list(self.cases)}


def convert_cohort(
    output: Path,
    folder: Path,
    to: Target,
    *,
    cases: Sequence[str] = (),
    label: str | None = None,
) -> Converted:
    """Write stored cases, on their own grids, as another tool wants them.

    >>> convert_cohort(Path("cohort"), Path("msd"), "msd").cases
    ('volume-0', 'volume-1')
    >>> sorted(entry.name for entry in Path("msd").iterdir())
    ['dataset.json', 'imagesTr', 'labelsTr']

    Args:
        output: the cohort's folder.
        folder: where to write; made when missing, and must be empty.
        to: ``nnunet`` writes ``CASE.b2nd``, ``CASE_seg.b2nd`` and ``CASE.pkl`` as nnU-Net 2.8 trains on
            them, ``msd`` ``dataset.json``, ``imagesTr``, ``labelsTr`` and ``imagesTs``.
        cases: the ids of some cases; all by default.
        label: the label map to take where cases have several.

    Raises:
        UsageError: there is no such case or label, a case does not suit the layout, an optional
            package is missing, or the folder cannot be written.
        CorruptStoreError: bytes of a case are damaged.
    """
    chosen = [find_case(output, case_id) for case_id in cases or all_cases(output)]
    labelled = [Labelled.of(case, label) for case in chosen]
    _check_folder(folder)
    write = {"nnunet": write_nnunet, "msd": write_msd}[to]
    write(labelled, folder)
    return Converted(folder, to, tuple(case.id for case in chosen))


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        empty = not any(folder.iterdir())
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
    if not empty:
        raise UsageError(f"{folder} is not empty", advice="choose a new folder")
