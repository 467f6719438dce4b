"""Feeding a training from a stored cohort: patches that are the same for the same seed, on any machine.

    from gpuprep.training import Foreground, PatchDataset, PatchLoader
    dataset = PatchDataset("out", patch=(96, 96, 96), sampler=Foreground("segmentation"), samples=1000)
    for batch in PatchLoader(dataset, batch_size=2, workers=4): ...

``plan`` says which sample is number k of an epoch, ``samplers`` where its patch lies, ``patch`` reads it,
``dataset`` joins the three, ``loader`` hands batches to torch, ``stream`` is torch's iterable dataset,
``monai`` has samples for MONAI, ``gather`` and ``device`` decode on a GPU, ``folds`` selects cases. Importing
this package imports neither torch nor MONAI.
"""

from gpuprep.training.dataset import PatchDataset
from gpuprep.training.folds import Fold, filter_cases, read_folds, split_cases, write_folds
from gpuprep.training.loader import PatchLoader, PatchSampler
from gpuprep.training.plan import EpochPlan, Turn
from gpuprep.training.samplers import Balanced, Foreground, Grid, Uniform

__all__ = [
    "Balanced",
    "EpochPlan",
    "Fold",
    "Foreground",
    "Grid",
    "PatchDataset",
    "PatchLoader",
    "PatchSampler",
    "Turn",
    "Uniform",
    "filter_cases",
    "read_folds",
    "split_cases",
    "write_folds",
]
