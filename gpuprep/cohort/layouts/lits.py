"""LiTS and its kin: numbered images and labels, ``volume-7.nii`` + ``segmentation-7.nii``.

Both may lie in one folder, in batches (``Training Batch 1``) or in folders of their own; images without a
label are test cases (``test-volume-7``). Numbers name cases across the whole tree, so ids have no folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gpuprep.cohort.layouts.group_cases import MANIFEST_ADVICE
from gpuprep.cohort.layouts.naming import case_id, join, stem_of
from gpuprep.cohort.layouts.tree import Outcome, Tree
from gpuprep.values.case import Case

_IMAGE = re.compile(r"(?P<set>test[-_])?(?:volume|image|img)[-_]?(?P<number>[0-9]+)", re.IGNORECASE)
_LABEL = re.compile(
    r"(?P<set>test[-_])?(?:segmentation|label|mask|seg)[-_]?(?P<number>[0-9]+)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Numbered:
    file: str
    folder: str
    key: tuple[str, int]


def find(tree: Tree) -> Outcome | None:
    """Cases of a tree in which at least one numbered image has a label with its number."""
    if not tree.signs.numbered_labels:
        return None
    images = list(_numbered(tree, _IMAGE))
    labels: dict[tuple[str, int], list[_Numbered]] = {}
    for label in _numbered(tree, _LABEL):
        labels.setdefault(label.key, []).append(label)
    if not any(image.key in labels for image in images):
        return None
    outcome = Outcome()
    for image in images:
        chosen = _label_of(image, labels.get(image.key, []))
        sources = (tree.label(chosen.file),) if chosen else ()
        outcome.cases.append(
            Case(case_id(stem_of(image.file)), (tree.source(image.file),), sources)
        )
    _explain_labels(outcome, labels, {image.key for image in images})
    return outcome


def _numbered(tree: Tree, pattern: re.Pattern[str]) -> Iterator[_Numbered]:
    for folder, stems in tree.stems.items():
        for name, stem in zip(tree.folders[folder], stems, strict=True):
            match = pattern.fullmatch(stem)
            if match:
                key = ((match["set"] or "").lower(), int(match["number"]))
                yield _Numbered(join(folder, name), folder, key)


def _label_of(image: _Numbered, labels: list[_Numbered]) -> _Numbered | None:
    """The label beside the image, or the only one of its number in the tree."""
    beside = [label for label in labels if label.folder == image.folder]
    candidates = beside or labels
    return candidates[0] if len(candidates) == 1 else None


def _explain_labels(
    outcome: Outcome, labels: dict[tuple[str, int], list[_Numbered]], images: set[tuple[str, int]]
) -> None:
    for key, same in labels.items():
        name = f"{key[0]}{key[1]}"
        several = f"one of {len(same)} label maps numbered {name}; {MANIFEST_ADVICE}"
        reason = several if key in images else f"label map without an image numbered {name}"
        outcome.reasons.update((label.file, reason) for label in same)
