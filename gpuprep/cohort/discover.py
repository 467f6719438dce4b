"""Discovery: which cases lie under a folder, by the layouts people keep cohorts in; and a choice of them.

No image is opened. Every file ends up in a case, in the layout's own files, or in the list of unmatched
files with a reason; nothing is dropped in silence.
"""

from __future__ import annotations

import difflib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Literal

from gpuprep.cohort.layouts import LOOKS_FOR, MANIFEST, NAMED, ORDER
from gpuprep.cohort.layouts.dataset_json import FILE_NAME, Description, read_json
from gpuprep.cohort.layouts.dicom import find as find_dicom
from gpuprep.cohort.layouts.listing import list_tree
from gpuprep.cohort.layouts.manifest import SUFFIXES as MANIFEST_SUFFIXES
from gpuprep.cohort.layouts.manifest import read_manifest
from gpuprep.cohort.layouts.msd import find_described
from gpuprep.cohort.layouts.naming import (
    check_read_as_utf8,
    looks_like_dicom,
    looks_like_label,
    path_id,
    split_path,
    split_suffix,
)
from gpuprep.cohort.layouts.structures import with_structures
from gpuprep.cohort.layouts.tree import (
    Found,
    Outcome,
    SeveralVolumes,
    Tree,
    Unmatched,
    has_dicom_magic,
)
from gpuprep.cohort.layouts.volumes import of_volumes
from gpuprep.io.dicom.known import KnownHeaders
from gpuprep.io.placeholders import unfetched_link
from gpuprep.store.files import storage_faults
from gpuprep.values.case import Case, Source, natural_key, natural_sorted
from gpuprep.values.errors import UsageError
from gpuprep.values.structures import StructureRules

__all__ = ["Found", "Unmatched", "choose", "discover", "select"]

_Lister = Callable[[Path], Tree]

_MOST_TOLD = 5
_GLOB = frozenset("*?[")


def discover(
    root: Path,
    *,
    layout: str = "auto",
    follow_symlinks: bool = False,
    series: Literal["all", "volumes"] = "all",
    several_volumes: SeveralVolumes = "refuse",
    structures: StructureRules | None = None,
    headers: Path | None = None,
    keep_headers: bool = True,
) -> Found:
    """The cases under ``root`` in natural order of their ids, and every file that is in none.

    Args:
        root: A folder; or one file: a volume, a DICOM file (its series is the case), a
            ``dataset.json``, or a manifest (.csv, .tsv, .json, .jsonl).
        layout: One that ``gpuprep guide layouts`` lists. ``auto`` takes the first of them, in their order
            there, that fits the folder.
        follow_symlinks: Follow links to folders, and to files outside the root; refused otherwise. The
            paths in a manifest are followed wherever they lead.
        series: ``volumes`` leaves out DICOM series that are none: localizers, dose pages, single slices.
        several_volumes: What becomes of a DICOM series with several volumes: ``channels`` of one case, or one
            case each (``cases``), or a case of the ``first``; else it is a case that reading refuses. With
            ``cases`` so are the volumes of a NIfTI file that is a case by itself.
        structures: Which structures of segmentations and contours are labels, and which series are masks;
            None for all of them, as one label map for each file, and no series.
        headers: Where DICOM headers are kept for the next time, see ``KnownHeaders``; None reads them all.
        keep_headers: Whether headers that are not known there are kept; else the file stays as it is.

    Raises:
        UsageError: there is no such path or layout, nothing fits (the message says what was looked
            for and what is there), two inputs would get one id, or a manifest or ``dataset.json`` is
            wrong.
        StoreFault: the disk failed; a cohort without what it did not show would be another one.
    """
    check_read_as_utf8(str(root))
    with storage_faults(root, what="read"), KnownHeaders(headers, keep=keep_headers) as known:
        lister = partial(
            list_tree,
            follow_symlinks=follow_symlinks,
            volumes_only=series == "volumes",
            several_volumes=several_volumes,
            structures=structures,
            headers=known,
        )
        found = _discover(root, layout, lister)
        cases = of_volumes(found.cases, several_volumes)
        cases = with_structures(cases, structures or StructureRules(), known)
        return found if tuple(cases) == found.cases else replace(found, cases=_in_order(cases))


