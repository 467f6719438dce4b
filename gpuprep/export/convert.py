"""A whole cohort for other software: nnU-Net's preprocessed cases, or the layout of the MSD."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gpuprep.export.case import check_case, find_cohort
from gpuprep.export.journal import Journal, hold_journal
from gpuprep.export.msd import Msd
from gpuprep.export.nnunet import Nnunet
from gpuprep.export.selection import Chosen, Selection
from gpuprep.host.resources import available_cores, available_memory
from gpuprep.store.reader import Cohort
from gpuprep.store.standing import wanted_digest
from gpuprep.values.errors import UsageError

Target = Literal["nnunet", "msd"]
_WRITERS: dict[Target, type[Nnunet | Msd]] = {"nnunet": Nnunet, "msd": Msd}
_BYTES_PER_VOXEL = 32  # float32 and int64 with the copies that are made of them
_MOST_AT_ONCE = 16


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
    output_name: str | None = None,
    on_case: Callable[[int], None] = lambda _: None,
) -> Converted:
    """Write stored cases, on their own grids, as another tool wants them.

    What breaks off goes on when it is called again: cases that are whole in the folder, and the same in the
    cohort, stay as they are.

    >>> convert_cohort(Path("cohort"), Path("msd"), "msd").cases
    ('volume-0', 'volume-1')
    >>> sorted(entry.name for entry in Path("msd").iterdir())
    ['dataset.json', 'imagesTr', 'labelsTr']

    Args:
        output: the cohort's folder.
        folder: where to write; made when missing, and must be empty, or be written by an earlier call.
        to: ``nnunet`` writes ``CASE.b2nd``, ``CASE_seg.b2nd`` and ``CASE.pkl`` as nnU-Net 2.8 trains on
            them, and ``dataset.json`` beside the folder where there is none; ``msd`` ``dataset.json``,
            ``imagesTr``, ``labelsTr`` and ``imagesTs``.
        cases: the ids of some cases; all by default.
        label: the label map to take where cases have several.
        output_name: the output to take where cases have several; by default the first.
        on_case: is told the number of cases whenever one of them is written or found there.

    Raises:
        UsageError: there is no such case or label, a case does not suit the layout, an optional
            package is missing, or the folder cannot be written or holds something else.
        StoreError: an older version wrote the cohort, and its cases disagree.
        CorruptStoreError: bytes of a case are damaged.
    """
    cohort = find_cohort(output, output_name)
    ids = tuple(cases) or cohort.ids
    if not ids:
        raise UsageError(f"{output} holds no finished case", advice="run it again")
    with hold_journal(folder, to) as journal:
        _WRITERS[to].require()
        journal.check_config(_config_of(cohort))
        for case_id in cases:
            check_case(cohort, case_id)
        chosen = Selection.of(cohort, ids, label, _WRITERS[to].check)
        writer = _WRITERS[to](chosen, folder)
        names = {name for case in chosen.cases for name in writer.files_of(case)}
        journal.check(chosen, names, writer.how)
        _make(folder)
        writer.begin()
        journal.begin()
        _write_all(chosen, writer, journal, on_case)
        description = writer.finish()
    return Converted(folder, to, ids, description)


def _config_of(cohort: Cohort) -> str:
    """The digest that the cohort's cases carry, and of several outputs which; empty where that is lost."""
    digest = wanted_digest(cohort.path)
    return f"{digest} {cohort.asked}".strip() if digest is not None else ""


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error


def _write_all(
    chosen: Selection,
    writer: Nnunet | Msd,
    journal: Journal,
    on_case: Callable[[int], None],
) -> None:
    """Write the cases that are not there, as many at once as cores and memory take."""
    largest = max(case.voxels for case in chosen.cases) * _BYTES_PER_VOXEL
    number = max(1, min(available_cores(), _MOST_AT_ONCE, available_memory() // max(1, largest)))
    running: dict[Future[None], Chosen] = {}

    def note(at_least: int) -> None:
        while len(running) > at_least:
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                case = running.pop(done)
                done.result()
                journal.add(case, writer.files_of(case))
                on_case(len(chosen.cases))

    with ThreadPoolExecutor(number, thread_name_prefix="gpuprep-convert") as pool:
        for case in chosen.cases:
            if journal.holds(case, writer.files_of(case)):
                on_case(len(chosen.cases))
                continue
            running[pool.submit(writer.write, case)] = case
            note(number - 1)
        note(0)
