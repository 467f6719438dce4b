"""Cases from groups of files: a group is a case where its names leave no choice.

That is, with one image, or with MR sequences that are its channels. Where names leave a choice, the images
become cases of their own and the labels are reported. A cohort's cases must mean the same by a channel or a
label value; those that differ from most are set aside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from gpuprep.cohort.layouts.groups import Group, Member
from gpuprep.cohort.layouts.naming import path_id
from gpuprep.cohort.layouts.tree import Outcome, Tree
from gpuprep.values.case import Case, LabelSource

Names = tuple[str, ...]

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


def set_aside_odd_cases(tree: Tree, outcome: Outcome) -> None:
    """Keep the cases with the most frequent channels and structures; give the others' files a reason.

    Value ``i + 1`` of a merged label is its ``i``-th structure, so a case that lacks one structure would
    number all later ones differently. Cases with a single channel, or without structures, always agree
    with each other.
    """
    _keep_most_frequent(tree, outcome, _channel_names, "channels")
    _keep_most_frequent(tree, outcome, _structures, "structures")


def _keep_most_frequent(
    tree: Tree, outcome: Outcome, names_of: Callable[[Case], Names | None], what: str
) -> None:
    named = [(case, names_of(case)) for case in outcome.cases]
    counts = Counter(names for _, names in named if names is not None)
    if len(counts) < 2:
        return
    usual = max(counts, key=lambda names: (counts[names], len(names), names))
    outcome.cases = [case for case, names in named if names is None or names == usual]
    for case, names in named:
        if names is not None and names != usual:
            reason = _difference(case, names, usual, what)
            outcome.reasons.update((tree.relative(file), reason) for file in case.files)


def _channel_names(case: Case) -> Names:
    return tuple(source.name.lower() for source in case.images) if len(case.images) > 1 else ("",)


def _structures(case: Case) -> Names | None:
    names = tuple(source.name for label in case.labels for source in label.sources)
    return names if any(names) else None


def _difference(case: Case, names: Names, usual: Names, what: str) -> str:
    missing = ", ".join([name for name in usual if name and name not in names][:4])
    extra = ", ".join([name for name in names if name and name not in usual][:4])
    parts = [f"lacks {missing}" if missing else "", f"has {extra} besides" if extra else ""]
    told = " and ".join(part for part in parts if part) or "has them in another order"
    return (
        f"case {case.id} has other {what} than most cases: it {told}; complete it or use a manifest"
    )
