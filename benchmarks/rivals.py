"""What gpuprep is measured against: each tool with the config that gives the same result.

Tools differ in their grids, so each comparison uses the tool's own (``grid`` in the config). MONAI and
TorchIO clip after resampling and gpuprep before: their window takes in every voxel, so that the order
changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from paths import Triple

CLIP = (-1000.0, 400.0)  # HU
NNUNET = {"mean": -300.0, "std": 420.0}  # of a cohort's foreground

Window = tuple[float, float]


@dataclass(frozen=True)
class Rival:
    """One tool, and gpuprep's words for what it does."""

    name: str
    path: str
    """A module of ``paths``."""
    image: Callable[[Triple, Window], dict[str, Any]]
    """gpuprep's ``image`` section for a target spacing and the window of the volume."""
    labels: str
    clip: Window | None = CLIP
    """None: the window of the volume."""
    foreign: bool = True
    """Whether its libraries are those of ``--peers-python``."""
    options: tuple[tuple[str, Any], ...] = ()

    def config(self, spacing: Triple, window: Window, dtype: str) -> dict[str, Any]:
        """The gpuprep config of the same result, stored as ``dtype``."""
        return {
            "image": self.image(spacing, self.clip or window),
            "label": {"interpolation": self.labels},
            "store": {"dtype": dtype},
        }


def _nnunet(spacing: Triple, clip: Window) -> dict[str, Any]:
    return {
        "orientation": "keep",
        "crop": {"to": "nonzero"},
        "intensity": [{"clip": {"low": clip[0], "high": clip[1]}}, {"zscore": NNUNET}],
        "resample": {"spacing": spacing, "grid": "nnunet", "separate_z": "auto"},
    }


def _unit_range(orientation: str, **resample: str) -> Callable[[Triple, Window], dict[str, Any]]:
    def image(spacing: Triple, clip: Window) -> dict[str, Any]:
        return {
            "orientation": orientation,
            "intensity": [
                {"clip": {"low": clip[0], "high": clip[1]}},
                {"rescale": {"from": clip, "to": [0, 1]}},
            ],
            "resample": {"spacing": spacing, **resample},
        }

    return image


RIVALS = (
    Rival("nnU-Net v2", "nnunet_case", _nnunet, "linear"),
    Rival(
        "MONAI", "monai_case", _unit_range("RAS", interpolation="linear", grid="monai"), "nearest",
        clip=None,
    ),
    Rival(
        "TorchIO", "torchio_case", _unit_range("RAS", interpolation="linear", grid="torchio"),
        "nearest", clip=None,
    ),
    Rival(
        "SimpleITK B-spline", "simpleitk_case",
        _unit_range("LPS", interpolation="cubic", boundary="mirror"), "nearest",
        foreign=False, options=(("interpolation", "cubic"),),
    ),
    Rival(
        "SimpleITK linear", "simpleitk_case", _unit_range("LPS", interpolation="linear"), "nearest",
        foreign=False, options=(("interpolation", "linear"),),
    ),
)  # fmt: skip
