"""Which of the volumes of a series are read: all, the one that is asked for, the first; or none is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuprep.io.dicom.slice import Slice
from gpuprep.io.dicom.telling import seen_of
from gpuprep.io.dicom.volumes import named, volumes_among
from gpuprep.io.rules import Reading
from gpuprep.values.geometry import Geometry


def chosen(slices: Sequence[Slice], reading: Reading, volume: str) -> dict[str, list[Slice]]:
    """The slices of each volume that is to be read, by its name; all as one of no name where none is chosen.

    Raises:
        InputError: E_MIXED_SERIES if the files hold no ``volume`` of that name.
    """
    rule = reading.rules.several_volumes
    if not volume and rule not in ("channels", "first"):
        return {"": list(slices)}
    parts = {
        part.name: [slices[member] for member in part.members]
        for part in volumes_among([seen_of(one) for one in slices])
    }
    if volume:
        if volume in parts:
            report_first(list(parts), reading)
            return {volume: parts[volume]}
        raise reading.error(
            "E_MIXED_SERIES",
            f"the files hold no volume {volume!r}, but {named(list(parts))}",
            "Plan again: the files are others than they were.",
        )
    if len(parts) == 1:
        return {"": list(slices)}
    if rule == "channels":
        text = f"{len(parts)} volumes in one series ({named(list(parts))}); each became a channel"
        reading.report("W_4D", text, channels=len(parts), volumes=list(parts))
        return parts
    report_first(list(parts), reading)
    name = next(iter(parts))
    return {name: parts[name]}


def report_first(names: Sequence[str], reading: Reading) -> None:
    """W_4D where the first of several volumes is taken, and the others are left."""
    if reading.rules.several_volumes == "first":
        text = f"{len(names)} volumes in one input ({named(names)}); the first was taken"
        reading.report("W_4D", text, channels=1, volumes=list(names))


def check_alike(placed: Mapping[str, tuple[Geometry, tuple[float, ...]]], reading: Reading) -> None:
    """Refuse volumes that are to be channels, and lie on different grids.

    Raises:
        InputError: E_MIXED_SERIES.
    """
    (first, (grid, heights)), *others = placed.items()
    tolerance = reading.rules.grid_tolerance
    for name, (other, other_heights) in others:
        apart = grid.shape != other.shape or grid.distance(other) > tolerance
        uneven = len(heights) != len(other_heights) or any(
            abs(one - two) * grid.spacing[2] > tolerance
            for one, two in zip(heights, other_heights, strict=True)
        )
        if apart or uneven:
            raise reading.error(
                "E_MIXED_SERIES",
                f"volumes {first} and {name} of the series cannot be channels of one case, as they lie on "
                f"different grids: {grid.describe()}, and {other.describe()}",
                "Set input.several_volumes: cases to have a case of each, or first for the first alone.",
            )
