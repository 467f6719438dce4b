"""A network of nnU-Net's as plans and ``dataset.json`` describe it: its grid, and what its outputs mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gpuprep.export.logits import Heads
from gpuprep.nnunet.dataset import Dataset, parse_dataset, read_json
from gpuprep.nnunet.document import RESAMPLING
from gpuprep.nnunet.folders import DATASET
from gpuprep.nnunet.plans import Plans, read_plans
from gpuprep.preprocess.grid import coarsest_axis, thick_axis
from gpuprep.values.errors import ConfigError, UsageError
from gpuprep.values.geometry import Triple


@dataclass(frozen=True)
class TrainedNetwork:
    """One configuration of some plans, for a data set.

    Attributes:
        plans: The plans.
        name: Of the configuration, as ``3d_fullres``.
        dataset: What it was trained on.
    """

    plans: Plans
    name: str
    dataset: Dataset

    @classmethod
    def read(cls, plans_file: Path, name: str) -> TrainedNetwork:
        """From a plans file, beside which lies ``dataset.json``.

        Raises:
            UsageError: there are no such plans, or they lack the configuration.
            ConfigError: one of the files is none of nnU-Net's.
        """
        plans = read_plans(plans_file.parent, plans_file.stem)
        if name not in plans.configurations:
            raise UsageError(
                f"{plans_file} has no configuration {name}",
                advice=f"choose among {', '.join(plans.configurations)}",
            )
        described = read_json(plans_file.parent / DATASET)
        return cls(plans, name, parse_dataset(described, plans_file.absolute().parent.name))

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """Of the configuration, with what it inherits."""
        return self.plans.resolved(self.name)

    @property
    def forward(self) -> tuple[int, int, int]:
        """The stored axes, as axes ``z, y, x`` of the file."""
        return self.plans.forward

    @property
    def arrays_of(self) -> list[str]:
        """The configurations whose arrays it takes in: its own, or those in the same folder."""
        folder = self.fields.get("data_identifier")
        all_names = self.plans.configurations
        same = [n for n in all_names if self.plans.resolved(n).get("data_identifier") == folder]
        return [self.name, *(same if folder is not None else ())]

    @property
    def previous(self) -> str | None:
        """The configuration whose segmentations this one takes in, in a cascade."""
        name = self.fields.get("previous_stage")
        return None if name is None else str(name)

    @property
    def heads(self) -> Heads:
        """What its output channels stand for."""
        dataset = self.dataset
        classes = len(dataset.values) - 1
        if not dataset.has_regions:
            return Heads(classes + 1, (), classes)
        return Heads(len(dataset.regions_order), dataset.regions_order, classes)

    def next_stages(self) -> list[TrainedNetwork]:
        """The configurations that take in what this one predicts."""
        names = self.fields.get("next_stage") or []
        each = [names] if isinstance(names, str) else names
        return [TrainedNetwork(self.plans, name, self.dataset) for name in each]

    def turned(self, numbers: Sequence[float]) -> Triple:
        """Numbers of the file's axes ``z, y, x`` in the order of the stored ones."""
        a, b, c = (float(numbers[axis]) for axis in self.forward)
        return a, b, c

    def spacing(self, own: Sequence[float]) -> Triple:
        """The spacing in mm of what it takes in, in the order of the stored axes.

        Args:
            own: Of the case's file, ``z, y, x``; a ``2d`` configuration keeps its distance of slices.
        """
        target = tuple(map(float, self.fields["spacing"]))
        a, b, c = target if len(target) == 3 else (self.turned(own)[0], *target)
        return a, b, c

    def separate_axis(self, own: Triple, target: Triple) -> int | None:
        """The axis across which probabilities are resampled slice by slice, from one spacing to another.

        Raises:
            ConfigError: the plan resamples probabilities in a way of its own.
        """
        asked = self.fields.get("resampling_fn_probabilities", RESAMPLING)
        how = dict(self.fields.get("resampling_fn_probabilities_kwargs") or {})
        thick = how.pop("force_separate_z", None)
        if asked != RESAMPLING or how != {"is_seg": False, "order": 1, "order_z": 0}:
            raise ConfigError(
                f"{self.name} resamples probabilities by {asked} with {how}",
                advice=f"what is there is {RESAMPLING} of order 1, as nnU-Net's planners write it",
            )
        if thick is None:
            return thick_axis(own, target)
        return coarsest_axis(own) if thick else None
