"""BIDS: ``sub-*/[ses-*/]anat/*_T1w.nii.gz`` and its like, with label maps in ``derivatives/``.

The anatomical images of a session are the channels of one case, in the order T1w, T2w, FLAIR. Where a
session has several images of one suffix (runs, acquisitions), its images are grouped by all entities of their
names instead. A label belongs to the case whose entities it repeats, if it is in the same space.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gpuprep.cohort.layouts.group_cases import MANIFEST_ADVICE
from gpuprep.cohort.layouts.naming import case_id, join, split_path
from gpuprep.cohort.layouts.tables import attributes_by
from gpuprep.cohort.layouts.tree import Outcome, Tree
from gpuprep.values.case import Case, LabelSource

_CHANNELS = ("T1w", "T2w", "FLAIR", "PDw", "CT", "ct")
_LABELS = frozenset({"dseg", "mask", "msk", "seg", "roi"})
_NAME = re.compile(r"(?P<entities>sub-[^_]+(?:_[A-Za-z0-9]+-[^_]+)*)_(?P<suffix>[A-Za-z0-9]+)")
_FOLDER = re.compile(r"(?:(?P<above>.+)/)?sub-[^/]+(?:/ses-[^/]+)?(?:/anat)?")
_LABEL_ENTITIES = frozenset({"label", "desc", "res", "space", "atlas", "seg", "den"})
_OWN = re.compile(r"dataset_description\.json|participants\.(?:tsv|json)|README.*|CHANGES|LICENSE")
_PARTICIPANTS = "participants.tsv"

_Entities = dict[str, str]
_Key = tuple[str, int]  # name of a case, and which of the images with that name it has


@dataclass(frozen=True, slots=True)
class _Named:
    """A volume file with a BIDS name; ``raw`` files are not derivatives."""

    file: str
    stem: str
    entities: _Entities
    suffix: str
    raw: bool

    @property
    def session(self) -> tuple[str, str]:
        return self.entities["sub"], self.entities.get("ses", "")

    @property
    def prefix(self) -> str:
        return self.stem.rpartition("_")[0]


def find(tree: Tree) -> Outcome | None:
    """The cases of a tree that has anatomical images with BIDS names in BIDS folders."""
    named = list(_named(tree))
    images = [one for one in named if one.raw and one.suffix in _CHANNELS]
    if not images:
        return None
    outcome = Outcome(own=_own_files(tree, images))
    people = {}
    if _PARTICIPANTS in tree.known:
        people = attributes_by(Path(tree.path(_PARTICIPANTS)), "participant_id")
    groups = _grouped(images)
    labels = _owned(outcome, groups, [one for one in named if one.suffix in _LABELS])
    for key, channels in groups.items():
        channels.sort(key=lambda one: _CHANNELS.index(one.suffix))
        files = tuple(tree.source(one.file, one.suffix) for one in channels)
        sources = _label_sources(outcome, tree, labels.get(key, []))
        attributes = _attributes(channels[0], people)
        outcome.cases.append(Case(case_id(key[0]), files, sources, attributes))
    _explain_others(outcome, named)
    return outcome


def _named(tree: Tree) -> Iterator[_Named]:
    for folder, stems in tree.stems.items():
        place = _FOLDER.fullmatch(folder)
        if place is None:
            continue
        raw = "derivatives" not in (place["above"] or "").split("/")
        for name, stem in zip(tree.folders[folder], stems, strict=True):
            match = _NAME.fullmatch(stem)
            if match:
                entities = dict(entity.split("-", 1) for entity in match["entities"].split("_"))
                yield _Named(join(folder, name), stem, entities, match["suffix"], raw=raw)


def _grouped(images: list[_Named]) -> dict[_Key, list[_Named]]:
    """The images of each case: of a session, or of one name without suffix in sessions that have several
    images of one suffix. Copies of one image stay apart, so that their ids clash."""
    count = Counter((one.session, one.suffix) for one in images)
    crowded = {session for (session, _), number in count.items() if number > 1}
    seen: Counter[tuple[str, str]] = Counter()
    groups: dict[_Key, list[_Named]] = {}
    for one in images:
        subject, session = one.session
        name = f"sub-{subject}" + (f"_ses-{session}" if session else "")
        name = one.prefix if one.session in crowded else name
        groups.setdefault((name, seen[name, one.suffix]), []).append(one)
        seen[name, one.suffix] += 1
    return groups


def _owned(
    outcome: Outcome, groups: dict[_Key, list[_Named]], labels: list[_Named]
) -> dict[_Key, list[_Named]]:
    """The labels of each case; one that fits several cases gets a reason."""
    keys: dict[tuple[str, str], list[_Key]] = {}
    for key, images in groups.items():
        keys.setdefault(images[0].session, []).append(key)
    owned: dict[_Key, list[_Named]] = {}
    for label in labels:
        owners = [
            key
            for key in keys.get(label.session, ())
            if any(_belongs(label, image) for image in groups[key])
        ]
        if len(owners) == 1:
            owned.setdefault(owners[0], []).append(label)
        elif owners:
            fitting = ", ".join(name for name, _ in owners)
            outcome.reasons[label.file] = f"label map that fits {fitting}; {MANIFEST_ADVICE}"
    return owned


def _label_sources(outcome: Outcome, tree: Tree, labels: list[_Named]) -> tuple[LabelSource, ...]:
    """The label maps of a case by name; those that share a name are reported instead."""
    if len(labels) == 1:
        return (tree.label(labels[0].file),)
    by_name: dict[str, list[_Named]] = {}
    for label in labels:
        named = label.entities.get("label") or label.entities.get("desc") or label.suffix
        by_name.setdefault(case_id(named), []).append(label)
    for same in by_name.values():
        if len(same) > 1:
            reason = f"one of {len(same)} label maps of one name; {MANIFEST_ADVICE}"
            outcome.reasons.update((label.file, reason) for label in same)
    return tuple(tree.label(same[0].file, name) for name, same in by_name.items() if len(same) == 1)


def _belongs(label: _Named, image: _Named) -> bool:
    """Whether a label lies in the image's space and says nothing that the image contradicts."""
    if label.entities.get("space", "orig") not in (
        image.entities.get("space", "orig"),
        image.suffix,
    ):
        return False
    told = {key: value for key, value in label.entities.items() if key not in _LABEL_ENTITIES}
    return all(image.entities.get(key) == value for key, value in told.items())


def _explain_others(outcome: Outcome, named: list[_Named]) -> None:
    for one in named:
        if one.suffix in _LABELS:
            reason = f"label map that repeats no image's entities and space; {MANIFEST_ADVICE}"
        elif one.raw:
            reason = (
                f"BIDS image with suffix {one.suffix}; cases are made of {', '.join(_CHANNELS[:4])}"
            )
        else:
            reason = "image below derivatives; cases are made of raw images"
        outcome.reasons.setdefault(one.file, reason)


def _own_files(tree: Tree, images: list[_Named]) -> set[str]:
    """The files that describe the dataset, and the sidecars of its images."""
    sidecars = {f"{split_path(one.file)[0]}/{one.stem}.json" for one in images}
    return {file for file in tree.files if file in sidecars or _OWN.fullmatch(file)}


def _attributes(image: _Named, people: dict[str, _Entities]) -> _Entities:
    """Subject and session of a case, and the subject's row of ``participants.tsv``."""
    subject, session = image.session
    told = {"subject": subject, "session": session} if session else {"subject": subject}
    return {**people.get(f"sub-{subject}", {}), **told}
