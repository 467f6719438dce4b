"""Cases from groups of files: a group is a case where its names leave no choice.

That is, with one image, or with MR sequences that are its channels. Where names leave a choice, the images
become cases of their own and the labels are reported.
"""

from __future__ import annotations

from gpuprep.cohort.layouts.groups import Group, Member
from gpuprep.cohort.layouts.naming import path_id
from gpuprep.cohort.layouts.tree import Outcome, Tree
from gpuprep.values.case import Case, LabelSource

MANIFEST_ADVICE = "pair image and label in a manifest"


def add_group(outcome: Outcome, tree: Tree, group: Group, case_id: str) -> None:
    """Turn one group into cases and reasons.

    A group that is one case gets ``case_id``; where its images are cases one by one, their ids come from
    their paths. Labels without an image are reported.
    """
    if group.images and (group.is_channels or len(group.images) == 1):
        labels = _choose_labels(outcome, tree, group, group.labels)
        images = group.images
        if group.is_channels:
            images = sorted(images, key=lambda member: member.role.rank)
        channels = tuple(tree.source(image.file, _channel_name(image)) for image in images)
        outcome.cases.append(Case(case_id, channels, labels))
        return
    taken: set[str] = set()
    for image in group.images:
        own = [label for label in group.labels if label.role.prefix == image.stem]
        taken.update(label.file for label in own)
        labels = _choose_labels(outcome, tree, group, own)
        source = tree.source(image.file, _channel_name(image))
        outcome.cases.append(Case(path_id(group.folder, image.stem), (source,), labels))
    for label in group.labels:
        if label.file not in taken:
            outcome.reasons[label.file] = _no_image(label.role.prefix, group)


def explain_lone_labels(outcome: Outcome, tree: Tree) -> None:
    """Say of each file named as a label which image it would have needed, or why it was not taken."""
    for groups in tree.groups.values():
        for group in groups:
            for label in group.labels:
                paired = f"label map that this layout leaves aside; {MANIFEST_ADVICE}"
                reason = paired if group.is_pair else _no_image(label.role.prefix, group)
                outcome.reasons[label.file] = reason


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
            tree.label(label.file, name) for label, name in zip(labels, names, strict=True)
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
