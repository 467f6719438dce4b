"""Names out of nnU-Net's files that become paths: of plans, and of the folders of their arrays."""

from __future__ import annotations

_FOLDERS = ("gpuprep", "gt_segmentations")
_PLANS = ("dataset", "dataset_fingerprint", "splits_final", "fingerprint", "folders.json")
"""Files beside plans, and what lies beside the cohort of plans."""


def is_plain(name: str) -> bool:
    """Whether a name stays in the folder that it is joined to.

    >>> [is_plain(name) for name in ("nnUNetPlans_2d", "../other", "", ".hidden")]
    [True, False, False, False]
    """
    return bool(name) and not name.startswith(".") and not {*name} & {"/", "\\", "\0"}


def can_be_arrays(name: str) -> bool:
    """Whether a folder of arrays may be called so: it is emptied, so nothing else may lie there."""
    return is_plain(name) and name not in _FOLDERS


def can_be_plans(name: str) -> bool:
    """Whether plans may be called so, beside the other files of a data set."""
    return is_plain(name) and name not in _PLANS
