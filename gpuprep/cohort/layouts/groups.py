"""Files of one folder brought together by their names: images, channels and labels of one case.

Within a folder, the images and labels with one prefix are a *group*.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gpuprep.cohort.layouts.naming import (
    SEPARATORS,
    Role,
    join,
    looks_like_label,
    role_of,
    split_suffix,
)


@dataclass(frozen=True, slots=True)
class Member:
    """One volume file (relative to the root) and what its name tells."""

    file: str
    stem: str
    role: Role


@dataclass(slots=True)
class Group:
    """The members of one prefix in one folder; ``rivals`` are other images that begin with the prefix."""

    folder: str
    prefix: str
    images: list[Member] = field(default_factory=list)
    labels: list[Member] = field(default_factory=list)
    rivals: list[str] = field(default_factory=list)

    @property
    def is_channels(self) -> bool:
        words = {member.role.word.lower() for member in self.images}
        sequences = all(member.role.part == "sequence" for member in self.images)
        return sequences and len(words) == len(self.images) > 1

    @property
    def is_pair(self) -> bool:
        """Whether names alone bring several files together."""
        return self.is_channels or bool(self.images and self.labels and not self.rivals)


def group_folder(folder: str, names: Sequence[str], stems: Sequence[str]) -> list[Group]:
    """The groups of one folder, of names and their stems, in the order of their first image.

    A label belongs to the image whose whole stem it extends (``a_ct`` and ``a_ct_seg``), else to the
    images with which it shares a prefix (``a_ct`` and ``a_seg``).
    """
    members = [
        Member(join(folder, name), stem, role_of(stem))
        for name, stem in zip(names, stems, strict=True)
    ]
    labels = [member for member in members if member.role.part == "label"]
    labelled = {label.role.prefix for label in labels}
    images = [member for member in members if _is_image(member, labelled)]
    prefix_of_stem = {image.stem: image.role.prefix for image in images}
    groups: dict[str, Group] = {}
    for image in images:
        groups.setdefault(image.role.prefix, Group(folder, image.role.prefix)).images.append(image)
    for label in labels:
        prefix = prefix_of_stem.get(label.role.prefix, label.role.prefix)
        groups.setdefault(prefix, Group(folder, prefix)).labels.append(label)
    _find_rivals(list(groups.values()), sorted(prefix_of_stem))
    return list(groups.values())


def _is_image(member: Member, labelled: set[str]) -> bool:
    """Whether a file is an image: a path that speaks of labels needs an image's word or own label."""
    if member.role.part == "label":
        return False
    called = member.role.part == "image" and member.role.word
    if called or member.stem in labelled:
        return True
    return not looks_like_label(split_suffix(member.file)[0])


def _find_rivals(groups: list[Group], stems: list[str]) -> None:
    """Note for each prefix shared only by a modality or sequence which other images begin with it.

    ``a_seg`` beside ``a_ct`` alone is a pair; beside ``a_ct`` and ``a_ct_small`` it may belong to either.
    """
    for group in groups:
        own = {member.stem for member in group.images}
        tied = {label.role.prefix for label in group.labels} <= own
        convention = any(member.role.part == "image" for member in group.images)
        if not group.labels or not group.prefix or tied or convention:
            continue
        group.rivals = [
            stem
            for separator in SEPARATORS
            for stem in _beginning_with(group.prefix + separator, stems)
            if stem not in own
        ]


def _beginning_with(start: str, stems: list[str]) -> Iterator[str]:
    """The sorted stems that begin with a text."""
    for position in range(bisect_left(stems, start), len(stems)):
        if not stems[position].startswith(start):
            return
        yield stems[position]
