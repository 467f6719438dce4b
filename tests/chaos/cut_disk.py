"""A disk whose power may go: what a recorded run did to it, and what may be on it after a cut.

There are three models. ``ordered``: changes of folders reach the disk in the order in which they were made,
and an fsync of anything brings all before it, as on ext4 and XFS. ``anchored``: they reach it in any order,
each whole; an fsync also brings the names that lead to what is synced. ``strict``: POSIX to the letter. An
fsync of a file brings its bytes, one of a folder its entries, and no more. The two halves of a rename from
folder to folder may part, so that it is in both, but never in neither. In each of them bytes without an fsync
are there, missing, zeros, or there by half.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Model = Literal["ordered", "anchored", "strict"]
State = dict[str, bytes | None]
"""Every file with its bytes, and every folder with None, by path."""

_HEAD = struct.Struct("=cIIQQ")
_FATES = ("kept", "lost", "zeros", "torn")


@dataclass(frozen=True)
class Step:
    """A record of ``disk_recorder.c``."""

    what: str
    path: str
    other: str = ""
    offset: int = 0
    data: bytes = b""


def read_log(file: Path) -> Iterator[Step]:
    """The steps that were recorded."""
    log, at = file.read_bytes(), 0
    while at < len(log):
        what, *lengths, offset, size = _HEAD.unpack_from(log, at)
        at += _HEAD.size
        first, second, data = (log[at : (at := at + length)] for length in (*lengths, size))
        yield Step(what.decode(), first.decode(), second.decode(), offset, data)


def read_tree(folder: Path) -> State:
    """What is below a folder."""
    return {
        path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def write_tree(state: State, folder: Path) -> None:
    """Make a folder that holds this."""
    folder.mkdir()
    for name, content in state.items():  # folders come before what is in them
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)


@dataclass(eq=False)
class File:
    """A file: its bytes, and those of them that an fsync brought to the disk."""

    data: bytes = b""
    synced: bytes = b""

    def after(self, fate: str) -> bytes:
        """What may be left of it."""
        if fate == "kept" or self.data == self.synced:
            return self.data
        if fate == "lost":
            return self.synced
        sure = len(self.synced) if self.data.startswith(self.synced) else 0
        if fate == "zeros":
            return self.data[:sure] + bytes(len(self.data) - sure)
        return self.data[: sure + (len(self.data) - sure) // 2]


@dataclass(eq=False)
class Folder:
    """A folder: its entries, and those that are on the disk."""

    entries: dict[str, Node] = field(default_factory=dict)
    durable: dict[str, Node] = field(default_factory=dict)


Node = File | Folder


@dataclass(eq=False)
class Change:
    """Entries of folders that change together; None takes one away."""

    parts: list[tuple[Folder, str, Node | None]]
    after: Change | None = None
    """Another one without which this one is not on the disk."""

    def meets(self, keys: set[tuple[int, str]]) -> bool:
        return not keys.isdisjoint(self.keys)

    @property
    def keys(self) -> set[tuple[int, str]]:
        return {(id(folder), name) for folder, name, _ in self.parts}


class Disk:
    """A disk after the steps that it was told, in one of the models."""

    def __init__(self, model: Model, before: State) -> None:
        self.root = Folder()
        self.model = model
        self._waiting: list[Change] = []
        for path, content in before.items():
            node = Folder() if content is None else File(content, content)
            folder, name = self._place(path)
            folder.entries[name] = folder.durable[name] = node

    def apply(self, step: Step) -> None:
        """Carry out a step."""
        match step.what:
            case "C":
                self._change((step.path, File()))
            case "D":
                self._change((step.path, Folder()))
            case "U":
                self._change((step.path, None))
            case "R":
                self._change((step.other, self._node(step.path)), (step.path, None))
            case "X":
                nodes = self._node(step.path), self._node(step.other)
                self._change((step.other, nodes[0]), (step.path, nodes[1]))
            case "W":
                file = self._file(step.path)
                data = file.data.ljust(step.offset, b"\0")
                file.data = data[: step.offset] + step.data + data[step.offset + len(step.data) :]
            case "T":
                file = self._file(step.path)
                file.data = file.data[: step.offset].ljust(step.offset, b"\0")
            case "S":
                self._sync(step.path)

    def now(self) -> State:
        """What a running system sees."""
        return self._tree({}, lambda _: "kept", seen=True)

    def states(self, seed: str, chances: int) -> Iterator[State]:
        """What may be on the disk if the power goes now: the extremes, and so many by chance."""
        for fate in _FATES:
            yield self._tree({}, lambda _, fate=fate: fate)
            yield self._tree(self._kept(self._waiting), lambda _, fate=fate: fate)
        for number in range(chances):
            chance = random.Random(f"{seed} {number}")
            if self.model == "ordered":
                kept = self._waiting[: chance.randrange(len(self._waiting) + 1)]
            else:
                kept = [change for change in self._waiting if chance.random() < 0.5]
                kept = [c for c in kept if c.after not in self._waiting or c.after in kept]
            yield self._tree(self._kept(kept), lambda _, chance=chance: chance.choice(_FATES))

    def _place(self, path: str) -> tuple[Folder, str]:
        folder = self.root
        *above, name = path.split("/")
        for each in above:
            folder = folder.entries[each]
        return folder, name

    def _node(self, path: str) -> Node:
        folder, name = self._place(path)
        return folder.entries[name]

    def _file(self, path: str) -> File:
        node = self._node(path)
        assert isinstance(node, File), path
        return node

    def _change(self, *parts: tuple[str, Node | None]) -> None:
        placed = [(*self._place(path), node) for path, node in parts]
        for folder, name, node in placed:
            if node is None:
                del folder.entries[name]
            else:
                folder.entries[name] = node
        apart = self.model == "strict" and len({id(folder) for folder, _, _ in placed}) > 1
        if apart:
            first, second = placed
            arrives = Change([first])
            self._waiting += [arrives, Change([second], after=arrives)]
        else:
            self._waiting.append(Change(placed))

    def _sync(self, path: str) -> None:
        node = self._node(path) if path else self.root
        if isinstance(node, File):
            node.synced = node.data
        if self.model == "ordered":
            self._settle(self._waiting)
        elif isinstance(node, Folder):
            self._settle([c for c in self._waiting if any(part[0] is node for part in c.parts)])
        if self.model == "anchored":
            self._settle_names(path)

    def _settle_names(self, path: str) -> None:
        """Bring the names that lead to a path, and what must have come before them."""
        keys, folder = set(), self.root
        for name in path.split("/") if path else ():
            keys.add((id(folder), name))
            folder = folder.entries[name]
        chosen: list[Change] = []
        while more := [c for c in self._waiting if c.meets(keys) and c not in chosen]:
            chosen += more
            keys = keys.union(*(change.keys for change in more))
        self._settle(chosen)

    def _settle(self, changes: Iterable[Change]) -> None:
        chosen = {id(each) for change in changes for each in (change, change.after)}
        for change in [c for c in self._waiting if id(c) in chosen]:
            for folder, name, node in change.parts:
                if node is None:
                    folder.durable.pop(name, None)
                else:
                    folder.durable[name] = node
        self._waiting = [c for c in self._waiting if id(c) not in chosen]

    def _kept(self, changes: Iterable[Change]) -> dict[int, dict[str, Node | None]]:
        kept: dict[int, dict[str, Node | None]] = {}
        for change in changes:
            for folder, name, node in change.parts:
                kept.setdefault(id(folder), {})[name] = node
        return kept

    def _tree(self, kept, fate, *, seen: bool = False) -> State:
        """All that is reached from the root, with some of the changes that wait."""
        state: State = {}

        def walk(folder: Folder, prefix: str) -> None:
            entries = folder.entries if seen else {**folder.durable, **kept.get(id(folder), {})}
            for name, node in sorted(entries.items()):
                if isinstance(node, Folder):
                    state[prefix + name] = None
                    walk(node, f"{prefix}{name}/")
                elif node is not None:
                    state[prefix + name] = node.after(fate(node))

        walk(self.root, "")
        return state
