"""The cases of a tree by one row of the table of data sets.

Channels of a case lie below one folder. A label is the one beside the image, or the only one of its key in
the tree; where names leave a choice, none is taken and each is told.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from gpuprep.cohort.layouts.folders import structure_label
from gpuprep.cohort.layouts.group_cases import MANIFEST_ADVICE
from gpuprep.cohort.layouts.naming import case_id, split_path, split_suffix
from gpuprep.cohort.layouts.pictures import is_picture
from gpuprep.cohort.layouts.row import Patterns, Row
from gpuprep.cohort.layouts.slice_folders import slice_folders, source_of
from gpuprep.cohort.layouts.tables import attributes_by
from gpuprep.cohort.layouts.tree import Outcome, Tree
from gpuprep.values.case import Case, LabelSource, Source, natural_sorted

_Key = tuple[tuple[str, str], ...]
_NOT_KEY = frozenset({"above", "structure", "variant"})


@dataclass(frozen=True, slots=True)
class _Placed:
    """A file or folder of slices that a row knows: whose it is, and below which folder."""

    source: Source
    file: str
    files: tuple[str, ...]
    key: _Key
    above: str
    rank: int

    @property
    def folder(self) -> str:
        return split_path(self.file)[0]

    @property
    def path(self) -> str:
        """As a row has it: of a file without its suffix."""
        return split_suffix(self.file)[0] if self.files == (self.file,) else self.file


class _Entry(NamedTuple):
    """What a row's paths are compared with: a file, or a folder of slices."""

    file: str
    path: str
    files: tuple[str, ...]
    single: bool


@dataclass(slots=True)
class _Images:
    """The channels of one case so far, and what the groups of their paths are as written."""

    written: Mapping[str, str]
    channels: dict[str, _Placed] = field(default_factory=dict)


@dataclass(slots=True)
class _Sorted:
    """The files of a tree as a row sorts them."""

    images: dict[tuple[str, _Key, int], _Images] = field(default_factory=dict)
    labels: dict[tuple[str, _Key], list[_Placed]] = field(default_factory=dict)
    structures: dict[_Key, list[_Placed]] = field(default_factory=dict)
    aside: dict[str, str] = field(default_factory=dict)


def find_by(row: Row, tree: Tree, *, paired: bool) -> Outcome | None:
    """The cases of a row's data set; with ``paired`` only where some case has a label or several channels."""
    if not _has_traces(row, tree):
        return None
    held = _sorted(row, tree)
    if not held.images:
        return None
    outcome = Outcome(reasons=dict(held.aside), own=_own_files(row, tree))
    for (above, key, _), images in held.images.items():
        first = next(iter(images.channels.values()))
        labels = tuple(_labels(row, held, outcome, key, above, first))
        outcome.cases.append(_case(row, images, labels))
    if paired and not any(case.labels or len(case.images) > 1 for case in outcome.cases):
        return None
    _explain_unused(held, outcome)
    _add_table(row, tree, outcome)
    return outcome


def _has_traces(row: Row, tree: Tree) -> bool:
    return all(re.search(trace, tree.names) for trace in row.traces)


def _sorted(row: Row, tree: Tree) -> _Sorted:
    held = _Sorted()
    for entry in _entries(row, tree):
        path = entry.path
        if found := _matched(row.image_patterns, path):
            channel, _, match = found
            for placed in _placed(tree, entry, held, name=channel, match=match):
                _add_image(held, channel, match, placed)
        elif found := _matched(row.label_patterns, path):
            label, rank, match = found
            for placed in _placed(tree, entry, held, match=match, rank=rank):
                held.labels.setdefault((label, placed.key), []).append(placed)
        elif structure := _first(row.structure_patterns, path):
            name = structure["structure"]
            for placed in _placed(tree, entry, held, name=name, match=structure):
                held.structures.setdefault(placed.key, []).append(placed)
        else:
            reasons = (reason for pattern, reason in row.aside_patterns if pattern.fullmatch(path))
            if reason := next(reasons, ""):
                held.aside.update(dict.fromkeys(entry.files, reason))
    return held


def _entries(row: Row, tree: Tree) -> Iterator[_Entry]:
    """Each volume file by its path without suffix; and with series each folder of other files by its path."""
    for file in tree.volumes:
        yield _Entry(file, split_suffix(file)[0], (file,), single=True)
    for folder, files in slice_folders(tree) if row.series else ():
        yield _Entry(folder, folder, files, single=False)


def _matched(patterns: Patterns, path: str) -> tuple[str, int, re.Match[str]] | None:
    for name, each in patterns:
        for rank, pattern in enumerate(each):
            if match := pattern.fullmatch(path):
                return name, rank, match
    return None


def _first(patterns: tuple[re.Pattern[str], ...], path: str) -> re.Match[str] | None:
    return next((match for pattern in patterns if (match := pattern.fullmatch(path))), None)


