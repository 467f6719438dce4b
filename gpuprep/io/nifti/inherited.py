"""The JSON files that tell of an image: the one beside it, and in a BIDS data set those further up.

A file applies to all images at or below its folder whose names have its suffix and all its entities; of each
folder one may apply, and nearer ones override (BIDS 1.10, Inheritance Principle:
https://bids-specification.readthedocs.io/en/stable/common-principles.html#the-inheritance-principle).
"""

from __future__ import annotations

import os
from pathlib import Path

_ROOT = "dataset_description.json"


def sidecars_by_folder(image: Path) -> list[list[Path]]:
    """The files that apply to an image, by folder: from the root of its data set down to its own.

    Without a root, or where the image has no name of BIDS, only the one beside it, of its very name.
    """
    name = image.name.removesuffix(".gz")
    stem = name.rpartition(".")[0] or name
    parts = _parts(stem)
    root = _root_of(image) if parts else None
    if root is None:
        beside = image.with_name(f"{stem}.json")
        return [[beside]] if beside.is_file() else []
    folders = [*image.absolute().parents]
    above = folders[: folders.index(root) + 1]
    found = [_applicable(folder, *parts) for folder in reversed(above)] if parts else []
    return [files for files in found if files]


def _root_of(image: Path) -> Path | None:
    """The nearest folder above that describes a data set."""
    folders = image.absolute().parents
    return next((folder for folder in folders if (folder / _ROOT).is_file()), None)


def _parts(stem: str) -> tuple[str, frozenset[str]] | None:
    """Suffix and entities of a name; None where it is not made of these."""
    *entities, suffix = stem.split("_")
    named = suffix and all("-" in entity for entity in entities)
    return (suffix, frozenset(entities)) if named else None


def _applicable(folder: Path, suffix: str, entities: frozenset[str]) -> list[Path]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.name.endswith(".json"))
    told = ((name, _parts(name.removesuffix(".json"))) for name in names)
    return [
        folder / name
        for name, parts in told
        if parts and parts[0] == suffix and parts[1] <= entities and (folder / name).is_file()
    ]
