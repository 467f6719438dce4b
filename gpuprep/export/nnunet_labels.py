"""A cohort's classes in the words of nnU-Net: labels, regions, the ignore label, keys of class_locations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpuprep.values.agreement import Classes
from gpuprep.values.errors import UsageError

Key = int | tuple[int, ...]

BACKGROUND, IGNORE = "background", "ignore"
_MAP = "map values with label.map: {VALUE: VALUE}, in a new output"


@dataclass(frozen=True, slots=True)
class NnunetLabels:
    """The labels of a dataset.

    Attributes:
        foreground: Name and value of each class, or of each region the tuple of its values, in order.
        order: ``regions_class_order``; empty where there are no regions.
        ignore: The value that is to be ignored.
    """

    foreground: Mapping[str, Key]
    order: tuple[int, ...] = ()
    ignore: int | None = None

    @classmethod
    def of(cls, classes: Classes) -> NnunetLabels:
        """The labels that nnU-Net can train.

        Raises:
            UsageError: values have gaps or the ignore label is not the highest, which nnU-Net wants; two
                classes have one name; or no value tells regions apart.
        """
        values = {value: name for value, name in classes.names.items() if value != classes.ignore}
        _check_values(sorted(values), classes)
        foreground: dict[str, Key] = {}
        regions = classes.regions if any(len(h) > 1 for h in classes.regions.values()) else {}
        for name, held in regions.items():
            _add(foreground, name, held if len(held) > 1 else held[0])
        covered = {value for held in regions.values() for value in held}
        for value, name in values.items():
            if value not in covered:
                _add(foreground, name, value)
        if not regions:
            return cls(foreground, (), classes.ignore)
        order = classes.order or _painting_order(foreground)
        alone = (value for value in values if value not in covered)
        order = (*order, *alone) if len(order) < len(foreground) else order
        return cls(foreground, order, classes.ignore)

    @property
    def all_labels(self) -> tuple[int, ...]:
        """Every value but the one to be ignored, 0 included."""
        held = (key if isinstance(key, tuple) else (key,) for key in self.foreground.values())
        return tuple(sorted({0, *(value for values in held for value in values)}))

    @property
    def keys(self) -> tuple[Key, ...]:
        """Of ``class_locations``, in the order in which they are drawn.

        With an ignore label the last one is all annotated voxels, by which nnU-Net places every patch.
        """
        keys = tuple(self.foreground.values())
        if not self.order:
            keys = tuple(sorted(keys, key=lambda key: key if isinstance(key, int) else key[0]))
        return keys if self.ignore is None else (*keys, (-1, *self.all_labels))

    def to_json(self) -> dict[str, Any]:
        """What ``dataset.json`` says of them."""
        labels: dict[str, int | list[int]] = {BACKGROUND: 0}
        for name, key in self.foreground.items():
            labels[name] = list(key) if isinstance(key, tuple) else key
        if self.ignore is not None:
            labels[IGNORE] = self.ignore
        order = {"regions_class_order": list(self.order)} if self.order else {}
        return {"labels": labels, **order}


def _check_values(values: list[int], classes: Classes) -> None:
    if values != list(range(1, len(values) + 1)):
        told = ", ".join(map(str, values[:8])) + (", …" if len(values) > 8 else "")
        raise UsageError(
            f"nnU-Net needs values from 1 to {len(values)} without a gap, the cohort has {told}",
            advice=_MAP,
        )
    if classes.ignore is not None and classes.ignore != len(values) + 1:
        raise UsageError(
            f"nnU-Net needs the ignore label to be the highest value plus 1, which is {len(values) + 1}; "
            f"in the cohort it is {classes.ignore}",
            advice=_MAP,
        )


def _add(foreground: dict[str, Key], name: str, key: Key) -> None:
    if name in foreground or name in (BACKGROUND, IGNORE):
        raise UsageError(
            f"{name!r}, the name of {key}, means something else to nnU-Net or is taken",
            advice="give classes names of their own with label.names, in a new output",
        )
    foreground[name] = key


def _painting_order(foreground: Mapping[str, Key]) -> tuple[int, ...]:
    """The value that paints each region, later ones over earlier, so that the label map comes out again."""
    keys = [key if isinstance(key, tuple) else (key,) for key in foreground.values()]
    order = []
    for number, (name, held) in enumerate(zip(foreground, keys, strict=True)):
        later = {value for others in keys[number + 1 :] for value in others}
        own = [value for value in held if value not in later]
        if len(own) != 1:
            raise UsageError(
                f"region {name!r} has the values {list(held)}, of which the regions after it leave "
                f"{own or 'none'}; nnU-Net paints each region with one value",
                advice="give the regions from the largest to the smallest, or regions_class_order in "
                "dataset.json",
            )
        order.append(own[0])
    return tuple(order)
