"""DICOM trees: one case per image series, wherever its files lie, with ids from folder names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from gpuprep.case import Case, Source
from gpuprep.layouts.found import Outcome
from gpuprep.layouts.naming import case_id, path_id
from gpuprep.layouts.tree import Tree

_NOT_IMAGES = frozenset(
    {"SEG", "RTSTRUCT", "RTPLAN", "RTRECORD", "SR", "PR", "KO", "REG", "FID", "AU", "ECG", "HD"}
)


def find(tree: Tree) -> Outcome | None:
    """One case per series of a tree that holds DICOM; volume files in it are left aside."""
    if not tree.holds_dicom:
        return None
    outcome = Outcome()
    add_series(outcome, tree)
    return outcome


def add_series(outcome: Outcome, tree: Tree) -> None:
    """Add the DICOM series of a tree, if it holds any, to what a layout has found."""
    if not tree.holds_dicom:
        return
    series, rejected = read_series(tree.root)
    images = [one for one in series if _is_image(outcome, tree, one)]
    for one, identifier in zip(images, _ids(tree, images), strict=True):
        outcome.cases.append(Case(identifier, (series_source(one),), (), series_attributes(one)))
    volumes = set(tree.volumes)
    for path, reason in rejected:
        file = tree.relative(str(path))
        if file in tree.known and file not in volumes:
            outcome.reasons.setdefault(file, reason)


def read_series(root: Path) -> tuple[list[Any], list[tuple[str, str]]]:
    """The DICOM series under a folder, and the files that are in none with the reason."""
    from gpuprep.io.dicom import find_series  # loads pydicom

    return find_series(root)


def series_source(series: Any) -> Source:
    return Source(str(series.folder), tuple(series.files))


def series_attributes(series: Any) -> dict[str, str]:
    """What a series says of itself, as attributes of its case; nothing about the patient."""
    told = {"modality": series.modality, "description": series.description, "series": series.uid}
    return {name: str(value) for name, value in told.items() if value}


def _is_image(outcome: Outcome, tree: Tree, series: Any) -> bool:
    """Whether a series can be a case; its files get the reason otherwise."""
    files = [tree.relative(file) for file in series.files]
    if series.modality in _NOT_IMAGES:
        reason = f"DICOM {series.modality} object, not an image; convert it to a volume file"
    elif not tree.known.issuperset(files):
        reason = "slice of a series that leaves the input folder by links, or is hidden there"
    else:
        return True
    outcome.reasons.update((file, reason) for file in files if file in tree.known)
    return False


def _ids(tree: Tree, series: list[Any]) -> list[str]:
    """Ids from the folders; the series of one folder are told apart by description, then by number."""
    folders = [_folder_id(tree, str(one.folder)) for one in series]
    in_folder = Counter(folders)
    ids = [
        case_id(folder, str(one.description)) if in_folder[folder] > 1 else folder
        for folder, one in zip(folders, series, strict=True)
    ]
    shared = Counter(ids)
    seen: Counter[str] = Counter()
    for position, identifier in enumerate(ids):
        if shared[identifier] > 1:
            seen[identifier] += 1
            ids[position] = case_id(identifier, str(seen[identifier]))
    return ids


def _folder_id(tree: Tree, folder: str) -> str:
    relative = tree.relative(folder)
    inside = "" if Path(folder) == tree.root else relative
    parent, _, name = inside.rpartition("/")
    return path_id(parent, name) if name else case_id(tree.root.name)
