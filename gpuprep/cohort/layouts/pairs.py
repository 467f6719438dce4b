"""Images and labels that share a name: ``x_image`` + ``x_label``, ``x`` + ``x_seg``, or two folders.

MR sequences with one prefix (``x_t1``, ``x_t1ce``, ``x_t2``, ``x_flair``) are the channels of one case.
"""

from __future__ import annotations

from collections.abc import Iterable

from gpuprep.cohort.layouts import parallel
from gpuprep.cohort.layouts.agreement import set_aside_odd_cases
from gpuprep.cohort.layouts.dicom import add_series
from gpuprep.cohort.layouts.found import Outcome
from gpuprep.cohort.layouts.group_cases import add_group
from gpuprep.cohort.layouts.groups import Group
from gpuprep.cohort.layouts.naming import path_id
from gpuprep.cohort.layouts.tree import Tree


def find(tree: Tree) -> Outcome | None:
    """Cases of a tree in which at least one image has a label or further channels by its name."""
    if (outcome := parallel.find(tree)) is not None:
        return outcome
    groups = [group for groups in tree.groups.values() for group in groups]
    if not any(group.is_pair for group in groups):
        return None
    outcome = Outcome()
    add_groups(outcome, tree, groups)
    set_aside_odd_cases(tree, outcome)
    add_series(outcome, tree)
    return outcome


def add_groups(outcome: Outcome, tree: Tree, groups: Iterable[Group]) -> None:
    """Add the cases of groups, with ids from where they lie."""
    for group in groups:
        add_group(outcome, tree, group, _group_id(group))


def _group_id(group: Group) -> str:
    """The prefix for channels and ``x_image``; otherwise the image's whole stem (``x_ct``)."""
    generic = group.is_channels or (group.images and group.images[0].role.part == "image")
    stem = group.prefix if generic or not group.images else group.images[0].stem
    return path_id(group.folder, stem)