def _discover(root: Path, layout: str, lister: _Lister) -> Found:
    if layout not in ("auto", MANIFEST, *NAMED):
        raise UsageError(f"no layout {layout!r}; choose auto, {', '.join((*NAMED, MANIFEST))}")
    if unfetched := unfetched_link(root):
        raise UsageError(f"{root}: {unfetched.message}", advice=unfetched.advice)
    if not root.exists():
        raise UsageError(f"input {root} does not exist")
    if root.is_file():
        return _discover_file(Path(os.path.abspath(root)), layout, lister)  # noqa: PTH100
    if layout == MANIFEST:
        raise UsageError(f"{root} is a folder; give the manifest itself: {LOOKS_FOR[MANIFEST]}")
    tree = lister(root)
    asked = ORDER if layout == "auto" else ((layout, NAMED[layout]),)
    for name, find in asked:
        outcome = find(tree)
        if outcome is not None:
            return _account(name, tree, outcome)
    raise UsageError(_nothing_fits(tree, dict(asked)), advice="list the cases in a manifest")


def _discover_file(file: Path, layout: str, lister: _Lister) -> Found:
    """The cohort that one file is, or lists."""
    if file.name == FILE_NAME and layout != MANIFEST:
        return _discover(file.parent, layout, lister)
    if file.suffix.lower() in MANIFEST_SUFFIXES:
        content = read_json(file) if file.suffix.lower() == ".json" else None
        if isinstance(content, dict) and "training" in content:
            tree = lister(file.parent)
            return _account("msd", tree, find_described(tree, Description(file.name, content)))
        cases, unmatched = read_manifest(file, lister)
        if isinstance(content, dict):  # beside its list of cases, what dataset.json would declare
            cases = list(map(Description(file.name, content).declared, cases))
        return Found(MANIFEST, _in_order(cases), unmatched)
    stem, _ = split_suffix(file.name)
    siblings = tuple(entry.name for entry in file.parent.iterdir() if entry.is_file())
    if file.name in Tree(file.parent, siblings).volumes:
        return Found("plain", (Case(path_id("", stem), (Source(str(file)),)),))
    if looks_like_dicom(file.name) or has_dicom_magic(str(file)):
        return _series_of(file, lister)
    known = f"{LOOKS_FOR['plain']}, {LOOKS_FOR['dicom']} and {LOOKS_FOR[MANIFEST]}"
    raise UsageError(f"{file} is no volume, DICOM file or manifest; known are {known}")


def _series_of(file: Path, lister: _Lister) -> Found:
    """The one case that is the DICOM series of a file, or those of its volumes."""
    tree = replace(lister(file.parent), volumes_only=False)
    outcome = find_dicom(tree) or Outcome()
    cases = [case for case in outcome.cases if str(file) in case.files]
    if cases and "volume" in cases[0].attributes:
        own = {**cases[0].attributes, "volume": ""}
        cases = [case for case in outcome.cases if {**case.attributes, "volume": ""} == own]
    if not cases:
        reason = outcome.reasons.get(file.name, "it holds no image")
        raise UsageError(f"{file} belongs to no DICOM series: {reason}")
    return Found("dicom", tuple(cases))


def _account(layout: str, tree: Tree, outcome: Outcome) -> Found:
    """Put cases and files in order, and say something about every file."""
    cases = _in_order(outcome.cases)
    used = {tree.relative(file) for case in cases for file in case.files}
    reasons = {file: reason for file, reason in outcome.reasons.items() if file not in used}
    for file in tree.files:
        if not (file in used or file in reasons or file in outcome.own or _is_sidecar(file, used)):
            reason = _leftover_reason(tree, file)
            if reason:
                reasons[file] = reason
    unmatched = [Unmatched(tree.path(file), reason) for file, reason in reasons.items()]
    unmatched.extend(tree.refused)
    unmatched.sort(key=lambda entry: natural_key(entry.path))
    root = "" if tree.follow_symlinks else str(tree.root)
    return Found(layout, cases, tuple(unmatched), root)


def _is_sidecar(file: str, used: set[str]) -> bool:
    """Whether it is the JSON of an image that is in a case: what it tells of PET is read with it."""
    stem = file.removesuffix(".json")
    return stem != file and not used.isdisjoint((f"{stem}.nii", f"{stem}.nii.gz"))


