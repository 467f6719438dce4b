"""How nnU-Net's plans want the files of a folder to be made, where there are plans beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuprep.store.nnunet.class_locations import Key
from gpuprep.values.errors import UsageError

_PATCH = (128, 128, 128)  # nnU-Net's where it knows of no plan


@dataclass(frozen=True, slots=True)
class NnunetRule:
    """How files are made: ``gpuprep.store.nnunet.case.Rule``."""

    patch: tuple[int, ...] = _PATCH
    forward: tuple[int, int, int] = (0, 1, 2)
    locations: tuple[Key, ...] = ()
    reader: str = "SimpleITKIO"


def planned_rule(folder: Path, locations: tuple[Key, ...]) -> NnunetRule:
    """By the plans beside a folder that name it as the data of a configuration; else a patch of 128 voxels.

    Of several plans that share a folder, those count whose name it begins with.

    Raises:
        UsageError: these plans cannot be read, or are none.
    """
    folder = folder.absolute()
    files = sorted(folder.parent.glob("*.json"), key=lambda file: not _is_named(folder, file))
    for file in files:
        try:
            rule = _rule_in(json.loads(file.read_text("utf-8")), folder.name, locations)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            if _is_named(folder, file):
                raise UsageError(
                    f"{file} does not say how to cut the files of {folder.name} ({error!r})",
                    advice="plan the data set anew, or take the file away",
                ) from error
            continue  # it is of another folder, or of something else
        if rule is not None:
            return rule
    return NnunetRule(locations=locations)


def _is_named(folder: Path, file: Path) -> bool:
    return folder.name.startswith(f"{file.stem}_")


def _rule_in(document: Any, name: str, locations: tuple[Key, ...]) -> NnunetRule | None:
    for fields in document["configurations"].values():
        if fields.get("data_identifier") == name:
            first, second, third = map(int, document["transpose_forward"])
            patch = tuple(map(int, fields["patch_size"]))
            reader = str(document.get("image_reader_writer") or "SimpleITKIO")
            return NnunetRule(patch, (first, second, third), locations, reader)
    return None
