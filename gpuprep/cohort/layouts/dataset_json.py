"""Reading ``dataset.json``, the file that describes an MSD or nnU-Net dataset."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from gpuprep.cohort.layouts.naming import case_id, join, split_path
from gpuprep.cohort.layouts.tables import read_text
from gpuprep.cohort.layouts.tree import Tree
from gpuprep.values.agreement import Classes
from gpuprep.values.case import Case, LabelSource
from gpuprep.values.errors import UsageError

FILE_NAME = "dataset.json"
IGNORE = "ignore"  # nnU-Net's name of the label of voxels that nobody annotated


@dataclass(frozen=True)
class Description:
    """The fields of one ``dataset.json`` and where it lies in the tree."""

    file: str
    fields: dict[str, Any]

    @property
    def folder(self) -> str:
        return split_path(self.file)[0]

    @cached_property
    def channel_names(self) -> list[str]:
        """Names of the channels in order, from ``channel_names`` or MSD's ``modality``."""
        names = self.fields.get("channel_names", self.fields.get("modality", {}))
        if not isinstance(names, dict):
            return [str(name) for name in names] if isinstance(names, list) else [str(names)]
        return [str(names[key]) for key in sorted(names, key=_whole)]

    @cached_property
    def classes(self) -> Classes:
        """The label values: MSD's ``{"1": "liver"}``, or nnU-Net's ``{"liver": 1}`` with regions and ignore.

        A value that lies in several regions (``{"tumor": [2, 3]}``) gets their names joined by ``+``; where
        values would share a name, each has its number behind it.
        """
        names: dict[int, list[str]] = {}
        regions: dict[str, tuple[int, ...]] = {}
        labels = self.fields.get("labels", {})
        for key, content in labels.items() if isinstance(labels, dict) else ():
            if str(key).isdecimal() and isinstance(content, str):
                names.setdefault(int(key), []).append(content)
                continue
            values = tuple(map(_whole, content if isinstance(content, list) else [content]))
            for value in values:
                names.setdefault(value, []).append(str(key))
            if any(values) and key != IGNORE:
                regions[str(key)] = values
        if not any(len(values) > 1 for values in regions.values()):
            regions = {}
        order = self.fields.get("regions_class_order") if regions else None
        return Classes(
            _apart({value: "+".join(names[value]) for value in sorted(names) if value}),
            regions,
            tuple(map(_whole, order)) if isinstance(order, list) else (),
            next((value for value, held in names.items() if held == [IGNORE]), None),
        )

    def case(
        self, tree: Tree, name: str, files: list[str], label: str | None, attributes: dict[str, str]
    ) -> Case:
        """A case of these files; channels and label values are called as it is described."""
        channels = self.channel_names
        named = len(channels) == len(files)
        images = tuple(map(tree.source, files, channels if named else [""] * len(files)))
        labels = (LabelSource((tree.source(label),), classes=self.classes),) if label else ()
        declared = () if named else tuple(channels)
        return Case(case_id(name), images, labels, attributes, declared)

    def declared(self, case: Case) -> Case:
        """A case that is listed elsewhere, with these names where it has none of its own."""
        named = case.channels or any(source.name for source in case.images)
        labels = tuple(
            label if label.classes.names else replace(label, classes=self.classes)
            for label in case.labels
        )
        channels = case.channels if named else tuple(self.channel_names)
        return replace(case, labels=labels, channels=channels)

    def locate(self, tree: Tree, path: str) -> str:
        """A path as the description gives it, as a file of the tree; absolute where it lies outside."""
        absolute = os.path.normpath(os.path.join(tree.root, self.folder, path))  # noqa: PTH118
        return tree.relative(absolute)


def _apart(names: dict[int, str]) -> dict[int, str]:
    """The names, told apart by their values where several are one."""
    used = Counter(names.values())
    return {value: f"{name}_{value}" if used[name] > 1 else name for value, name in names.items()}


def describe(tree: Tree, *, deep: bool = False) -> Description | None:
    """The ``dataset.json`` at the root, or the one in a folder directly below it.

    With ``deep`` the one farther below, as archives unpack, if its images lie beside it.

    Raises:
        UsageError: several folders have one, or it is not a JSON object.
    """
    found = _far_below(tree) if deep else _at_hand(tree)
    if not found:
        return None
    if len(found) > 1:
        raise UsageError(
            f"{tree.root} holds {len(found)} datasets ({', '.join(found[:4])}); give one of them"
        )
    path = tree.path(found[0])
    fields = read_json(Path(path))
    if not isinstance(fields, dict):
        raise UsageError(f"{path} holds a JSON {type(fields).__name__}, not an object")
    return Description(found[0], fields)


def _at_hand(tree: Tree) -> list[str]:
    if FILE_NAME in tree.known:
        return [FILE_NAME]
    below = sorted({file.partition("/")[0] for file in tree.files if "/" in file})
    return [path for name in below if (path := join(name, FILE_NAME)) in tree.known]


def _far_below(tree: Tree) -> list[str]:
    folders = (split_path(file) for file in tree.files if file.endswith(f"/{FILE_NAME}"))
    return [
        join(folder, name)
        for folder, name in folders
        if name == FILE_NAME and "/" in folder and join(folder, "imagesTr") in tree.folders
    ]


def read_json(path: Path) -> Any:
    """The JSON value in a file; UsageError with line and column where the text is broken."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise UsageError(f"{path} is not JSON: {error.msg} ({where})") from error
    except RecursionError as error:
        raise UsageError(f"{path} is nested too deeply to be a description of a dataset") from error


def check_some_are_there(tree: Tree, description: Description, cases: Sequence[Case]) -> None:
    """Refuse a description that fits nothing on disk. Where it fits some, the other cases fail by themselves.

    Raises:
        UsageError: every case that it lists lacks a file.
    """
    lacking = [next((file for file in case.files if not _exists(tree, file)), "") for case in cases]
    if lacking and all(lacking):
        raise UsageError(
            f"{tree.path(description.file)} lists {len(cases)} cases, and each lacks a file; "
            f"the first: {lacking[0]}",
            advice="give the folder that its paths start at",
        )


def _exists(tree: Tree, path: str) -> bool:
    return tree.relative(path) in tree.known or os.path.exists(path)  # noqa: PTH110


def _whole(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"dataset.json: {value!r} is not a whole number") from error
