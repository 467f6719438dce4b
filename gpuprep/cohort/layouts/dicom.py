"""DICOM trees: one case per image series, wherever its files lie, with ids from folder names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from gpuprep.cohort.layouts.naming import case_id, path_id, split_path
from gpuprep.cohort.layouts.tree import Outcome, Tree
from gpuprep.values.case import Case, Source


def find(tree: Tree) -> Outcome | None:
    """One case per series of a tree that holds DICOM; volume files in it are left aside."""
    if not tree.holds_dicom:
        return None
    outcome = Outcome()
    add_series(outcome, tree)
    return outcome


def add_series(outcome: Outcome, tree: Tree) -> None:
    """Add the DICOM series of a tree, if it holds any, to what a layout has found.

    The attributes of their cases are modality, description and series UID; nothing about the patient.
    """
    if not tree.holds_dicom:
        return
    cases, rejected = read_series(tree)
    ids = _ids([_folder_id(tree, case.images[0].path) for case in cases], cases)
    outcome.cases += [
        Case(identifier, case.images, (), case.attributes)
        for identifier, case in zip(ids, cases, strict=True)
    ]
    for file, reason in rejected:
        outcome.reasons.setdefault(file, reason)


def read_series(tree: Tree) -> tuple[list[Case], list[tuple[str, str]]]:
    """The DICOM series of a tree as cases without ids, and the files that are in none, with the reason.

    Reads the header of every file that is no volume file, once, and of none that ``tree.headers`` knows.
    A tree of ``volumes_only`` leaves series out that are none.
    """
    from gpuprep.io.dicom.series import sort_out  # loads pydicom

    volumes = set(tree.volumes)
    candidates = [file for file in tree.files if file not in volumes]
    cases: list[Case] = []
    found, others = sort_out([tree.path(file) for file in candidates], tree.headers)
    rest = [(tree.relative(file), reason) for file, reason in others.items()]
    for series in found:
        if tree.volumes_only and series.no_volume:
            reason = f"{series.no_volume}, left out by input.series: volumes"
            rest += [(tree.relative(file), reason) for file in series.files]
            continue
        told = {
            "modality": series.modality,
            "description": series.description,
            "series": series.uid,
        }
        attributes = {name: text for name, text in told.items() if text}
        cases.append(Case("", (Source(series.folder, series.files),), (), attributes))
    return cases, rest


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
