"""What can be looked at: a stored case with its source behind it, or an input by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from gpuprep.preprocess.assemble import Assembled
from gpuprep.store.layout import image_array, label_array
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.errors import CorruptStoreError, UsageError
from gpuprep.viewing.case_sides import after_side, before_side
from gpuprep.viewing.case_view import case_view
from gpuprep.viewing.levels import level_grids
from gpuprep.viewing.links import Links
from gpuprep.viewing.side import ChannelView, Side
from gpuprep.viewing.volume_file import VolumeFile
from gpuprep.viewing.voxels import HeldVoxels, StoredVoxels, Voxels

FAULTS = (KeyError, IndexError, TypeError, ValueError, AttributeError)
"""What comes of a record that lacks something."""


class Sight(ABC):
    """A subject with one or two sides."""

    @property
    @abstractmethod
    def sides(self) -> Mapping[str, Side]:
        """Those that can be shown, by name."""

    @abstractmethod
    def view(self, links: Links) -> dict[str, Any]:
        """The JSON of the page."""

    @abstractmethod
    def _voxels(
        self, side: Side, channel: int, label: str | None, level: int
    ) -> tuple[Voxels, int]:
        """Voxels of a level or of a finer one, and how often these are to be halved."""

    def side(self, name: str) -> Side:
        """A side by its name; UsageError says why there is none."""
        sides = self.sides
        if name not in sides:
            raise UsageError(f"there is no side {name!r} to look at")
        return sides[name]

    def channel(self, side: Side, number: int) -> ChannelView:
        """A channel by its number; UsageError where there is none."""
        if not 0 <= number < len(side.channels):
            raise UsageError(f"there is no channel {number}; there are {len(side.channels)}")
        return side.channels[number]

    def check_label(self, side: Side, name: str) -> None:
        """UsageError where a side has no such label map."""
        names = [label.name for label in side.labels]
        if name not in names:
            raise UsageError(
                f"there is no label {name!r}", advice=f"labels: {', '.join(names) or 'none'}"
            )

    def volume(
        self, side_name: str, *, channel: int = 0, label: str | None = None, level: int = 0
    ) -> VolumeFile:
        """A channel, or a label map, at a level, as a NIfTI file; UsageError where there is none."""
        side = self.side(side_name)
        if label is None:
            self.channel(side, channel)
        else:
            self.check_label(side, label)
        grids = level_grids(side.geometry, stored=side.stored_levels)
        if not 0 <= level < len(grids):
            raise UsageError(f"there is no level {level}; there are {len(grids)}")
        voxels, steps = self._voxels(side, channel, label, level)
        return VolumeFile(voxels, grids[level], steps, label is not None)

    @abstractmethod
    def prepare(self, side_name: str) -> None:
        """Read what a side's voxels lie in, where that takes long; raises as reading does."""

    def full(self, side: Side, channel: int, label: str | None) -> Voxels:
        """A channel or a label map at full resolution."""
        return self._voxels(side, channel, label, 0)[0]


class StoredSight(Sight):
    """A stored case."""

    def __init__(
        self,
        case: StoredCase,
        read: Callable[[], Assembled],
        *,
        cohort: str | None = None,
        problem: Callable[[], str] = str,
        outside_zeroed: bool = False,
    ) -> None:
        """Look at a case.

        Args:
            case: The case.
            read: Gives its source's voxels, and is called when they are asked for.
            cohort: Its cohort's name.
            problem: Says why the source cannot be shown, nothing where it can; asked at most once.
            outside_zeroed: As for ``after_side``.
        """
        self._case, self._read = case, read
        self._cohort, self._problem, self._zeroed = cohort, cache(problem), outside_zeroed

    @property
    def sides(self) -> Mapping[str, Side]:
        names = ("after",) if self._problem() else ("before", "after")
        return {name: self._side(name) for name in names}

    def side(self, name: str) -> Side:
        """The same, without a look at the source where it is not asked for."""
        if name == "after":
            return self._side(name)
        if name == "before" and self._problem():
            raise UsageError(f"the source cannot be shown: {self._problem()}")
        return super().side(name)

    def prepare(self, side_name: str) -> None:
        if side_name == "before" and not self._problem():
            self._read()

    def view(self, links: Links) -> dict[str, Any]:
        sides = (*self.sides.values(),)
        try:
            return case_view(self._case, sides, links, self._cohort, self._problem())
        except FAULTS as error:
            raise not_a_record(self._case, error) from error

    def _side(self, name: str) -> Side:
        try:
            if name == "before":
                return before_side(self._case)
            return after_side(self._case, outside_zeroed=self._zeroed)
        except FAULTS as error:
            raise not_a_record(self._case, error) from error

    def _voxels(
        self, side: Side, channel: int, label: str | None, level: int
    ) -> tuple[Voxels, int]:
        if side.name == "before":
            return held(self._read(), channel, label), level
        own = min(level, side.stored_levels - 1)
        array = self._case.level(image_array(own) if label is None else label_array(label, own))
        many = len(array.shape) == 4
        outside = None if label is None else self._case.outside
        return StoredVoxels(array, channel if many else None, outside), level - own


def not_a_record(case: StoredCase, error: Exception) -> CorruptStoreError:
    """The error of a case whose record does not tell what a run writes down."""
    return CorruptStoreError(
        f"{case.path}: its record is not that of a run ({error!r})", advice="run the case again"
    )


def held(read: Assembled, channel: int, label: str | None) -> HeldVoxels:
    """A channel or label map of an input that was read; UsageError where it has none."""
    if label is None:
        if channel >= len(read.channels):
            raise UsageError(
                f"the source holds {len(read.channels)} channels, and no channel {channel}"
            )
        return HeldVoxels(read.channels[channel])
    if label not in read.labels:
        raise UsageError(f"the source holds no label {label!r} by itself")
    return HeldVoxels(read.labels[label], is_label=True)
