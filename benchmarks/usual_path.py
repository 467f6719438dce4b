"""What a warp executes of a kernel, added up along the usual path through its machine code (``sass.py``).

How often a loop runs follows from work that the caller knows: "a warp loads 32 voxels in this loop, and one
turn holds eight such loads".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from sass import Kernel, Loop, blocks_of, loops_of, matching


class Told(NamedTuple):
    """What is known of a loop: so many instructions of a kind in all, and in one turn of the source."""

    marker: str
    total: float
    each: float


class Work:
    """What a warp does in some loops per turn of the loop around them: ``totals`` instructions of a kind.

    Means the innermost loops that hold the ``marker`` (or, with ``outer``, those around others): the first in
    the listing has the first total, and so on; where there are more loops than totals, as in code made twice
    for different steps, totals come again. With ``each``, the instructions of one turn as the source has it,
    loops that were unrolled leave turns to the code behind them.
    """

    def __init__(
        self, marker: str, *totals: float, each: tuple[float, ...] = (), outer: bool = False
    ) -> None:
        self.marker, self.totals, self.each, self.outer = marker, totals, each, outer

    def turns(self, loops: list[Loop]) -> dict[int, Told]:
        """By header what is known of a loop."""
        meant = [
            loop for loop in loops if bool(loop.inside) == self.outer and loop.holds(self.marker)
        ]
        found = {}
        for k, loop in enumerate(meant):
            each = self.each[k % len(self.totals) % len(self.each)] if self.each else 0.0
            found[loop.header] = Told(self.marker, self.totals[k % len(self.totals)], each)
        return found


class UsualPath:
    """The path that most warps take through a kernel.

    Guarded code runs. Of two ways, the one with more of the known work is taken; where both do the same, the
    shorter: the other is for borders, masks, and steps that do more than shift. Calls (divisions of 64 bits)
    are avoided. A loop of known work runs as often as that takes, any other once.
    """

    def __init__(self, kernel: Kernel, work: tuple[Work, ...] = ()) -> None:
        self._blocks = blocks_of(kernel)
        self._loops = loops_of(self._blocks)
        self._markers = [each.marker for each in work]
        self._known: dict[int, Told] = {}
        for each in work:
            self._known = each.turns(self._loops) | self._known

    def executed(self) -> Counter[str]:
        """Opcodes, each as often as a warp executes it (fractions where it is an average)."""
        return self._region(0, set(range(len(self._blocks))), None)

    def turn(self, loop: Loop) -> Counter[str]:
        """What one turn of a loop executes."""
        return self._region(loop.header, loop.blocks, loop.header)

    def innermost(self) -> list[Loop]:
        return [loop for loop in self._loops if not loop.inside and loop.header in self._known]

    def _region(self, entry: int, inside: set[int], header: int | None) -> Counter[str]:
        """The path from an entry to where it leaves some blocks or comes back to their header."""
        inner = self._outermost(inside, header)
        done: dict[int, Counter[str]] = {}

        def ways(number: int) -> list[int]:
            loop = inner.get(number)
            to = self._blocks[number].to if loop is None else self._exits(loop)
            return [way for way in dict.fromkeys(to) if way in inside and way != header]

        def onwards(number: int) -> Counter[str]:
            if number not in done:
                loop = inner.get(number)
                own = self._blocks[number].mix if loop is None else self._all_turns(loop)
                done[number] = own + self._choice(ways(number), onwards, ways)
            return done[number]

        return onwards(entry)

    def _all_turns(self, loop: Loop) -> Counter[str]:
        turn = self.turn(loop)
        if loop.header not in self._known:
            return turn
        told = self._known[loop.header]
        held = matching(turn, told.marker)
        left = held - told.each if told.each else 0  # at most, as guarded code behind the loop
        turns = (told.total - left) / held
        return Counter({name: count * turns for name, count in turn.items()})  # type: ignore[misc]

    def _outermost(self, inside: set[int], header: int | None) -> dict[int, Loop]:
        fits = [loop for loop in self._loops if loop.header != header and loop.blocks <= inside]
        within = {id(other) for loop in fits for other in loop.inside}
        return {loop.header: loop for loop in fits if id(loop) not in within}

    def _exits(self, loop: Loop) -> list[int]:
        return [
            to
            for number in sorted(loop.blocks)
            for to in self._blocks[number].to
            if to not in loop.blocks
        ]

    def _choice(
        self,
        starts: list[int],
        onwards: Callable[[int], Counter[str]],
        ways: Callable[[int], list[int]],
    ) -> Counter[str]:
        if not starts:
            return Counter()
        for start in starts:  # code that is guarded leads to where the other way goes at once
            if len(starts) == 2 and sum(starts) - start in _following(start, ways):
                return onwards(start)
        paths = [onwards(start) for start in starts]
        free = [path for path in paths if not matching(path, "RET|CALL.ABS")] or paths
        done = [sum(matching(path, marker) for marker in self._markers) for path in free]
        most = [path for path, work in zip(free, done, strict=True) if work >= 0.99 * max(done)]
        return min(most, key=lambda path: path.total())


def _following(start: int, ways: Callable[[int], list[int]]) -> set[int]:
    seen: set[int] = set()
    waiting = ways(start)
    while waiting:
        number = waiting.pop()
        if number not in seen:
            seen.add(number)
            waiting += ways(number)
    return seen
