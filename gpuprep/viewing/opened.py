"""What a path names that can be looked at: a cohort, one of its cases, a case by itself, or an input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from gpuprep.config.model import Config
from gpuprep.store.layout import CASE_SUFFIX, CASES_FOLDER, RECORD_FILE
from gpuprep.store.places import Place, is_url, to_place
from gpuprep.store.reader import Cohort
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
    output: str | None = None
    """The output of stored cases that is to be shown; None for their first."""


def open_path(path: str, config: Config, output: str | None = None) -> Opened:
    """Find out what a path or the URL of a cohort names, and which of several outputs is to be shown.

    Raises:
        UsageError: nothing, or more than one case that is no cohort, is there; or no such output.
        InputError: an input cannot be read.
        StoreError: a stored case cannot be read.
    """
    opened = _opened(path, config, output)
    if output is not None and opened.stored is None:
        if opened.cohort is None:
            raise UsageError(f"{path} is an input, and only stored cases have outputs")
        Cohort(opened.cohort, output=output)  # says so where it has none of that name
    return replace(opened, output=output)


def _opened(path: str, config: Config, output: str | None) -> Opened:
    if is_url(path):
        place = to_place(path)
        if not place.is_cohort():
            raise UsageError(f"{path} is no cohort", advice="give the URL of a run's output")
        return Opened(place, name=place.name)
    folder = Path(path).absolute()
    if (folder / CASES_FOLDER).is_dir():
        return Opened(to_place(folder), name=folder.name)
    if (folder / RECORD_FILE).is_file() or folder.name.endswith(CASE_SUFFIX):
        return _stored(folder, output)
    if not folder.exists() and (folder.parent / CASES_FOLDER).is_dir():
        return _of_cohort(folder.parent, folder.name, output)
    found = input_sight(Path(path), config)
    return Opened(sight=found, name=found.id)


def _of_cohort(root: Path, case_id: str, output: str | None) -> Opened:
    folder = root / CASES_FOLDER / f"{case_id}{CASE_SUFFIX}"
    if not (folder / RECORD_FILE).is_file():
        raise UsageError(
            f"{root} holds no case {case_id!r}", advice=f"gpuprep view {root} lists them"
        )
    if case_id in read_standing(to_place(root)).withdrawn:
        return _alone(folder, output)  # its cohort shows it no longer
    return Opened(to_place(root), case_id, name=root.name)


def _stored(folder: Path, output: str | None) -> Opened:
    """A case, with its cohort where it lies in one."""
    if folder.parent.name == CASES_FOLDER and folder.name.endswith(CASE_SUFFIX):
        return _of_cohort(folder.parent.parent, folder.name.removesuffix(CASE_SUFFIX), output)
    return _alone(folder, output)


def _alone(folder: Path, output: str | None) -> Opened:
    case = open_case(folder, output=output)
    source = cache(lambda: read_source(case.record, Config()))
    sight = StoredSight(case, source, problem=lambda: source_problem(case.record))
    return Opened(sight=sight, stored=case, name=case.id)
