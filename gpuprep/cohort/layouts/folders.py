"""One folder per case: KiTS, TotalSegmentator, BraTS, or any folder of one image and its label.

A *case folder* holds files named by their part alone (``imaging``, ``ct``, ``T1``, ``seg``) or by the
folder's name and their part (``BraTS_001/BraTS_001_t1ce``). Its labels may be one file, or a folder of
binary files, one per structure (``segmentations/liver.nii.gz``), numbered in natural order from 1.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gpuprep.cohort.layouts.group_cases import MANIFEST_ADVICE, add_group
from gpuprep.cohort.layouts.groups import Group
from gpuprep.cohort.layouts.naming import case_id, is_label_word, join, role_of, split_path, stem_of
from gpuprep.cohort.layouts.pairs import add_groups
from gpuprep.cohort.layouts.tables import attributes_by
from gpuprep.cohort.layouts.tree import Outcome, Tree
from gpuprep.values.agreement import Classes
from gpuprep.values.case import LabelSource, Source

_META = "meta.csv"  # TotalSegmentator's table of cases


def find(tree: Tree) -> Outcome | None:
    """Cases of a tree in which at least one case folder has a label or several channels."""
    if not tree.signs.pairing and not any(
        is_label_word(split_path(folder)[1]) for folder in tree.folders
    ):
        return None  # without one of the two, no case has a label or several channels
    groups = tree.groups
    structures = _structure_folders(tree)
    cases = _case_folders(tree, structures)
    if not any(group.is_pair or folder in structures for folder, group in cases.items()):
        return None
    if len(cases) > 1:  # files beside the case folders do not make the root a case
        cases.pop("", None)
    outcome = Outcome()
    for folder, group in cases.items():
        stray = [label for other in groups[folder] for label in other.labels]
        _add_case(outcome, tree, group, structures.get(folder) if not stray else None)
    elsewhere = [folder for folder in groups if not _is_within(folder, cases)]
    add_groups(outcome, tree, (group for folder in elsewhere for group in groups[folder]))
    _explain_inner_files(outcome, tree, cases)
    _add_attributes(outcome, tree)
    return outcome


def structure_label(
    sources: tuple[Source, ...], *, name: str = "segmentation", image: str = ""
) -> LabelSource:
    """A label of one file per structure, in the order given.

    A single file named as a label, or like the ``image``, holds a whole label map instead.
    """
    first = sources[0].name
    if len(sources) == 1 and (first == image or role_of(first).part == "label"):
        return LabelSource((Source(sources[0].path),), name)
    names = {i + 1: source.name for i, source in enumerate(sources)}
    return LabelSource(sources, name, Classes(names))


def _structure_folders(tree: Tree) -> dict[str, str]:
    """Case folder → the one folder of label files inside it."""
    inside: dict[str, list[str]] = {}
    for folder in tree.folders:
        parent, name = split_path(folder)
        beside = tree.groups.get(parent, ()) if is_label_word(name) else ()
        if any(group.images for group in beside):
            inside.setdefault(parent, []).append(folder)
    return {parent: folders[0] for parent, folders in inside.items() if len(folders) == 1}


def _case_folders(tree: Tree, structures: dict[str, str]) -> dict[str, Group]:
    """Case folder → its files as one group."""
    inner = set(structures.values())
    cases: dict[str, Group] = {}
    for folder, groups in tree.groups.items():
        if folder not in inner:
            name = split_path(folder)[1] or tree.root.name
            merged = bool(folder) and folder in structures
            case = _case_group(folder, name, groups, has_structures=merged)
            if case.images:
                cases[folder] = case
    return cases


def _case_group(folder: str, name: str, groups: list[Group], *, has_structures: bool) -> Group:
    """The files of a folder that are one case by name; a lone image may have any name."""
    case = Group(folder, name)
    for group in groups:
        if group.prefix in ("", name):
            case.images += group.images
            case.labels += group.labels
    images = [image for group in groups for image in group.images]
    if not case.images and len(images) == 1 and (case.labels or has_structures):
        case.images = images
    return case


def _add_case(outcome: Outcome, tree: Tree, group: Group, structures: str | None) -> None:
    folder = group.folder
    before = len(outcome.cases)
    parts = folder.split("/") if folder else [tree.root.name]
    add_group(outcome, tree, group, case_id(*parts))
    if structures is None or len(outcome.cases) != before + 1:
        return
    files = [join(structures, name) for name in tree.folders[structures]]
    sources = tuple(tree.source(file, stem_of(file)) for file in files)
    label = structure_label(sources, image=group.images[0].stem)
    outcome.cases[-1] = replace(outcome.cases[-1], labels=(label,))


def _is_within(folder: str, cases: dict[str, Group]) -> bool:
    """Whether a folder is a case folder or lies inside one."""
    while folder not in cases:
        if not folder:
            return False
        folder = split_path(folder)[0]
    return True


def _explain_inner_files(outcome: Outcome, tree: Tree, cases: dict[str, Group]) -> None:
    reason = (
        f"inside a case's folder, but not named as its image or its one label; {MANIFEST_ADVICE}"
    )
    for folder, names in tree.folders.items():
        if _is_within(folder, cases):
            for name in names:
                outcome.reasons.setdefault(join(folder, name), reason)


def _add_attributes(outcome: Outcome, tree: Tree) -> None:
    """Take each case's row of TotalSegmentator's ``meta.csv`` along, where there is one."""
    if _META not in tree.known:
        return
    outcome.own.add(_META)
    rows = attributes_by(Path(tree.path(_META)), "image_id")
    outcome.cases = [replace(case, attributes=rows.get(case.id, {})) for case in outcome.cases]
