"""What one row of the table of data sets says: which paths are whose images and labels, and what they hold.

A path is written as a regular expression over the end of a file's path without its suffix, from the name of
a folder or file on. Its named groups say whose file it is: images and labels with equal groups are of one
case. A group ``structure`` names the structure that a label file holds instead, ``variant`` an image of
several that share the labels of one key, and ``name`` what a case is called: these are not compared, and a
``number`` is by its value. Where ``series`` is set, a folder of slices is as a file is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from gpuprep.values.agreement import Classes

SEGMENTATION = "segmentation"
ANY = r"[^/]+"
Patterns = tuple[tuple[str, tuple[re.Pattern[str], ...]], ...]

_ABOVE = r"(?:(?P<above>.+?)/)??"  # as little as can be: a row's optional folders are its own


@dataclass(frozen=True)
class Row:
    """One data set, or a convention that several follow.

    Attributes:
        name: What ``input.layout`` calls it.
        looks_for: What is looked for, in the user's words.
        traces: What all paths in lower case, a line each, are searched for; without one no tree is such.
        images: The paths of each channel by its name, in the order of the channels; the first sets the grid.
        labels: The paths of each label map by its name. Of several the first that is there is taken.
        structures: The paths of files of one structure each; taken where the label map has no file.
        structure: The name of those whose path tells none: where a file is not 0, whatever it is.
        id: The case's id of the groups of its paths, with ``{case}`` for a group; empty for the name of the
            first image's file.
        classes: What label values mean, by the label map's name; where a data set has parts that number them
            otherwise, several with what to search the first image's path for, the first that is found.
        attributes: By an attribute's name, what to search the first image's path for, and its value, in
            which ``\\1`` stands for a group; the first that is found counts.
        aside: Paths of volume files that belong to the data set and to no case, and why.
        own: Names of files that describe the data set.
        table: A table of cases, and its column with their ids; other columns are attributes.
        in_bids: Its names are BIDS names too, which say less than the row.
        series: Images or labels are DICOM series or stacks of pictures, by the paths of their folders.
        alone: Images are known as the data set's without a label too.
        sources: Where on the web the tree, its channels and its classes are seen.
    """

    name: str
    looks_for: str
    traces: tuple[str, ...]
    images: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    structures: tuple[str, ...] = ()
    structure: str = ""
    id: str = ""
    classes: Mapping[str, tuple[tuple[str, Classes], ...]] = field(default_factory=dict)
    attributes: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    aside: tuple[tuple[str, str], ...] = ()
    own: str = r"(?!)"
    table: tuple[str, str] = ("", "")
    in_bids: bool = False
    series: bool = False
    alone: bool = False
    sources: tuple[str, ...] = ()

    def classes_of(self, label: str, image: str) -> Classes:
        """What the values of a label map mean, of the case with that first image."""
        rules = self.classes.get(label, ())
        found = (classes for pattern, classes in rules if re.search(pattern, image))
        return next(found, Classes())

    @cached_property
    def image_patterns(self) -> Patterns:
        return _compiled(self.images)

    @cached_property
    def label_patterns(self) -> Patterns:
        return _compiled(self.labels)

    @cached_property
    def structure_patterns(self) -> tuple[re.Pattern[str], ...]:
        return tuple(map(_pattern, self.structures))

    @cached_property
    def aside_patterns(self) -> tuple[tuple[re.Pattern[str], str], ...]:
        return tuple((_pattern(path), reason) for path, reason in self.aside)

    @cached_property
    def own_pattern(self) -> re.Pattern[str]:
        return re.compile(self.own, re.IGNORECASE | re.ASCII)


def classes_by(*rules: tuple[str, Classes]) -> dict[str, tuple[tuple[str, Classes], ...]]:
    """The classes of a row's only label map, by what to search the first image's path for."""
    return {SEGMENTATION: rules}


def _compiled(paths: Mapping[str, tuple[str, ...]]) -> Patterns:
    return tuple((name, tuple(map(_pattern, each))) for name, each in paths.items())


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(_ABOVE + path, re.IGNORECASE | re.ASCII)
