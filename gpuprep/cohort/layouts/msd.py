"""Medical Segmentation Decathlon: ``dataset.json`` lists every image with its label.

The lists ``training``, ``validation`` and ``test`` hold either paths or objects with ``image`` and
``label``; an object's ``image`` may be a list of channels. A 4-D file stays one source: the reader makes
its volumes channels, whose names the attribute ``channels`` keeps.
"""

from __future__ import annotations

from typing import Any

from gpuprep.cohort.layouts.dataset_json import Description, check_some_are_there, describe
from gpuprep.cohort.layouts.naming import stem_of
from gpuprep.cohort.layouts.tree import Outcome, Tree
from gpuprep.values.errors import UsageError

LISTS = {"training": "train", "validation": "validation", "test": "test"}


def find(tree: Tree, *, deep: bool = False) -> Outcome | None:
    """The cases of a tree whose ``dataset.json`` has a list ``training``.

    With ``deep`` it lies farther below the root than in a folder there.
    """
    description = describe(tree, deep=deep)
    if description is None or not isinstance(description.fields.get("training"), list):
        return None
    return find_described(tree, description)


def find_described(tree: Tree, description: Description) -> Outcome:
    """The cases a description lists, also those that lack a file: they fail when they are read.

    Raises:
        UsageError: an entry is neither path nor object, or every case lacks a file.
    """
    outcome = Outcome(own={description.file})
    for name, split in LISTS.items():
        entries = description.fields.get(name, [])
        if not isinstance(entries, list):
            raise UsageError(f"{tree.path(description.file)}: {name!r} must be a list")
        for position, entry in enumerate(entries):
            where = f"{tree.path(description.file)}: {name}[{position}]"
            _add_entry(outcome, tree, description, _fields(entry, where), split)
    check_some_are_there(tree, description, outcome.cases)
    return outcome


def _fields(entry: Any, where: str) -> dict[str, Any]:
    """An entry as an object with ``image``, a list of paths, and ``label``, a path or none."""
    fields = {"image": entry} if isinstance(entry, str) else entry
    if not isinstance(fields, dict):
        raise UsageError(f"{where} must be a path or an object with 'image' and 'label'")
    images = fields.get("image")
    images = [images] if isinstance(images, str) else images
    label = fields.get("label") or None
    paths = isinstance(images, list) and images and all(isinstance(one, str) for one in images)
    if not paths or not isinstance(label, str | None):
        raise UsageError(f"{where} must have a path (or a list of paths) as 'image' and 'label'")
    return {**fields, "image": images, "label": label}


def _add_entry(
    outcome: Outcome, tree: Tree, description: Description, fields: dict[str, Any], split: str
) -> None:
    images = [description.locate(tree, path) for path in fields["image"]]
    label = description.locate(tree, fields["label"]) if fields["label"] else None
    told = {key: str(value) for key, value in fields.items() if key not in ("image", "label")}
    if len(description.channel_names) > len(images):
        told["channels"] = ";".join(description.channel_names)
    case = description.case(tree, stem_of(images[0]), images, label, {"split": split, **told})
    outcome.cases.append(case)
