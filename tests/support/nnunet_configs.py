"""nnU-Net's configurations in our words: one config for each configuration of a plans file."""

from collections.abc import Mapping, Sequence
from typing import Any

from gpuprep.config.file import parse_config
from gpuprep.config.model import Config


def nnunet_config(plans: Mapping[str, Any], name: str) -> Config:
    """The config that gives nnU-Net's voxels of one configuration, axes in the files' own order.

    A plans file lists spacings ``z, y, x`` along the axes as it transposes them.
    """
    plan = plans["configurations"][name]
    forward, spacing = plans["transpose_forward"], ["keep"] * 3
    planned = plan["spacing"]
    for axis, step in zip(forward[3 - len(planned) :], planned, strict=True):
        spacing[axis] = step
    channels = zip(plan["normalization_schemes"], plan["use_mask_for_norm"], strict=True)
    numbers = plans["foreground_intensity_properties_per_channel"]
    image = {
        "orientation": "keep",
        "crop": {"to": "nonzero"},
        "foreground": {"where": "nonzero_or_label", "fill_holes": True},
        "channels": {
            str(number): channel_rule(scheme, masked, numbers[str(number)])
            for number, (scheme, masked) in enumerate(channels)
        },
        "resample": {"spacing": spacing[::-1], "grid": "nnunet", "separate_z": "auto"},
    }
    store = {"dtype": "float32", "fsync": "never", "codec": "fast"}
    return parse_config({"image": image, "label": {"outside": -1}, "store": store})


def channel_rule(scheme: str, masked: bool, numbers: Mapping[str, float]) -> dict[str, Any]:
    """One of nnU-Net's normalisations."""
    if scheme == "CTNormalization":
        ends = {"low": numbers["percentile_00_5"], "high": numbers["percentile_99_5"]}
        moments = {"mean": numbers["mean"], "std": max(numbers["std"], 1e-8)}
        return {"intensity": [{"clip": ends}, {"zscore": moments}]}
    if scheme == "ZScoreNormalization":
        over = "foreground" if masked else "image"
        outside = "zero" if masked else "keep"
        sums = {} if masked else {"precision": "float32"}
        return {"intensity": [{"zscore": {"over": over, **sums}}], "outside": outside}
    steps: Mapping[str, Sequence[Mapping[str, Any]]] = {
        "NoNormalization": [],
        "RescaleTo01Normalization": [{"rescale": {"to": [0, 1]}}],
        "RGBTo01Normalization": [{"multiply": {"by": 1 / 255}}],
    }
    return {"intensity": steps[scheme]}
