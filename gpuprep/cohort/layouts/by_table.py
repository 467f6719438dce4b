"""The cases of a tree by one row of the table of data sets.

Channels of a case lie below one folder. A label is the one beside the image, or the one of its key below
the same folder, or in another folder where that holds labels alone and the image's images alone: what lies
beside images of its own is theirs. Where names leave a choice, none is taken and each is told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from gpuprep.cohort.layouts.folders import structure_label
from gpuprep.cohort.layouts.group_cases import MANIFEST_ADVICE
from gpuprep.cohort.layouts.naming import case_id, split_path
from gpuprep.cohort.layouts.pictures import is_picture
from gpuprep.cohort.layouts.row import Row
from gpuprep.cohort.layouts.sorted_files import Placed, SortedFiles, has_traces, sort_by
from gpuprep.cohort.layouts.tables import attributes_by
from gpuprep.cohort.layouts.tree import Outcome, Tree
from gpuprep.values.case import Case, LabelSource, Source, natural_sorted


def find_by(row: Row, tree: Tree, *, paired: bool) -> Outcome | None:
    """The cases of a row's data set.

    With ``paired`` only where the tree shows its traces, and some case has a label or several channels.
    """
    if paired and not has_traces(row, tree):
        return None
    held = sort_by(row, tree)
    if not held.images:
        return None
    outcome = Outcome(reasons=dict(held.aside), own=_own_files(row, tree))
    folders = _Folders(held)
    for channels in held.images.values():
        images = [channels[name] for name in row.images if name in channels]
        labels = tuple(_labels(row, held, folders, outcome, images[0]))
        outcome.cases.append(_case(row, images, labels))
    if paired and not (row.alone or any(map(_is_paired, outcome.cases))):
        return None
    _explain_unused(held, outcome)
    _add_table(row, tree, outcome)
    return outcome


def _is_paired(case: Case) -> bool:
    return bool(case.labels) or len(case.images) > 1


class _Folders:
    """Below which folders images lie, and below which labels."""

    def __init__(self, held: SortedFiles) -> None:
        self._imaged = {above for above, _, _ in held.images}
        self._labelled = {label.above for label in held.every_label()}

    def in_reach(self, labels: Sequence[Placed], image: Placed) -> list[Placed]:
        """Those of the labels that may be the image's by where they lie."""
        if image.above in self._labelled:
            return [label for label in labels if label.above == image.above]
        return [label for label in labels if label.above not in self._imaged]


def _case(row: Row, images: Sequence[Placed], labels: tuple[LabelSource, ...]) -> Case:
    first = images[0]
    told = {}
    for attribute, rules in row.attributes.items():
        for pattern, text in rules:
            if match := re.search(pattern, first.path):
                told[attribute] = match.expand(text)
                break
    name = case_id(*first.called.split("/"))
    return Case(name, tuple(each.source for each in images), labels, told)


def _labels(
    row: Row, held: SortedFiles, folders: _Folders, outcome: Outcome, image: Placed
) -> Iterator[LabelSource]:
    """The label maps of a case, and a reason for each file that is not taken."""
    for name in row.labels:
        same = held.labels.get((name, image.key), [])
        near = folders.in_reach(same, image)
        best = min((label.rank for label in near), default=0)
        chosen = _chosen([label for label in near if label.rank == best], image)
        _explain(outcome, same, near, chosen, best)
        if chosen is not None:
            source = _on_its_slices(chosen.source, image.source)
            yield LabelSource((source,), name, row.classes_of(name, image.path))
    structures = held.structures.get(image.key, [])
    near = folders.in_reach(structures, image)
    mapped = any((name, image.key) in held.labels for name in row.labels)
    named = Counter(each.source.name.casefold() for each in near)
    alone = len({each.folder for each in near}) == 1 and max(named.values()) == 1
    if alone and not mapped:
        sources = tuple(_on_its_slices(each.source, image.source) for each in near)
        yield structure_label(sources, image=split_path(image.path)[1])
        structures = [each for each in structures if each.above != near[0].above]
    for each in structures:
        _tell(outcome, each, _why_no_structure(each, near, mapped=mapped))


def _explain(
    outcome: Outcome,
    same: Sequence[Placed],
    near: Sequence[Placed],
    chosen: Placed | None,
    best: int,
) -> None:
    """Say why labels of a case's key are not taken."""
    usable = [label for label in near if label.rank == best]
    for label in same:
        if label is chosen:
            continue
        if label not in near:
            reason = (
                f"label map of {label.called} in another folder than its image; {MANIFEST_ADVICE}"
            )
        elif label.rank != best:
            taken = split_path(usable[0].source.path)[1]
            reason = f"another label map of the same case; {taken} is taken"
        else:
            reason = f"one of {len(usable)} label maps of {label.called}; {MANIFEST_ADVICE}"
        _tell(outcome, label, reason)


def _why_no_structure(each: Placed, near: Sequence[Placed], *, mapped: bool) -> str:
    if mapped:
        return "file of one structure beside a label map of all"
    if each not in near:
        place = "in another folder than its image"
    elif len({one.folder for one in near}) > 1:
        place = "in several folders"
    else:
        place = "beside files of one structure twice"
    return f"structure of {each.called} {place}; {MANIFEST_ADVICE}"


def _tell(outcome: Outcome, placed: Placed, reason: str) -> None:
    outcome.reasons.update(dict.fromkeys(placed.files, reason))


def _on_its_slices(label: Source, image: Source) -> Source:
    """A label that is pictures: one for each slice of a DICOM series, in the order of their names."""
    if not (label.files and image.files):
        return label
    if not is_picture(label.files[0]) or is_picture(image.files[0]):
        return label
    return replace(label, slices=tuple(natural_sorted(image.files)))


def _chosen(labels: Sequence[Placed], image: Placed) -> Placed | None:
    """The label beside the image, or the only one."""
    if len(labels) < 2:  # as nearly all
        return labels[0] if labels else None
    beside = [label for label in labels if label.folder == image.folder]
    return beside[0] if len(beside) == 1 else None


def _explain_unused(held: SortedFiles, outcome: Outcome) -> None:
    """Say of each label that no case asked for which image it lacks."""
    keys = {key for _, key, _ in held.images}
    for label in held.every_label():
        if label.key not in keys:
            _tell(outcome, label, f"label map without an image of {label.called}")


def _own_files(row: Row, tree: Tree) -> set[str]:
    return {file for file in tree.files if row.own_pattern.fullmatch(split_path(file)[1])}


def _add_table(row: Row, tree: Tree, outcome: Outcome) -> None:
    """Take each case's row of the data set's own table along, where one lies above its image."""
    name, column = row.table
    for file in tree.files if name else ():
        if split_path(file)[1] != name:
            continue
        start = tree.path(file).removesuffix(name)
        rows = attributes_by(Path(tree.path(file)), column)
        outcome.own.add(file)
        outcome.cases = [
            replace(case, attributes={**case.attributes, **rows.get(case.id, {})})
            if case.images[0].path.startswith(start)
            else case
            for case in outcome.cases
        ]