def _placed(
    tree: Tree, entry: _Entry, held: _Sorted, *, match: re.Match[str], name: str = "", rank: int = 0
) -> Iterator[_Placed]:
    """The file, or what the folder holds if that is one image; what it holds otherwise is told."""
    key = tuple(
        (group, _plain(group, text))
        for group, text in sorted(match.groupdict().items())
        if group not in _NOT_KEY and text is not None
    )
    source: Source | None = tree.source(entry.file, name)
    if not entry.single:
        source, rest = source_of(tree, entry.file, entry.files, name)
        held.aside.update(rest)
    if source is not None:
        yield _Placed(source, entry.file, entry.files, key, match["above"] or "", rank)


def _plain(group: str, text: str) -> str:
    """A group as it is compared: numbers by their value, all else in one case."""
    return str(int(text)) if group == "number" else text.lower()


def _add_image(held: _Sorted, channel: str, match: re.Match[str], placed: _Placed) -> None:
    """Another channel of a case, or the first of one more where it has that already."""
    for copy in range(len(held.images) + 1):
        images = held.images.setdefault(
            (placed.above, placed.key, copy), _Images(match.groupdict())
        )
        if channel not in images.channels:
            images.channels[channel] = placed
            return


def _case(row: Row, images: _Images, labels: tuple[LabelSource, ...]) -> Case:
    order = [name for name in row.images if name in images.channels]
    placed = [images.channels[name] for name in order]
    first = placed[0].path
    written = {group: text for group, text in images.written.items() if text}
    named = row.id.format_map(defaultdict(str, written))
    name = named or split_path(first)[1]
    told = {}
    for attribute, rules in row.attributes.items():
        for pattern, text in rules:
            if match := re.search(pattern, first):
                told[attribute] = match.expand(text)
                break
    return Case(case_id(*name.split("/")), tuple(each.source for each in placed), labels, told)


def _labels(
    row: Row, held: _Sorted, outcome: Outcome, key: _Key, above: str, image: _Placed
) -> Iterator[LabelSource]:
    """The label maps of a case, and a reason for each file that is not taken."""
    for name in row.labels:
        same = held.labels.get((name, key), [])
        best = min((label.rank for label in same), default=0)
        usable = [label for label in same if label.rank == best]
        chosen = _chosen(usable, above, image)
        for label in same:
            if label.rank != best:
                reason = (
                    f"another label map of the same case; {split_path(usable[0].file)[1]} is taken"
                )
                _tell(outcome, label, reason)
            elif chosen is None:
                reason = f"one of {len(usable)} label maps of {_told(key)}; {MANIFEST_ADVICE}"
                _tell(outcome, label, reason)
        if chosen is not None:
            source = _on_its_slices(chosen.source, image.source)
            yield LabelSource((source,), name, row.classes_of(name, image.file))
    structures = held.structures.get(key, [])
    if structures and not any((name, key) in held.labels for name in row.labels):
        beside = [each for each in structures if each.above == above] or structures
        if len({each.folder for each in beside}) == 1:
            sources = tuple(each.source for each in beside)
            yield structure_label(sources, image=split_path(image.path)[1])
            return
    reason = "file of one structure beside a label map of all"
    for each in structures:
        _tell(outcome, each, reason)


def _tell(outcome: Outcome, placed: _Placed, reason: str) -> None:
    outcome.reasons.update(dict.fromkeys(placed.files, reason))


def _on_its_slices(label: Source, image: Source) -> Source:
    """A label that is pictures: one for each slice of a DICOM series, in the order of their names."""
    if not (label.files and image.files):
        return label
    if not is_picture(label.files[0]) or is_picture(image.files[0]):
        return label
    return replace(label, slices=tuple(natural_sorted(image.files)))


def _chosen(labels: list[_Placed], above: str, image: _Placed) -> _Placed | None:
    """The label beside the image, or below the same folder, or the only one."""
    if len(labels) < 2:  # as nearly all
        return labels[0] if labels else None
    for same in (
        [label for label in labels if label.folder == image.folder],
        [label for label in labels if label.above == above],
        labels,
    ):
        if same:
            return same[0] if len(same) == 1 else None
    return None


def _told(key: _Key) -> str:
    return " ".join(text for _, text in key)


def _explain_unused(held: _Sorted, outcome: Outcome) -> None:
    """Say of each label that no case asked for which image it lacks."""
    keys = {key for _, key, _ in held.images}
    labels = [label for same in held.labels.values() for label in same]
    for label in (*labels, *(each for same in held.structures.values() for each in same)):
        if label.key not in keys:
            _tell(outcome, label, f"label map without an image of {_told(label.key)}")


def _own_files(row: Row, tree: Tree) -> set[str]:
    return {file for file in tree.files if row.own_pattern.fullmatch(split_path(file)[1])}


def _add_table(row: Row, tree: Tree, outcome: Outcome) -> None:
    """Take each case's row of the data set's own table along, where there is one."""
    name, column = row.table
    if not name or name not in tree.known:
        return
    outcome.own.add(name)
    rows = attributes_by(Path(tree.path(name)), column)
    outcome.cases = [
        replace(case, attributes={**case.attributes, **rows.get(case.id, {})})
        for case in outcome.cases
    ]
