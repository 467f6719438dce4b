"""A plan of nnU-Net as one config of gpuprep: each configuration is an output of the same read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuprep.cohort.layouts.dataset_json import FILE_NAME, Description
from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.nnunet.dataset import Dataset, Label
from gpuprep.nnunet.plans import Arrays, Plans
from gpuprep.values.errors import ConfigError

WHOLE = "3d_fullres"
"""The configuration that shows a case best: it comes first."""
_LEAST_STD = 1e-8  # nnU-Net's
_RGB = (0, 255)
_Step = dict[str, Any]


@dataclass(frozen=True)
class Chosen:
    """The configurations that are prepared.

    Attributes:
        arrays: Of each, the best to look at first.
        skipped: Those that were asked for and that the plans do not have.
        shared: Those that read the folder of another one, with that.
    """

    arrays: tuple[Arrays, ...]
    skipped: tuple[str, ...]
    shared: Mapping[str, str]


def choose_arrays(plans: Plans, wanted: Iterable[str]) -> Chosen:
    """What is stored for the configurations that are asked for.

    The cascade has no arrays of its own, nor has a configuration that inherits the folder of another.

    Raises:
        ConfigError: two of them want different arrays in one folder, or none is left.
    """
    asked = tuple(dict.fromkeys(wanted))
    kept: dict[str, Arrays] = {}
    shared = {}
    for name in (name for name in plans.configurations if name in asked):
        owner = plans.owner(name)
        arrays = plans.arrays(owner)
        first = kept.setdefault(arrays.identifier, arrays)
        if first.made != arrays.made:
            raise ConfigError(
                f"{plans.path}: {first.name} and {name} both keep their arrays in {first.identifier}, and "
                "they are different arrays",
                advice=f"give {name} a data_identifier of its own",
            )
        if first.name != name:
            shared[name] = first.name
    if not kept:
        raise ConfigError(
            f"{plans.path} has none of the configurations {', '.join(asked)}",
            advice=f"there are {', '.join(plans.configurations)}",
        )
    ordered = sorted(kept.values(), key=lambda each: each.name != WHOLE)
    skipped = tuple(name for name in asked if name not in plans.configurations)
    return Chosen(tuple(ordered), skipped, shared)


def config_of(
    plans: Plans,
    dataset: Dataset,
    arrays: Sequence[Arrays],
    settings: Mapping[str, Any] | None = None,
) -> Config:
    """The config that makes these arrays.

    Args:
        plans: The plans.
        dataset: Whose channels and labels they are.
        arrays: Of each configuration that is prepared.
        settings: More of a config, as ``{"run": {"tries": 2}}``; nothing that decides the voxels.

    Raises:
        ConfigError: the plans are of other channels than the data set's.
    """
    names, labels = channel_names(dataset), {each.labels for each in arrays}
    if len(labels) > 1:
        raise ConfigError(
            f"{plans.path}: label maps are interpolated in two ways, {' and '.join(sorted(labels))}",
            advice="preprocess the configurations one by one, under plans of two names",
        )
    steps = {each.name: _channels(plans, each, names) for each in arrays}
    outputs = {
        each.name: {
            "channels": steps[each.name],
            "resample": _resample(plans, each),
            "store": {
                "dtype": "float32",
                "nnunet": {
                    "patch": each.patch,
                    "forward": plans.forward,
                    "locations": located(dataset),
                    "reader": dataset.reader,
                },
            },
        }
        for each in arrays
    }
    tree = {
        "input": {"layout": "nnunet", "follow_symlinks": True, "policy": {"W_FLAT": "fix"}},
        "image": {
            "orientation": dataset.orientation,
            "crop": {"to": "nonzero"},
            "foreground": {"where": "nonzero_or_label", "fill_holes": True},
        },
        "label": {"interpolation": arrays[0].labels, "required": True, "outside": -1, "loss": 1.0},
        "store": {"dtype": "float32"},
        "outputs": outputs,
    }
    return parse_config(_merged(tree, settings or {}), str(plans.path))


def channel_names(dataset: Dataset) -> tuple[str, ...]:
    """What the channels are called in a cohort, in the order of their files.

    nnU-Net's schemes go by the order in ``dataset.json``, and its files by their numbers.
    """
    return tuple(Description(FILE_NAME, dict(dataset.document)).channel_names)


def located(dataset: Dataset) -> tuple[Label, ...]:
    """Each class, or region by its values, of which voxels are listed, in nnU-Net's order of drawing."""
    keys: list[Label]
    if dataset.has_regions:
        labels = (label for name, label in dataset.labels.items() if name != "ignore")
        keys = [each for each in labels if (each if isinstance(each, int) else any(each))]
    else:
        keys = [value for value in dataset.values if value]
    return tuple(keys) if dataset.ignore is None else (*keys, (-1, *dataset.values))


