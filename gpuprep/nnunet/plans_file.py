"""A plans file that is there: its configurations, whole, and what later steps need of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuprep.nnunet.dataset import read_json
from gpuprep.preprocess.grid import thick_axis
from gpuprep.values.errors import ConfigError, UsageError
from gpuprep.values.geometry import Triple

_RESAMPLING = "resample_data_or_seg_to_shape"


@dataclass(frozen=True)
class StoredConfiguration:
    """One configuration of a plans file, with what it inherits.

    Attributes:
        name: As ``3d_fullres``.
        fields: As in the file.
        forward: The stored axes, as axes of the file.
    """

    name: str
    fields: Mapping[str, Any]
    forward: tuple[int, int, int]

    def spacing(self, own: Sequence[float]) -> Triple:
        """The target in mm, in the order of the stored axes, for a case of that spacing (``z, y, x`` of its
        file): a ``2d`` configuration keeps the distance of slices."""
        target = tuple(map(float, self.fields["spacing"]))
        a, b, c = target if len(target) == 3 else (self.turned(own)[0], *target)
        return a, b, c

    def turned(self, numbers: Sequence[float]) -> Triple:
        """Numbers of the file's axes ``z, y, x`` in the order of the stored ones."""
        a, b, c = (float(numbers[axis]) for axis in self.forward)
        return a, b, c

    @property
    def previous(self) -> str | None:
        """The configuration whose segmentations this one takes in, in a cascade."""
        name = self.fields.get("previous_stage")
        return None if name is None else str(name)

    def separate_axis(self, own: Triple, target: Triple) -> int | None:
        """The axis across which probabilities are resampled slice by slice, from one spacing to another.

        Raises:
            ConfigError: the plan resamples probabilities in a way of its own.
        """
        asked = self.fields.get("resampling_fn_probabilities", _RESAMPLING)
        how = dict(self.fields.get("resampling_fn_probabilities_kwargs") or {})
        thick = how.pop("force_separate_z", None)
        if asked != _RESAMPLING or how != {"is_seg": False, "order": 1, "order_z": 0}:
            raise ConfigError(
                f"{self.name} resamples probabilities by {asked} with {how}",
                advice=f"what is there is {_RESAMPLING} of order 1, as nnU-Net's planners write it",
            )
        if thick is None:
            return thick_axis(own, target)
        return thick_axis(own, own) if thick else None


@dataclass(frozen=True)
class PlansFile:
    """A plans file of nnU-Net's."""

    path: Path
    document: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> PlansFile:
        """Raises ConfigError where it is none."""
        document = read_json(path)
        if not isinstance(document, dict) or not isinstance(document.get("configurations"), dict):
            raise ConfigError(f"{path} is no plans file of nnU-Net's: it has no configurations")
        return cls(path, document)

    def configuration(self, name: str) -> StoredConfiguration:
        """A configuration with all that it inherits.

        Raises:
            UsageError: there is none of that name.
            ConfigError: the file lacks what every plan has.
        """
        all_of_them = self.document["configurations"]
        if name not in all_of_them:
            raise UsageError(
                f"{self.path} has no configuration {name}",
                advice=f"choose among {', '.join(all_of_them)}",
            )
        fields, heirs = dict(all_of_them[name]), {name}
        while (parent := fields.pop("inherits_from", None)) is not None:
            if parent in heirs or parent not in all_of_them:
                raise ConfigError(
                    f"{self.path}: {name} inherits from {parent}, which leads nowhere"
                )
            heirs.add(parent)
            fields = {**all_of_them[parent], **fields}
        try:
            a, b, c = (int(axis) for axis in self.document["transpose_forward"])
            found = StoredConfiguration(name, fields, (a, b, c))
            found.spacing((1.0, 1.0, 1.0))
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{self.path}: {name} is not one of nnU-Net's ({error!r})") from error
        return found