def _leftover_reason(tree: Tree, file: str) -> str:
    """Why a file that no layout spoke of is in no case; empty for voxels beside their header."""
    stem, suffix = split_suffix(file)
    if tree.is_detached_voxels(file):
        return ""
    if suffix in (".hdr", ".hdr.gz") and not tree.is_volume(file):
        return "header without its .img file"
    if tree.is_volume(file) and looks_like_label(stem):
        return "label map (by its name or folder) without an image; pair them in a manifest"
    if tree.is_volume(file):
        return "image that is in no case of this layout; give its folder by itself, or list it in a manifest"
    if looks_like_dicom(split_path(file)[1]) and has_dicom_magic(tree.path(file)):
        return "DICOM file among volume files; give its folder by itself, or list it in a manifest"
    return "not an image file"


def _in_order(cases: Iterable[Case]) -> tuple[Case, ...]:
    """Cases in natural order of their ids; UsageError where two have one id."""
    cases = tuple(cases)
    by_id = {case.id: case for case in cases}
    if len(by_id) == len(cases):
        return tuple(by_id[case_id] for case_id in natural_sorted(by_id))
    named: dict[str, list[Case]] = {}
    for case in cases:
        named.setdefault(case.id, []).append(case)
    ordered = tuple(case for case_id in natural_sorted(named) for case in named[case_id])
    repeated = [
        f"{first.id!r} for both {first.files[0]} and {second.files[0]}"
        for first, second in itertools.pairwise(ordered)
        if first.id == second.id
    ]
    if repeated:
        more = f", and {len(repeated) - _MOST_TOLD} more" if len(repeated) > _MOST_TOLD else ""
        raise UsageError(
            f"two inputs would get one case id: {'; '.join(repeated[:_MOST_TOLD])}{more}",
            advice="rename one of each, or give ids in a manifest",
        )
    return ordered


def _nothing_fits(tree: Tree, asked: Iterable[str]) -> str:
    wanted = "; ".join(f"{name}: {LOOKS_FOR[name]}" for name in asked)
    kinds = Counter(split_suffix(split_path(file)[1])[1] or "no suffix" for file in tree.files)
    held = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(_MOST_TOLD))
    labels = sum(looks_like_label(split_suffix(file)[0]) for file in tree.volumes)
    told = f"{len(tree.files)} files ({held})" if tree.files else "no files"
    if labels:
        told += f", {labels} of them label maps by their names (layout plain takes them as images)"
    if tree.refused:
        first = tree.refused[0]
        told += f", {len(tree.refused)} refused ({first.path}: {first.reason})"
    return f"no cohort found in {tree.root}. Looked for {wanted}. Found {told}"


def choose(
    cases: Sequence[Case],
    *,
    only: Sequence[str] = (),
    failed: Collection[str] | None = None,
    limit: int | None = None,
) -> tuple[Case, ...]:
    """The cases of a run, in cohort order: each thing that is asked for narrows the choice, ``limit`` last.

    Args:
        only: Ids and patterns, as for ``select``; empty for any case.
        failed: Ids of the cases that failed when they were last tried; None for any case.
        limit: The most cases to take, the first of those that the others leave.

    Raises:
        UsageError: an id or pattern fits no case, or none of the failed cases is among the others.
    """
    chosen = select(cases, only) if only else tuple(cases)
    if failed is not None:
        chosen = tuple(case for case in chosen if case.id in failed)
        if not chosen:
            among = "those that are asked for" if only else "the cases of the input"
            raise UsageError(
                f"none of the {len(failed)} cases that failed is among {among}",
                advice="gpuprep failures lists them",
            )
    return chosen[:limit]


def select(cases: Sequence[Case], only: Iterable[str]) -> tuple[Case, ...]:
    """The cases with one of these ids, or that one of these patterns (``liver_*``) takes in; in cohort order.

    Raises:
        UsageError: an id or pattern fits no case; the message names the nearest ids.
    """
    known = {case.id for case in cases}
    wanted: set[str] = set()
    for pattern in only:
        found = {pattern} & known
        if not found and _GLOB & set(pattern):
            found = {case_id for case_id in known if fnmatchcase(case_id, pattern)}
        if not found:
            raise _no_such_case(pattern, known)
        wanted |= found
    return tuple(case for case in cases if case.id in wanted)


def _no_such_case(pattern: str, known: set[str]) -> UsageError:
    near = difflib.get_close_matches(pattern, sorted(known), 3, 0.5)
    advice = f"did you mean {', '.join(near)}?" if near else "gpuprep plan lists the case ids"
    return UsageError(f"no case {pattern!r} among the {len(known)} of the input", advice=advice)
