"""Images and labels in two folders side by side: ``images/x.nii.gz`` and ``labels/x.nii.gz``.

Folders are matched by parent and by the set at their end (``imagesTr`` with ``labelsTr``). A label has
its image's stem, that stem without nnU-Net's ``_0000``, or the stem and a label word (``x_seg``). A folder of
images without labels beside it (``imagesTs``) holds cases too.
"""

from __future__ import annotations

import re

from gpuprep.cohort.layouts.filenames import join, split_path, split_suffix
from gpuprep.cohort.layouts.found import Outcome
from gpuprep.cohort.layouts.group_cases import MANIFEST_ADVICE
from gpuprep.cohort.layouts.naming import path_id, role_of
from gpuprep.cohort.layouts.tree import Tree
from gpuprep.values.case import Case, LabelSource, Source

_SETS = {"tr": "train", "ts": "test", "va": "validation", "": ""}
_IMAGES = re.compile(
    r"(?:images?|imgs?|volumes?|scans?|cts?|mrs?)_?(?P<set>tr|ts|va|)", re.IGNORECASE
)
_LABELS = re.compile(
    r"(?:labels?|masks?|segs?|segmentations?|gt|annotations?|ground_?truths?)_?(?P<set>tr|ts|va|)",
    re.IGNORECASE,
)
_CHANNEL = re.compile(r"(?P<case>.+)_0000")

_Place = tuple[str, str]  # parent folder and set


def find(tree: Tree) -> Outcome | None:
    """Cases of a tree in which at least one image has a label of its name in the folder beside."""
    labels = {
        place: _by_name(tree, folders[0])
        for place, folders in _places(tree, _LABELS).items()
        if len(folders) == 1
    }
    outcome = Outcome()
    for place, folders in _places(tree, _IMAGES).items():
        for folder in folders:
            _add_cases(outcome, tree, folder, place, labels.get(place, {}))
    if not any(case.labels for case in outcome.cases):
        return None
    unused = f"label map without an image of its name in the folder beside; {MANIFEST_ADVICE}"
    for by_name in labels.values():
        outcome.reasons.update((file, unused) for file in by_name.values())
    return outcome


def _places(tree: Tree, pattern: re.Pattern[str]) -> dict[_Place, list[str]]:
    """The folders whose name fits, by parent and set."""
    places: dict[_Place, list[str]] = {}
    for folder in tree.folders:
        parent, name = split_path(folder)
        match = pattern.fullmatch(name)
        if match:
            places.setdefault((parent, match["set"].lower()), []).append(folder)
    return places


def _by_name(tree: Tree, folder: str) -> dict[str, str]:
    """Label files by stem, and by the stem before a label word where no other file has that."""
    stems = {split_suffix(name)[0]: join(folder, name) for name in tree.folders[folder]}
    shorter = {role_of(stem).prefix: file for stem, file in stems.items()}
    return {**shorter, **stems}


def _add_cases(
    outcome: Outcome, tree: Tree, folder: str, place: _Place, labels: dict[str, str]
) -> None:
    parent, subset = place
    attributes = {"split": _SETS[subset]} if subset else {}
    stems = {split_suffix(name)[0] for name in tree.folders[folder]}
    for name in tree.folders[folder]:
        stem = split_suffix(name)[0]
        channel = _CHANNEL.fullmatch(stem)
        shorter = channel["case"] if channel and channel["case"] not in stems else stem
        label = labels.get(stem) or labels.get(shorter)
        sources = (LabelSource((Source(tree.path(label)),)),) if label else ()
        image = Source(tree.path(join(folder, name)))
        outcome.cases.append(Case(path_id(parent, stem), (image,), sources, dict(attributes)))
