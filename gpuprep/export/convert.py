"""A whole cohort for other software: nnU-Net's preprocessed cases, or the layout of the MSD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gpuprep.export.case import check_case, find_cohort
from gpuprep.export.msd import write_msd
from gpuprep.export.nnunet import write_nnunet
from gpuprep.export.selection import Selection
from gpuprep.values.errors import UsageError

Target = Literal["nnunet", "msd"]


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written where; ``description`` is its ``dataset.json`` (nnU-Net's lies beside the folder)."""

    folder: Path
    target: Target
    cases: tuple[str, ...]
    description: Path

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "target": self.target,
            "cases": list(self.cases),
            "description": str(self.description),
        }


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
            them, and ``dataset.json`` beside the folder where there is none; ``msd`` ``dataset.json``,
            ``imagesTr``, ``labelsTr`` and ``imagesTs``.
        cases: the ids of some cases; all by default.
        label: the label map to take where cases have several.

    Raises:
        UsageError: there is no such case or label, a case does not suit the layout, an optional
            package is missing, or the folder cannot be written.
        StoreError: an older version wrote the cohort, and its cases disagree.
        CorruptStoreError: bytes of a case are damaged.
    """
    cohort = find_cohort(output)
    ids = tuple(cases) or cohort.ids
    if not ids:
        raise UsageError(f"{output} holds no finished case", advice="run it again")
    for case_id in ids:
        check_case(cohort, case_id)
    chosen = Selection.of(cohort, ids, label)
    _check_folder(folder)
    description = {"nnunet": write_nnunet, "msd": write_msd}[to](chosen, folder)
    return Converted(folder, to, ids, description)


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        empty = not any(folder.iterdir())
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
    if not empty:
        raise UsageError(f"{folder} is not empty", advice="choose a new folder")