def _channels(plans: Plans, arrays: Arrays, names: Sequence[str]) -> dict[str, Any]:
    """The rule of each channel, by its name."""
    if not len(names) == len(arrays.schemes) == len(arrays.masked):
        raise ConfigError(
            f"{plans.path}, {arrays.name}: it has {len(arrays.schemes)} normalisations, and the data set "
            f"{len(names)} channels",
            advice="plan it anew: gpuprep nnunet plan",
        )
    found = {}
    for number, name in enumerate(names):
        scheme, masked = arrays.schemes[number], arrays.masked[number]
        key = name if names.count(name) == 1 else str(number)
        found[key] = {
            "intensity": _steps(plans, scheme, number, masked=masked),
            "outside": "zero" if masked and scheme == "ZScoreNormalization" else "keep",
            "within": _RGB if scheme == "RGBTo01Normalization" else None,
        }
    return found


def _steps(plans: Plans, scheme: str, channel: int, *, masked: bool) -> list[_Step]:
    """What a scheme of nnU-Net does with the values of a channel."""
    match scheme:
        case "CTNormalization":
            return _ct(plans, channel)
        case "ZScoreNormalization":
            whole = {"precision": "float32"}  # whose sums lose digits, row by row
            return [{"zscore": {"over": "foreground"} if masked else whole}]
        case "RescaleTo01Normalization":
            return [{"rescale": {"to": (0, 1)}}]
        case "RGBTo01Normalization":
            return [{"rescale": {"from": _RGB, "to": (0, 1)}}]
        case _:
            return []


def _ct(plans: Plans, channel: int) -> list[_Step]:
    """Limit to two percentiles, then mean 0 and deviation 1, all of the whole data set's foreground."""
    numbers = plans.intensities.get(str(channel), {})
    try:
        low, high = float(numbers["percentile_00_5"]), float(numbers["percentile_99_5"])
        mean, std = float(numbers["mean"]), max(float(numbers["std"]), _LEAST_STD)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{plans.path}: channel {channel} has no numbers for its CTNormalization ({error!r})",
            advice="count the data set and plan it anew: gpuprep nnunet plan-and-preprocess --clean",
        ) from error
    if low == high:  # all voxels become one value
        return [{"multiply": {"by": 0}}, {"offset": {"by": (low - mean) / std}}]
    return [{"clip": {"low": low, "high": high}}, {"zscore": {"mean": mean, "std": std}}]


def _resample(plans: Plans, arrays: Arrays) -> dict[str, Any]:
    """The grid; of a configuration in 2-D slices keep their distance."""
    steps: tuple[float | str, ...] = arrays.spacing
    if len(steps) == 2:
        steps = ("keep", *steps)
    by_axis = dict(zip(plans.forward, steps, strict=True))
    return {
        "spacing": [by_axis[axis] for axis in (2, 1, 0)],
        "interpolation": arrays.data,
        "grid": "nnunet",
        "separate_z": arrays.separate,
    }


def _merged(tree: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """A tree with another one's values laid over it."""
    found = dict(tree)
    for key, value in more.items():
        own = found.get(key)
        both = isinstance(own, Mapping) and isinstance(value, Mapping)
        found[key] = _merged(own, value) if both else value  # type: ignore[arg-type]
    return found
