"""How cohorts lie on disk: one module per layout, each with ``find(tree) -> Outcome | None``.

``find`` returns None where a tree is not of its layout. ``AUTO`` is the order in which automatic
detection asks them, the most specific first; a manifest is a file of its own and is never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gpuprep.cohort.layouts import bids, dicom, folders, lits, msd, nnunet, pairs, plain
from gpuprep.cohort.layouts.tree import Outcome, Tree

Find = Callable[[Tree], Outcome | None]

AUTO: Mapping[str, Find] = {
    "nnunet": nnunet.find,
    "msd": msd.find,
    "bids": bids.find,
    "lits": lits.find,
    "folders": folders.find,
    "pairs": pairs.find,
    "plain": plain.find,
    "dicom": dicom.find,
}
NAMED: Mapping[str, Find] = {**AUTO, "plain": plain.find_every_file}
"""What an explicitly named layout runs: naming ``plain`` says that every file is an image."""

MANIFEST = "manifest"
LOOKS_FOR: Mapping[str, str] = {
    "nnunet": "dataset.json with file_ending, or imagesTr/CASE_0000 with labelsTr/CASE",
    "msd": "dataset.json with a list 'training'",
    "bids": "sub-*/[ses-*/]anat/*_T1w, _T2w or _FLAIR",
    "lits": "volume-N with segmentation-N",
    "folders": "one folder per case with image and label, or with T1, T2, FLAIR",
    "pairs": "images/X with labels/X, X_image with X_label, or X with X_seg",
    "plain": "volume files (.nii .nii.gz .mha .mhd .nrrd .nhdr .hdr)",
    "dicom": "DICOM files",
    MANIFEST: "a .csv, .tsv, .json or .jsonl file that lists cases",
}
