"""nnU-Net's trainer with an epoch of a few batches and few features, seeded; it writes down its losses.

    python benchmarks/nnunet_shortened.py 701 3d_fullres 0 -device cpu

is ``nnUNetv2_train`` with this trainer. nnU-Net finds trainers of others by the environment, too, but imports
all of its own before, and some of these need a torchvision that fits.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.run import run_training
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

FEATURES = int(os.environ.get("SHORTENED_FEATURES", "2"))
BATCHES = int(os.environ.get("SHORTENED_BATCHES", "2"))
VALIDATES = os.environ.get("SHORTENED_VALIDATES", "1") == "1"


def halve_patch(plans: dict[str, Any], name: str) -> None:
    """Patches of half the edges, as far as the network can pool them."""
    own = plans["configurations"][name]
    whole = {**plans["configurations"].get(own.get("inherits_from"), {}), **own}
    multiple = np.prod(whole["architecture"]["arch_kwargs"]["strides"], axis=0)
    halves = np.array(whole["patch_size"]) // 2 // multiple * multiple
    own["patch_size"] = np.maximum(halves, multiple).tolist()


class Shortened(nnUNetTrainer):
    """One epoch of some batches of small patches; all else as in nnU-Net, but mirroring."""

    def __init__(
        self, plans: Any, configuration: str, fold: Any, dataset_json: Any, device: Any
    ) -> None:
        halve_patch(plans, configuration)
        super().__init__(plans, configuration, fold, dataset_json, device)

    @staticmethod
    def build_network_architecture(
        plans_manager: Any,
        configuration_manager: Any,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,  # noqa: FBT001, FBT002 as nnU-Net calls it
    ) -> Any:
        """The plan's network with few features."""
        words = dict(configuration_manager.network_arch_init_kwargs)
        stages = range(len(words["features_per_stage"]))
        words["features_per_stage"] = [FEATURES * min(stage + 1, 4) for stage in stages]
        return get_network_from_plans(
            configuration_manager.network_arch_class_name,
            words,
            configuration_manager.network_arch_init_kwargs_req_import,
            num_input_channels,
            num_output_channels,
            allow_init=True,
            deep_supervision=enable_deep_supervision,
        )

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> Any:
        """As in nnU-Net, without mirroring, which makes the validation eight times as long."""
        *others, _ = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        self.inference_allowed_mirroring_axes = None
        return *others, None

    def on_train_start(self) -> None:
        self.num_epochs, self.num_iterations_per_epoch = 1, BATCHES
        self.num_val_iterations_per_epoch = 1
        self.losses: list[float] = []
        torch.manual_seed(0)
        np.random.seed(0)
        super().on_train_start()

    def train_step(self, batch: Any) -> Any:
        done = super().train_step(batch)
        self.losses.append(float(done["loss"]))
        return done

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:  # noqa: FBT001, FBT002
        if VALIDATES:
            super().perform_actual_validation(save_probabilities)

    def on_train_end(self) -> None:
        super().on_train_end()
        Path(self.output_folder, "losses.json").write_text(json.dumps(self.losses))


if __name__ == "__main__":
    run_training.recursive_find_trainer_class_by_name = lambda name: Shortened
    run_training.run_training_entry()
