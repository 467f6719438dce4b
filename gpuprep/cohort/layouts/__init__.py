"""How cohorts lie on disk: a table of data sets, and one module for each layout that no row can say.

All come as ``find(tree) -> Outcome | None``.

``find`` returns None where a tree is not of its layout. ``ORDER`` is that in which automatic detection asks
them, the most specific first; a manifest is a file of its own and is never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from gpuprep.cohort.layouts import bids, dicom, folders, msd, nnunet, pairs, plain
from gpuprep.cohort.layouts.by_table import find_by
from gpuprep.cohort.layouts.public import TABLE
from gpuprep.cohort.layouts.tree import Outcome, Tree

Find = Callable[[Tree], Outcome | None]


def _near_or_far(near: Find, far: Find, tree: Tree) -> Outcome | None:
    found = near(tree)
    return far(tree) if found is None else found


_KNOWN: Mapping[str, Find] = {
    "nnunet": nnunet.find,
    "msd": msd.find,
    **{row.name: partial(find_by, row, paired=True) for row in TABLE if row.in_bids},
    "bids": bids.find,
    **{row.name: partial(find_by, row, paired=True) for row in TABLE if not row.in_bids},
}
_BY_NAMES_ALONE: Mapping[str, Find] = {
    "folders": folders.find,
    "pairs": pairs.find,
    "plain": plain.find,
    "dicom": dicom.find,
}
_DEEP: Mapping[str, Find] = {
    "nnunet": partial(nnunet.find, deep=True),
    "msd": partial(msd.find, deep=True),
}
AUTO: Mapping[str, Find] = {**_KNOWN, **_BY_NAMES_ALONE}
ORDER: Sequence[tuple[str, Find]] = (*_KNOWN.items(), *_DEEP.items(), *_BY_NAMES_ALONE.items())
"""What automatic detection asks in turn: what names alone tell comes after a description far below."""

NAMED: Mapping[str, Find] = {
    **AUTO,
    **{
        name: partial(_near_or_far, find, _DEEP[name])
        for name, find in _KNOWN.items()
        if name in _DEEP
    },
    **{row.name: partial(find_by, row, paired=False) for row in TABLE},
    "plain": plain.find_every_file,
}
"""What an explicitly named layout runs: naming ``plain`` says that every file is an image, and naming a data
set that its images are cases without a label too."""

MANIFEST = "manifest"
LOOKS_FOR: Mapping[str, str] = {
    "nnunet": "dataset.json with file_ending, or imagesTr/CASE_0000 with labelsTr/CASE",
    "msd": "dataset.json with a list 'training'",
    "bids": "sub-*/[ses-*/]anat/*_T1w, _T2w or _FLAIR",
    **{row.name: row.looks_for for row in TABLE},
    "folders": "one folder per case with image and label, or with T1, T2, FLAIR",
    "pairs": "images/X with labels/X, X_image with X_label, or X with X_seg",
    "plain": "volume files (.nii .nii.gz .mha .mhd .nrrd .nhdr .hdr)",
    "dicom": "DICOM files",
    MANIFEST: "a .csv, .tsv, .json or .jsonl file that lists cases",
}
