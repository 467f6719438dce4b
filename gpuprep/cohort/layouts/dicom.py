"""DICOM trees: one case per image series, wherever its files lie, with ids from folder names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gpuprep.cohort.layouts.naming import case_id, path_id, split_path
from gpuprep.cohort.layouts.structures import Drawn, masked, paired
from gpuprep.cohort.layouts.tree import Outcome, Tree
from gpuprep.io.dicom.membership import Structures
from gpuprep.values.case import Case, Source

if TYPE_CHECKING:
    from gpuprep.io.dicom.series import Series


def find(tree: Tree) -> Outcome | None:
    """One case per series of a tree that holds DICOM; volume files in it are left aside."""
    if not tree.holds_dicom:
        return None
    outcome = Outcome()
    add_series(outcome, tree)
    return outcome


def add_series(outcome: Outcome, tree: Tree) -> None:
    """Add the DICOM series of a tree, if it holds any, to what a layout has found.

    The attributes of their cases are modality, description, series UID and, of one of several volumes, its
    name; nothing about the patient.
    """
    if not tree.holds_dicom:
        return
    everything, rejected, structures = _series_of(tree)
    masks = [series for series in everything if _is_mask(series, tree)]
    found = [series for series in everything if series not in masks] if masks else everything
    cases = [_case(series) for series in found]
    drawn: list[Drawn] = []
    ids = _ids([_folder_id(tree, case.images[0].path) for case in cases], cases)
    for identifier, case, series in zip(ids, cases, found, strict=True):
        several = _of_volumes(case, series, tree)
        places = tuple(range(len(outcome.cases), len(outcome.cases) + len(several)))
        drawn.append(Drawn(places, series.uid, series.study, len(series.files)))
        outcome.cases += [replace(each, id=case_id(identifier, each.id)) for each in several]
        for file, reason in _left_out(several, series, tree):
            outcome.reasons.setdefault(file, reason)
    reasons = {
        **masked(outcome.cases, drawn, masks),
        **paired(outcome.cases, drawn, structures, tree.structures),
    }
    rejected += [(tree.relative(file), reason) for file, reason in reasons.items()]
    for file, reason in rejected:
        outcome.reasons.setdefault(file, reason)


class OneSeries(NamedTuple):
    """A DICOM series as a case without an id, and the cases of its volumes, if it is to be taken apart.

    The ids of these are the names of the volumes.
    """

    case: Case
    volumes: tuple[Case, ...] = ()


def read_series(tree: Tree) -> tuple[list[OneSeries], list[tuple[str, str]]]:
    """The DICOM series of a tree, and the files that are in none, with the reason.

    Reads the header of every file that is no volume file, once, and of none that ``tree.headers`` knows.
    A tree of ``volumes_only`` leaves series out that are none. The case of a series with several volumes is
    of all of them as channels, of the first, or of what reading will refuse.
    """
    found, rest, structures = _series_of(tree)
    rest += [(tree.relative(file), told.reason) for file, told in structures.items()]
    listed = []
    for series in found:
        case = _case(series)
        first, *others = _of_volumes(case, series, tree)
        rest += _left_out([first], series, tree) if not others else []
        listed.append(
            OneSeries(case, (first, *others)) if others else OneSeries(replace(first, id=""))
        )
    return listed, rest


def _series_of(
    tree: Tree,
) -> tuple[list[Series], list[tuple[str, str]], dict[str, Structures]]:
    """The series of a tree, the files that are in none, or in one that is left out, with the reason; and
    those that tell of structures of a series."""
    from gpuprep.io.dicom.series import sort_out

    volumes = set(tree.volumes)
    candidates = [tree.path(file) for file in tree.files if file not in volumes]
    several = tree.several_volumes != "refuse"
    found, others = sort_out(candidates, tree.headers, volumes=several)
    structures = {file: told for file, told in others.items() if isinstance(told, Structures)}
    rest = [
        (tree.relative(file), told.reason)
        for file, told in others.items()
        if file not in structures
    ]
    kept = []
    for series in found:
        if tree.volumes_only and series.no_volume:
            reason = f"{series.no_volume}, left out by input.series: volumes"
            rest += [(tree.relative(file), reason) for file in series.files]
        else:
            kept.append(series)
    return kept, rest, structures


def _is_mask(series: Series, tree: Tree) -> bool:
    return tree.structures.is_mask(series.description, tree.relative(series.folder))


def _case(series: Series) -> Case:
    """A series as a case without an id."""
    told = {
        "modality": series.modality,
        "description": series.description,
        "series": series.uid,
    }
    attributes = {name: text for name, text in told.items() if text}
    return Case("", (Source(series.folder, series.files),), (), attributes)


def _of_volumes(case: Case, series: Series, tree: Tree) -> list[Case]:
    """The cases that a series comes to, the ids of several being the names of their volumes."""
    if not series.volumes:
        return [case]
    names = tuple(volume.name for volume in series.volumes)
    if tree.several_volumes == "channels":
        return [replace(case, channels=names)]
    kept = series.volumes[:1] if tree.several_volumes == "first" else series.volumes
    return [
        replace(
            case,
            id="" if tree.several_volumes == "first" else volume.name,
            images=(
                Source(
                    series.folder,
                    volume.files,
                    volume="" if volume.whole else volume.name,
                    sister=volume.sister,
                ),
            ),
            attributes={**case.attributes, "volume": volume.name},
        )
        for volume in kept
    ]


def _left_out(cases: Sequence[Case], series: Series, tree: Tree) -> list[tuple[str, str]]:
    """The files of a series of which another volume was taken."""
    used = {file for case in cases for file in case.files}
    reason = "of another volume of its series, left out by input.several_volumes: first"
    return [(tree.relative(file), reason) for file in series.files if file not in used]


def _folder_id(tree: Tree, path: str) -> str:
    if Path(path) == tree.root:
        return case_id(tree.root.name)
    return path_id(*split_path(tree.relative(path)))


def _ids(folders: list[str], cases: Iterable[Case]) -> list[str]:
    """Ids from the folders; the series of one folder are told apart by description, then by number."""
    crowded = {folder for folder, number in Counter(folders).items() if number > 1}
    ids = [
        case_id(folder, case.attributes.get("description", "")) if folder in crowded else folder
        for folder, case in zip(folders, cases, strict=True)
    ]
    crowded = {identifier for identifier, number in Counter(ids).items() if number > 1}
    seen: Counter[str] = Counter()
    for position, identifier in enumerate(ids):
        if identifier in crowded:
            seen[identifier] += 1
            ids[position] = case_id(identifier, str(seen[identifier]))
    return ids
