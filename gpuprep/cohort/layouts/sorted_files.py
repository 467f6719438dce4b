"""The files of a tree as one row of the table of data sets sorts them: images, labels, structures, the rest.

Paths are compared with the name of the root before them: the folder of one case, or of one part of a data
set, is known as such too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gpuprep.cohort.layouts.naming import join, split_path, split_suffix
from gpuprep.cohort.layouts.row import Patterns, Row
from gpuprep.cohort.layouts.slice_folders import slice_folders, source_of
from gpuprep.cohort.layouts.tree import Tree
from gpuprep.values.case import Source

Key = tuple[tuple[str, str], ...]
_NOT_KEY = frozenset({"above", "structure", "variant", "name"})


class Placed(NamedTuple):
    """A file or folder of slices that a row knows: whose it is, and below which folder.

    ``path`` is what the row was compared with, ``written`` the groups that it told.
    """

    source: Source
    path: str
    files: tuple[str, ...]
    key: Key
    above: str
    rank: int
    row: Row
    written: Mapping[str, str]

    @property
    def folder(self) -> str:
        return split_path(self.path)[0]

    @property
    def called(self) -> str:
        """The parts of its case's id as they are written, by ``/``."""
        told = self.row.id.format_map(defaultdict(str, self.written))
        parts = "/".join(filter(None, told.split("/")))
        return parts or " ".join(text for _, text in self.key)


class _Entry(NamedTuple):
    """What a row's paths are compared with: a file, or a folder of slices."""

    file: str
    path: str
    files: tuple[str, ...]
    single: bool


@dataclass(slots=True)
class SortedFiles:
    """What a row knows of a tree's files.

    Attributes:
        images: The channels of each case by the folder it lies below, its key, and a number that is not 0
            where a case has a channel twice.
        labels: The label maps of each name and key.
        structures: The files of one structure each of each key.
        aside: Why other files of the data set are in no case.
    """

    images: dict[tuple[str, Key, int], dict[str, Placed]] = field(default_factory=dict)
    labels: dict[tuple[str, Key], list[Placed]] = field(default_factory=dict)
    structures: dict[Key, list[Placed]] = field(default_factory=dict)
    aside: dict[str, str] = field(default_factory=dict)

    def every_label(self) -> Iterator[Placed]:
        """Label maps and structures, of cases or not."""
        for same in (*self.labels.values(), *self.structures.values()):
            yield from same


def has_traces(row: Row, tree: Tree) -> bool:
    """Whether some paths of a tree look like the row's; without these no file is its own."""
    return all(re.search(trace, tree.names) for trace in row.traces)


def sort_by(row: Row, tree: Tree) -> SortedFiles:
    """Every file of a tree that the row knows."""
    held = SortedFiles()
    for entry in _entries(row, tree):
        path = entry.path
        if found := _matched(row.image_patterns, path):
            channel, _, match = found
            for placed in _placed(row, tree, entry, held, name=channel, match=match):
                _add_image(held, channel, placed)
        elif found := _matched(row.label_patterns, path):
            label, rank, match = found
            for placed in _placed(row, tree, entry, held, match=match, rank=rank):
                held.labels.setdefault((label, placed.key), []).append(placed)
        elif structure := _first(row.structure_patterns, path):
            name = structure.groupdict().get("structure") or row.structure
            for placed in _placed(row, tree, entry, held, name=name, match=structure):
                held.structures.setdefault(placed.key, []).append(placed)
        else:
            reasons = (reason for pattern, reason in row.aside_patterns if pattern.fullmatch(path))
            if reason := next(reasons, ""):
                held.aside.update(dict.fromkeys(entry.files, reason))
    return held


def _entries(row: Row, tree: Tree) -> Iterator[_Entry]:
    """Each volume file by its path without suffix; and with series each folder of other files by its path."""
    start = tree.root.name
    for file in tree.volumes:
        yield _Entry(file, join(start, split_suffix(file)[0]), (file,), single=True)
    for folder, files in slice_folders(tree) if row.series else ():
        yield _Entry(folder, join(start, folder).rstrip("/"), files, single=False)


def _matched(patterns: Patterns, path: str) -> tuple[str, int, re.Match[str]] | None:
    for name, each in patterns:
        for rank, pattern in enumerate(each):
            if match := pattern.fullmatch(path):
                return name, rank, match
    return None


def _first(patterns: tuple[re.Pattern[str], ...], path: str) -> re.Match[str] | None:
    for pattern in patterns:
        if match := pattern.fullmatch(path):
            return match
    return None


def _placed(
    row: Row,
    tree: Tree,
    entry: _Entry,
    held: SortedFiles,
    *,
    match: re.Match[str],
    name: str = "",
    rank: int = 0,
) -> Iterator[Placed]:
    """The file, or what the folder holds if that is one image; what it holds otherwise is told."""
    groups = {group: text for group, text in match.groupdict().items() if text is not None}
    key = tuple(
        (group, _plain(group, groups[group])) for group in sorted(groups) if group not in _NOT_KEY
    )
    source: Source | None = tree.source(entry.file, name)
    if not entry.single:
        source, rest = source_of(tree, entry.file, entry.files, name)
        held.aside.update(rest)
    if source is not None:
        above = groups.get("above", "")
        yield Placed(source, entry.path, entry.files, key, above, rank, row, groups)


def _plain(group: str, text: str) -> str:
    """A group as it is compared: numbers by their value, all else in one case."""
    return str(int(text)) if group == "number" else text.lower()


def _add_image(held: SortedFiles, channel: str, placed: Placed) -> None:
    """Another channel of a case, or the first of one more where it has that already."""
    for copy in range(len(held.images) + 1):
        channels = held.images.setdefault((placed.above, placed.key, copy), {})
        if channel not in channels:
            channels[channel] = placed
            return
