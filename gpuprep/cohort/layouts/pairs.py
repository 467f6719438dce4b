"""Images and labels that share a name: ``x_image`` + ``x_label``, ``x`` + ``x_seg``, or two folders.

MR sequences with one prefix (``x_t1``, ``x_t1ce``, ``x_t2``, ``x_flair``) are the channels of one case, and
so are ``images/x_0000``, ``x_0001`` … with a label ``x``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from gpuprep.cohort.layouts.dicom import add_series
from gpuprep.cohort.layouts.group_cases import MANIFEST_ADVICE, add_group
from gpuprep.cohort.layouts.groups import Group
from gpuprep.cohort.layouts.naming import join, path_id, role_of, split_path, split_suffix
from gpuprep.cohort.layouts.tree import Outcome, Tree
from gpuprep.values.case import Case

_SETS = {"tr": "train", "ts": "test", "va": "validation", "": ""}
_IMAGES = re.compile(
    r"(?:images?|imgs?|volumes?|scans?|cts?|mrs?)_?(?P<set>tr|ts|va|)", re.IGNORECASE
)
_LABELS = re.compile(
    r"(?:labels?|masks?|segs?|segmentations?|gt|annotations?|ground_?truths?)_?(?P<set>tr|ts|va|)",
    re.IGNORECASE,
)
_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>[0-9]{4})")
_Place = tuple[str, str]  # parent folder and set


def find(tree: Tree) -> Outcome | None:
    """Cases of a tree in which at least one image has a label or further channels by its name."""
    if (outcome := _beside(tree)) is not None:
        return outcome
    if not tree.signs.pairing:
        return None
    groups = [group for groups in tree.groups.values() for group in groups]
    if not any(group.is_pair for group in groups):
        return None
    outcome = Outcome()
    add_groups(outcome, tree, groups)
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


def _beside(tree: Tree) -> Outcome | None:
    """Cases of a tree in which at least one image has a label of its name in the folder beside."""
    labels = {
        place: _by_name(tree, folders[0])
        for place, folders in _places(tree, _LABELS).items()
        if len(folders) == 1
    }
    if not labels:
        return None
    outcome = Outcome()
    images = _places(tree, _IMAGES)
    channels = any(
        len(each) > 1
        for place, folders in images.items()
        for folder in folders
        for each in _numbered(tree, folder, labels.get(place, {})).values()
    )
    for place, folders in images.items():
        for folder in folders:
            own = labels.get(place, {})
            numbered = _numbered(tree, folder, own, everywhere=channels)
            _add_cases(outcome, tree, folder, place, own, numbered)
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
    outcome: Outcome,
    tree: Tree,
    folder: str,
    place: _Place,
    labels: Mapping[str, str],
    numbered: Mapping[str, Mapping[int, str]],
) -> None:
    parent, subset = place
    attributes = {"split": _SETS[subset]} if subset else {}
    files = dict(_by_stem(tree, folder))
    for stem, file in _by_stem(tree, folder):
        channels = numbered.get(_base(stem), {})
        if stem in channels.values():
            if stem != next(iter(channels.values())):
                continue
            name = _base(stem) if len(channels) > 1 else stem
            images = tuple(tree.source(files[each]) for each in channels.values())
            label = labels.get(_base(stem))
        else:
            name, images, label = stem, (tree.source(file),), labels.get(stem)
        sources = (tree.label(label),) if label else ()
        outcome.cases.append(Case(path_id(parent, name), images, sources, dict(attributes)))


def _by_stem(tree: Tree, folder: str) -> Iterator[tuple[str, str]]:
    for name in tree.folders[folder]:
        yield split_suffix(name)[0], join(folder, name)


def _base(stem: str) -> str:
    """What of a stem comes before a channel's number; empty where it has none."""
    match = _CHANNEL.fullmatch(stem)
    return match["case"] if match else ""


def _numbered(
    tree: Tree, folder: str, labels: Mapping[str, str], *, everywhere: bool = False
) -> dict[str, dict[int, str]]:
    """nnU-Net's channels: of each label ``a`` the stems ``a_0000``, ``a_0001`` … by their numbers.

    With ``everywhere`` also where there is no label ``a``. None where an image is called as the label is, or
    a stem with a number has a label of its own.
    """
    stems = dict(_by_stem(tree, folder))
    found: dict[str, dict[int, str]] = {}
    for stem in stems:
        match = _CHANNEL.fullmatch(stem)
        if match and (everywhere or match["case"] in labels) and match["case"] not in stems:
            found.setdefault(match["case"], {})[int(match["channel"])] = stem
    return {
        base: dict(sorted(channels.items()))
        for base, channels in found.items()
        if 0 in channels and not any(stem in labels for stem in channels.values())
    }
