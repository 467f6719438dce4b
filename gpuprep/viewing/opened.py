"""What a path names that can be looked at: a cohort, one of its cases, a case by itself, or an input."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gpuprep.config.model import Config
from gpuprep.store.layout import CASE_SUFFIX, CASES_FOLDER, RECORD_FILE
from gpuprep.store.places import Place, is_url, to_place
from gpuprep.store.standing import read_standing
from gpuprep.store.stored_case import StoredCase, open_case
from gpuprep.values.errors import UsageError
from gpuprep.viewing.input_sight import input_sight
from gpuprep.viewing.sight import Sight, StoredSight
from gpuprep.viewing.source_volume import read_source, source_problem


@dataclass(frozen=True)
class Opened:
    """A cohort, of which ``case`` is to be shown first, if any; or, without a cohort, one sight.

    Attributes:
        cohort: Where the cohort lies.
        case: The id of one of its cases.
        sight: A case outside any cohort, or an input.
        stored: The stored case that ``sight`` shows.
        name: What it is called.
    """

    cohort: Place | None = None
    case: str = ""
    sight: Sight | None = None
    stored: StoredCase | None = None
    name: str = ""


def open_path(path: str, config: Config) -> Opened:
    """Find out what a path or the URL of a cohort names.

    Raises:
        UsageError: nothing, or more than one case that is no cohort, is there.
        InputError: an input cannot be read.
        StoreError: a stored case cannot be read.
    """
    if is_url(path):
        place = to_place(path)
        if not place.is_cohort():
            raise UsageError(f"{path} is no cohort", advice="give the URL of a run's output")
        return Opened(place, name=place.name)
    folder = Path(path).absolute()
    if (folder / CASES_FOLDER).is_dir():
        return Opened(to_place(folder), name=folder.name)
    if (folder / RECORD_FILE).is_file() or folder.name.endswith(CASE_SUFFIX):
        return _stored(folder)
    if not folder.exists() and (folder.parent / CASES_FOLDER).is_dir():
        return _of_cohort(folder.parent, folder.name)
    found = input_sight(Path(path), config)
    return Opened(sight=found, name=found.id)


def _of_cohort(output: Path, case_id: str) -> Opened:
    folder = output / CASES_FOLDER / f"{case_id}{CASE_SUFFIX}"
    if not (folder / RECORD_FILE).is_file():
        raise UsageError(
            f"{output} holds no case {case_id!r}", advice=f"gpuprep view {output} lists them"
        )
    if case_id in read_standing(to_place(output)).withdrawn:
        return _alone(folder)  # its cohort shows it no longer
    return Opened(to_place(output), case_id, name=output.name)


def _stored(folder: Path) -> Opened:
    """A case, with its cohort where it lies in one."""
    if folder.parent.name == CASES_FOLDER and folder.name.endswith(CASE_SUFFIX):
        return _of_cohort(folder.parent.parent, folder.name.removesuffix(CASE_SUFFIX))
    return _alone(folder)


def _alone(folder: Path) -> Opened:
    case = open_case(folder)
    source = cache(lambda: read_source(case.record, Config()))
    sight = StoredSight(case, source, problem=lambda: source_problem(case.record))
    return Opened(sight=sight, stored=case, name=case.id)
