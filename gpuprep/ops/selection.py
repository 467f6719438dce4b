"""Networks of minima and maxima on whole arrays: built once as a graph, pruned, and run with few buffers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Room = dict[tuple["Program", int], list[Array]]
"""The buffers of programs by their turns, for inputs of one shape and dtype."""


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """An input (``place`` tells which), or the smaller or larger of two nodes."""

    place: int = -1
    larger: bool = False
    parts: tuple[Node, ...] = ()


def compared(first: Node, second: Node) -> tuple[Node, Node]:
    """The smaller and the larger of two."""
    pair = first, second
    return Node(parts=pair), Node(larger=True, parts=pair)


def merged(first: Sequence[Node], second: Sequence[Node]) -> list[Node]:
    """One sorted run of two, by Batcher's odd-even merge."""
    if not first or not second:
        return [*first, *second]
    if len(first) == len(second) == 1:
        return list(compared(first[0], second[0]))
    even, odd = merged(first[::2], second[::2]), merged(first[1::2], second[1::2])
    run = even[:1]
    for k in range(max(len(even) - 1, len(odd))):
        if k < len(odd) and k + 1 < len(even):
            run += compared(odd[k], even[k + 1])
        else:
            run.append(odd[k] if k < len(odd) else even[k + 1])
    return run


def sorted_run(nodes: Sequence[Node]) -> list[Node]:
    """All nodes in order."""
    half = len(nodes) // 2
    return merged(sorted_run(nodes[:half]), sorted_run(nodes[half:])) if half else list(nodes)


def ranked(first: Sequence[Node | None], second: Sequence[Node], rank: int) -> Node:
    """The value of a rank (from 1) in two sorted runs together; of ``first`` only what can matter is used."""
    found: Node | None = None
    for taken in range(max(0, rank - len(second)), min(rank, len(first)) + 1):
        here = first[taken - 1] if taken else None
        other = second[rank - taken - 1] if rank > taken else None
        least = [each for each in (here, other) if each is not None]
        bound = least[0] if len(least) == 1 else Node(larger=True, parts=(least[0], least[1]))
        found = bound if found is None else Node(parts=(found, bound))
    assert found is not None
    return found


class Program:
    """A network as steps: what no result needs is left out, and buffers are used again."""

    def __init__(self, inputs: int, build: Callable[[list[Node]], Sequence[Node]]) -> None:
        given = [Node(place) for place in range(inputs)]
        results = list(build(given))
        order = _in_order(results)
        last = {id(part): step for step, node in enumerate(order) for part in node.parts}
        kept = {id(node) for node in results}
        where = {id(node): node.place for node in given}
        free: list[int] = []
        self.buffers = 0
        self._steps: list[tuple[np.ufunc, int, int, int]] = []
        for step, node in enumerate(order):
            first, second = (where[id(part)] for part in node.parts)
            for part in dict.fromkeys(node.parts):
                if part.place < 0 and last[id(part)] == step and id(part) not in kept:
                    free.append(where[id(part)])
            if free:
                place = free.pop()
            else:
                place, self.buffers = inputs + self.buffers, self.buffers + 1
            where[id(node)] = place
            least_or_most = np.maximum if node.larger else np.minimum
            self._steps.append((least_or_most, first, second, place))
        self._results = [where[id(node)] for node in results]

    @property
    def operations(self) -> int:
        """How many minima and maxima a run takes."""
        return len(self._steps)

    def run(self, inputs: Sequence[Array], room: Room, turn: int = 0) -> list[Array]:
        """The results, for inputs of one shape and dtype; in ``room`` until this turn runs again."""
        key = self, turn
        if key not in room:
            room[key] = list(np.empty((self.buffers, *inputs[0].shape), inputs[0].dtype))
        places = [*inputs, *room[key]]
        for least_or_most, first, second, place in self._steps:
            least_or_most(places[first], places[second], out=places[place])
        return [places[place] for place in self._results]


def _in_order(results: Sequence[Node]) -> list[Node]:
    """Every node that the results need, after its parts."""
    order: list[Node] = []
    seen: set[int] = set()
    stack = [(node, False) for node in reversed(results)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif id(node) not in seen and node.parts:
            seen.add(id(node))
            stack.append((node, True))
            stack += [(part, False) for part in reversed(node.parts)]
    return order
