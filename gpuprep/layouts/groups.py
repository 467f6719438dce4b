"""Files of one folder brought together by their names: images, channels and labels of one case.

Within a folder, the images and labels with one prefix are a *group*. A group is a case when its names
leave no choice: one image, or MR sequences that are its channels. Where they leave a choice, the images
become cases of their own and the labels are reported.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from gpuprep.case import Case, LabelSource, Source
from gpuprep.layouts.found import Outcome
from gpuprep.layouts.naming import Role, looks_like_label, path_id, role_of
from gpuprep.layouts.tree import Tree, join, split_suffix

MANIFEST_ADVICE = "pair image and label in a manifest"


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


def group_folder(folder: str, names: Sequence[str]) -> list[Group]:
    """The groups of one folder, in the order of their first image.

    A label belongs to the image whose whole stem it extends (``a_ct`` and ``a_ct_seg``), else to the
    images with which it shares a prefix (``a_ct`` and ``a_seg``).
    """
    stems = [split_suffix(name)[0] for name in names]
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
    stem = split_suffix(member.file)[0]
    return bool(called) or member.stem in labelled or not looks_like_label(stem)


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
        for stem in stems[bisect_left(stems, group.prefix) :]:
            if not stem.startswith(group.prefix):
                break
            if stem not in own and stem != group.prefix and not stem[len(group.prefix)].isalnum():
                group.rivals.append(stem)


def add_group(outcome: Outcome, tree: Tree, group: Group, case_id: str) -> None:
    """Turn one group into cases and reasons.

    A group that is one case gets ``case_id``; where its images are cases one by one, their ids come from
    their paths. Labels without an image are reported.
    """
    if group.images and (group.is_channels or len(group.images) == 1):
        labels = _choose_labels(outcome, tree, group, group.labels)
        outcome.cases.append(Case(case_id, _channels(tree, group), labels))
        return
    taken: set[str] = set()
    for image in group.images:
        own = [label for label in group.labels if label.role.prefix == image.stem]
        taken.update(label.file for label in own)
        labels = _choose_labels(outcome, tree, group, own)
        source = Source(tree.path(image.file), name=_channel_name(image))
        outcome.cases.append(Case(path_id(group.folder, image.stem), (source,), labels))
    for label in group.labels:
        if label.file not in taken:
            outcome.reasons[label.file] = _no_image(label.role.prefix, group)


def explain_lone_labels(outcome: Outcome, tree: Tree) -> None:
    """Say of each file named as a label which image it would have needed, or why it was not taken."""
    for folder, names in tree.folders.items():
        for group in group_folder(folder, names):
            for label in group.labels:
                paired = f"label map that this layout leaves aside; {MANIFEST_ADVICE}"
                reason = paired if group.is_pair else _no_image(label.role.prefix, group)
                outcome.reasons[label.file] = reason


def _channels(tree: Tree, group: Group) -> tuple[Source, ...]:
    images = group.images
    if group.is_channels:
        images = sorted(images, key=lambda member: member.role.rank)
    return tuple(Source(tree.path(image.file), name=_channel_name(image)) for image in images)


def _channel_name(image: Member) -> str:
    return "" if image.role.part == "image" else image.role.word


def _choose_labels(
    outcome: Outcome, tree: Tree, group: Group, labels: list[Member]
) -> tuple[LabelSource, ...]:
    """One label is the segmentation; several are label maps named by their words, if these differ."""
    words = {label.role.word.lower() for label in labels}
    if group.rivals and labels:
        reason = _no_image(group.prefix, group)
    elif len(words) < len(labels):
        reason = f"one of {len(labels)} label maps of one image; {MANIFEST_ADVICE}"
    else:
        names = ["segmentation"] if len(labels) == 1 else [label.role.word for label in labels]
        return tuple(
            LabelSource((Source(tree.path(label.file)),), name)
            for label, name in zip(labels, names, strict=True)
        )
    outcome.reasons.update((label.file, reason) for label in labels)
    return ()


def _no_image(prefix: str, group: Group) -> str:
    candidates = [member.stem for member in group.images] + group.rivals
    if len(candidates) > 1:
        return f"label map that could belong to {', '.join(candidates[:4])}; {MANIFEST_ADVICE}"
    near = f" (there is {candidates[0]})" if candidates else ""
    wanted = f"named {prefix}" if prefix else "beside it"
    return f"label map without an image {wanted}{near}; {MANIFEST_ADVICE}"
