"""Where the patch of a sample lies: uniform, aimed at the foreground, class by class, or on a grid.

A sampler is a frozen value. ``draw`` is a pure function of the sample's turn, so that any process gives
the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gpuprep.store.locations import Locations
from gpuprep.store.reader import Cohort
from gpuprep.store.stored_case import StoredCase
from gpuprep.training.choice import Choice
from gpuprep.training.patch import Position, find_label, place_within
from gpuprep.training.plan import Turn
from gpuprep.values.agreement import Classes
from gpuprep.values.errors import UsageError

_NOBODY: NDArray[np.int32] = np.zeros(0, np.int32)


@dataclass(frozen=True)
class Tiles:
    """Patches of each case along each axis, ``(cases, 3)``, and how many there are up to its last one."""

    counts: NDArray[np.int64]
    ends: NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """The cases patches are drawn from, a patch's voxels ``z, y, x``, and the classes of label maps."""

    cohort: Cohort
    ids: tuple[str, ...]
    patch: Position
    classes: Mapping[str, Classes] = field(default_factory=dict)
    bearers: Mapping[str, Mapping[int, NDArray[np.int32]]] = field(default_factory=dict)
    """Of the label map that is aimed by, the places in ``ids`` of the cases that have each value."""

    def ignored(self, label: str) -> int | None:
        """The value of voxels of a label map that nobody annotated."""
        return self.classes[label].ignore if label in self.classes else None

    @cached_property
    def shapes(self) -> NDArray[np.int64]:
        """``(cases, 3)``; a case that the index does not tell of is opened."""
        return self.cohort.known.shapes(self.ids)

    def tiles(self, step: Position) -> Tiles:
        """The regular grids of patches in all cases, at steps ``z, y, x``."""
        if step not in self._tiles:
            rest = np.maximum(self.shapes - self.patch, 0)
            counts = -(-rest // np.array(step)) + 1
            self._tiles[step] = Tiles(counts, counts.prod(axis=1).cumsum())
        return self._tiles[step]

    @cached_property
    def _tiles(self) -> dict[Position, Tiles]:
        return {}


@dataclass(frozen=True)
class Draw:
    """A case and the first voxel ``z, y, x`` of a patch in it, negative where it begins outside."""

    case: str
    start: Position


class Sampler(Protocol):
    """Says where samples lie."""

    def count(self, pool: Pool) -> int:
        """Samples of one epoch where the user names no number."""
        ...

    def draw(self, pool: Pool, turn: Turn) -> Draw:
        """Where the sample of a turn lies."""
        ...


@runtime_checkable
class Aimed(Sampler, Protocol):
    """A sampler that aims by a label map, which every case must therefore have."""

    @property
    def label(self) -> str:
        """The name of the label map."""
        ...

    def check(self, choice: Choice) -> None:
        """Raises UsageError where the cases do not have what it aims at."""
        ...


@dataclass(frozen=True)
class Uniform:
    """Every case once a round, in an order shuffled anew; the patch anywhere inside, all places alike."""

    def count(self, pool: Pool) -> int:
        return len(pool.ids)

    def draw(self, pool: Pool, turn: Turn) -> Draw:
        case = pool.cohort[pool.ids[turn.pick(len(pool.ids))]]
        return Draw(case.id, _anywhere(case, pool.patch, turn.random()))


@dataclass(frozen=True)
class Foreground:
    """As ``Uniform``, but a share of the patches is centred on a labelled voxel.

    Of any n consecutive samples of a rank at least ``floor(share * n)`` are such; nnU-Net's rule for a batch,
    made to hold for every cut into batches. The voxel's class is chosen first, all classes the case has
    alike, then one of its stored locations. A case without any gives a uniform patch. The cohort's ignore
    label is no foreground.

    Attributes:
        label: The name of the label map.
        share: 0 to 1.
        classes: Values that count as foreground; empty for all but the ignore label.
    """

    label: str
    share: float = 1 / 3
    classes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise UsageError(f"a share of foreground of {self.share} is not within 0 to 1")

    def count(self, pool: Pool) -> int:
        return len(pool.ids)

    def check(self, choice: Choice) -> None:
        """Raises UsageError where a class is not the cohort's, or is to be ignored."""
        known = {*choice.classes[self.label].names, *choice.values[self.label]}
        _check_classes(self.label, self.classes, known, choice)

    def draw(self, pool: Pool, turn: Turn) -> Draw:
        case, random = pool.cohort[pool.ids[turn.pick(len(pool.ids))]], turn.random()
        before, after = (math.floor(n * self.share) for n in (turn.position, turn.position + 1))
        if after == before:
            return Draw(case.id, _anywhere(case, pool.patch, random))
        locations = _locations(case, self.label)
        ignored = pool.ignored(self.label)
        present = [
            value
            for value in locations
            if value != ignored and (not self.classes or value in self.classes)
        ]
        if not present:
            return Draw(case.id, _anywhere(case, pool.patch, random))
        return Draw(case.id, _around(locations[random.choice(present)], case, pool.patch, random))


@dataclass(frozen=True)
class Balanced:
    """Every class once a round; the patch is centred on a voxel of it, in any case that has it.

    Attributes:
        label: The name of the label map.
        classes: The values to go through.
    """

    label: str
    classes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.classes:
            raise UsageError("class-balanced patches need the classes to balance, none is given")

    def count(self, pool: Pool) -> int:
        return len(pool.ids) * len(self.classes)

    def check(self, choice: Choice) -> None:
        """Raises UsageError where no case has one of the classes, or one is to be ignored."""
        _check_classes(self.label, self.classes, choice.values[self.label], choice)

    def draw(self, pool: Pool, turn: Turn) -> Draw:
        value, random = self.classes[turn.pick(len(self.classes))], turn.random()
        for number in _in_turn(pool.bearers[self.label].get(value, _NOBODY), random):
            case = pool.cohort[pool.ids[number]]
            locations = _locations(case, self.label)
            if value in locations:
                return Draw(case.id, _around(locations[value], case, pool.patch, random))
        raise UsageError(
            f"{pool.cohort.path}: no case has class {value} in label {self.label!r}",
            advice="leave the class out",
        )


@dataclass(frozen=True)
class Grid:
    """Every patch of a regular grid, case by case; the last one along an axis is moved inside.

    Attributes:
        step: Voxels between the starts of neighbours ``z, y, x``; None for patches side by side.
    """

    step: Position | None = None

    def count(self, pool: Pool) -> int:
        return int(pool.tiles(self._step(pool)).ends[-1])

    def draw(self, pool: Pool, turn: Turn) -> Draw:
        tiles = pool.tiles(self._step(pool))
        case = int(np.searchsorted(tiles.ends, turn.number, side="right"))
        counts = tiles.counts[case]
        cell = np.array(np.unravel_index(turn.number - tiles.ends[case] + counts.prod(), counts))
        z, y, x = pool.shapes[case].tolist()
        return Draw(pool.ids[case], place_within(cell * self._step(pool), (z, y, x), pool.patch))

    def _step(self, pool: Pool) -> Position:
        return pool.patch if self.step is None else self.step


def _in_turn(numbers: NDArray[np.int32], random: np.random.Generator) -> Iterator[int]:
    """One of them by chance, and all of them, should it turn out that a case is not what the list says."""
    if len(numbers):
        yield int(numbers[random.integers(len(numbers))])
        yield from random.permutation(numbers).tolist()


def _anywhere(case: StoredCase, patch: Position, random: np.random.Generator) -> Position:
    room = np.maximum(np.subtract(case.geometry.shape, patch), 0)
    return place_within(random.integers(0, room + 1), case.geometry.shape, patch)


def _around(
    voxels: NDArray[np.integer], case: StoredCase, patch: Position, random: np.random.Generator
) -> Position:
    centre = voxels[random.integers(len(voxels))].astype(np.int64)
    return place_within(centre - np.array(patch) // 2, case.geometry.shape, patch)


def _check_classes(
    label: str, classes: Sequence[int], known: Collection[int], choice: Choice
) -> None:
    named = choice.classes[label]
    if named.ignore in classes:
        raise UsageError(
            f"value {named.ignore} of label {label!r} is the cohort's ignore label, no class to aim at",
            advice="leave it out",
        )
    if strange := [value for value in classes if value not in known or value == 0]:
        raise UsageError(
            f"no case has class {strange[0]} in label {label!r}; there are {named.describe()} and the "
            f"values {', '.join(str(value) for value in sorted(known) if value)}",
            advice="leave the class out",
        )


def _locations(case: StoredCase, label: str) -> Locations:
    find_label(case, label)
    return case.locations(label)
