"""A plan as nnU-Net's file has it: the same fields in the same order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpuprep.nnunet.configuration import Configuration
from gpuprep.nnunet.dataset import Dataset, Fingerprint
from gpuprep.nnunet.grid import TargetGrid
from gpuprep.nnunet.network import blocks
from gpuprep.nnunet.planners import Planner

_SCHEMES = {
    "ct": "CTNormalization",
    "nonorm": "NoNormalization",
    "zscore": "ZScoreNormalization",
    "rescale_to_0_1": "RescaleTo01Normalization",
    "rgb_to_0_1": "RGBTo01Normalization",
}
_DEFAULT_SCHEME = "ZScoreNormalization"
_LITTLE = 3 / 4  # of a case that the crop leaves: then it is normalised within its mask
_SHARED = ("2d", "3d_fullres")
"""Configurations whose data the residual planners share with the default one."""
RESAMPLING = "resample_data_or_seg_to_shape"
"""The one function by which the planners have everything resampled."""


def plans_document(
    fingerprint: Fingerprint,
    dataset: Dataset,
    planner: Planner,
    grid: TargetGrid,
    found: Mapping[str, Configuration],
    name: str,
) -> dict[str, Any]:
    """The plans file; nnU-Net writes it by ``json.dumps(..., indent=4)``."""
    forward = list(grid.forward)
    shape = np.median(np.array(fingerprint.shapes), 0)[forward]
    has_low = "3d_lowres" in found
    configurations = {}
    for each, planned in found.items():
        is_coarse, in_plane = each == "3d_lowres", each == "2d"
        identifier = (
            f"nnUNetPlans_{each}" if planner.residual and each in _SHARED else f"{name}_{each}"
        )
        configurations[each] = {
            **_data(planned, identifier, dataset, fingerprint, whole=is_coarse),
            "architecture": architecture(planned, residual=planner.residual),
            "batch_dice": in_plane or (has_low and not is_coarse),
            **({"next_stage": "3d_cascade_fullres"} if is_coarse else {}),
        }
    if has_low:
        cascade = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
        configurations["3d_cascade_fullres"] = cascade
    return {
        "dataset_name": dataset.name,
        "plans_name": name,
        "original_median_spacing_after_transp": np.median(np.array(fingerprint.spacings), 0)[
            forward
        ].tolist(),
        "original_median_shape_after_transp": [round(float(edge)) for edge in shape],
        "image_reader_writer": dataset.reader,
        "transpose_forward": forward,
        "transpose_backward": list(grid.backward),
        "configurations": configurations,
        "experiment_planner_used": planner.name,
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            channel: dict(numbers) for channel, numbers in fingerprint.intensities.items()
        },
    }


def _data(
    planned: Configuration,
    identifier: str,
    dataset: Dataset,
    fingerprint: Fingerprint,
    *,
    whole: bool,
) -> dict[str, Any]:
    """What a configuration says about its arrays."""
    schemes = [_SCHEMES.get(channel.casefold(), _DEFAULT_SCHEME) for channel in dataset.channels]
    is_masked = fingerprint.relative_size < _LITTLE
    return {
        "data_identifier": identifier,
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": planned.batch,
        "patch_size": list(planned.net.patch),
        "median_image_size_in_voxels": [int(edge) for edge in planned.median]
        if whole
        else list(planned.median),
        "spacing": list(planned.spacing),
        "normalization_schemes": schemes,
        "use_mask_for_norm": [is_masked and scheme == _DEFAULT_SCHEME for scheme in schemes],
        "resampling_fn_data": RESAMPLING,
        "resampling_fn_seg": RESAMPLING,
        "resampling_fn_data_kwargs": _order(3, is_seg=False),
        "resampling_fn_seg_kwargs": _order(1, is_seg=True),
        "resampling_fn_probabilities": RESAMPLING,
        "resampling_fn_probabilities_kwargs": _order(1, is_seg=False),
    }


def _order(order: int, *, is_seg: bool) -> dict[str, Any]:
    return {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": None}


def architecture(planned: Configuration, *, residual: bool) -> dict[str, Any]:
    """The network that nnU-Net builds."""
    net = planned.net
    stages, dimensions = len(net.strides), len(net.patch)
    encoder: tuple[str, Sequence[int]] = ("n_conv_per_stage", [2] * stages)
    if residual:
        encoder = ("n_blocks_per_stage", blocks(stages))
    kind = "ResidualEncoderUNet" if residual else "PlainConvUNet"
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{kind}",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(net.features),
            "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
            "kernel_sizes": [list(kernel) for kernel in net.kernels],
            "strides": [list(stride) for stride in net.strides],
            encoder[0]: list(encoder[1]),
            "n_conv_per_stage_decoder": [1 if residual else 2] * (stages - 1),
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
