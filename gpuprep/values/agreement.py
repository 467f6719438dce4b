"""What all cases of a cohort have in common: the names of their channels, and what label values mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Classes:
    """What the values of one label map mean.

    Attributes:
        names: The name of each value but 0, which is background; empty where nobody told them.
        regions: The values of each region that is trained as one, by its name; regions may overlap.
        order: nnU-Net's ``regions_class_order``: the value each region is painted with, in that order.
        ignore: The value of voxels that nobody annotated.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    order: tuple[int, ...] = ()
    ignore: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "names": {str(value): name for value, name in sorted(self.names.items())},
            "regions": [[name, list(values)] for name, values in self.regions.items()],  # in order
            "order": list(self.order),
            "ignore": self.ignore,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Classes:
        return cls(
            {int(value): str(name) for value, name in fields["names"].items()},
            {str(name): tuple(values) for name, values in fields["regions"]},
            tuple(fields["order"]),
            fields["ignore"],
        )

    def renumbered(self, cohort: Classes) -> dict[int, int]:
        """The cohort's value of each value of these that has another number there; names decide.

        >>> Classes({1: "liver", 2: "spleen"}).renumbered(Classes({1: "aorta", 2: "liver", 3: "spleen"}))
        {1: 2, 2: 3}
        """
        numbers = {name: value for value, name in cohort.names.items()}
        moved = {value: numbers.get(name, value) for value, name in self.names.items()}
        return {value: number for value, number in moved.items() if value != number}

    def describe(self) -> str:
        """One line for messages, such as ``1 liver, 2 tumor``."""
        told = ", ".join(f"{value} {name}" for value, name in sorted(self.names.items()))
        return told or "no names"


@dataclass(frozen=True, slots=True)
class Agreement:
    """Channels and label classes of a cohort: one numbering for every case, however it came in.

    Attributes:
        channels: Names in the order they are stored; empty where that is not known yet.
        labels: The classes of each label map by its name.
    """

    channels: tuple[str, ...] = ()
    labels: Mapping[str, Classes] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        labels = {name: classes.to_json() for name, classes in sorted(self.labels.items())}
        return {"channels": list(self.channels), "labels": labels}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Agreement:
        labels = {name: Classes.from_json(each) for name, each in fields["labels"].items()}
        return cls(tuple(fields["channels"]), labels)


def unnamed(number: int) -> tuple[str, ...]:
    """What so many channels without names are called."""
    return tuple(f"channel_{n}" for n in range(number))
