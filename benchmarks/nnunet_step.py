"""nnU-Net itself trains on exported cases: its trainer, dataset, data loader, augmentation and network.

    gpuprep convert out PREPROCESSED/Dataset001_Ours/nnUNetPlans_3d_fullres --to nnunet
    python benchmarks/nnunet_step.py PREPROCESSED --steps 3

Makes plans of a small network, takes the dataset.json beside the cases, trains on the CPU, and prints the
loss of every step and how far one step moved the weights. Exit code 1 where a loss is not finite or the
weights stayed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

DATASET, CONFIGURATION = "Dataset001_Ours", "3d_fullres"
CASES = Path(DATASET) / f"nnUNetPlans_{CONFIGURATION}"


def plans(patch: tuple[int, int, int]) -> dict[str, Any]:
    """The least that nnU-Net 2.8 trains by: a U-Net of three levels with 8 to 32 features."""
    network = {
        "n_stages": 3,
        "features_per_stage": [8, 16, 32],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * 3,
        "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
        "n_conv_per_stage": [1, 1, 1],
        "n_conv_per_stage_decoder": [1, 1],
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    configuration = {
        "data_identifier": CASES.name,
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(patch),
        "spacing": [1.0, 1.0, 1.0],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": network,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": False,
    }
    return {
        "dataset_name": DATASET,
        "plans_name": "nnUNetPlans",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "label_manager": "LabelManager",
        "image_reader_writer": "SimpleITKIO",
        "configurations": {CONFIGURATION: configuration},
        "continue_training": False,
    }


def train(steps: int, patch: tuple[int, int, int], description: dict[str, Any]) -> dict[str, Any]:
    """Some steps of nnU-Net's own trainer on all cases; the environment names its folders."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    torch.manual_seed(0)
    np.random.seed(0)
    trainer = nnUNetTrainer(plans(patch), CONFIGURATION, "all", description, torch.device("cpu"))
    trainer.initialize()
    batches, _ = trainer.get_dataloaders()
    before = [weights.detach().clone() for weights in trainer.network.parameters()]
    losses = [float(trainer.train_step(next(batches))["loss"]) for _ in range(steps)]
    after = (weights.detach() for weights in trainer.network.parameters())
    moved = max(float((a - b).abs().max()) for a, b in zip(after, before, strict=True))
    return {"dataset": trainer.dataset_class.__name__, "losses": losses, "weights_moved": moved}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("preprocessed", type=Path, help=f"the folder that holds {CASES}")
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--patch", type=int, nargs=3, default=(16, 24, 24), help="z y x")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as results:
        os.environ |= {
            "nnUNet_raw": results,
            "nnUNet_preprocessed": str(options.preprocessed.absolute()),
            "nnUNet_results": results,
            "nnUNet_n_proc_DA": "0",
        }
        description = json.loads((options.preprocessed / DATASET / "dataset.json").read_text())
        done = train(options.steps, tuple(options.patch), description)
    print(json.dumps(done))
    sys.exit(not (np.isfinite(done["losses"]).all() and done["weights_moved"] > 0))


if __name__ == "__main__":
    main()
