"""Every state that a power cut may leave of a recorded run, and what must hold in each of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from chaos.cut_disk import Disk, Model, State, Step, read_log, read_tree
from chaos.recorded_runs import Scenario

MODELS: tuple[Model, ...] = ("ordered", "anchored", "strict")
_CASES, _PRUNED, _RECORD = "out/cases/", "out/pruned/", "/record.json"

Case = tuple[tuple[str, bytes], ...]
"""The files of a stored case."""


@dataclass(frozen=True)
class Cut:
    """A state after so many steps of a run."""

    steps: int
    model: Model
    state: State


@dataclass(frozen=True)
class Recording:
    """A recorded run: what was there, what it did, what is there."""

    scenario: Scenario
    work: Path

    @cached_property
    def before(self) -> State:
        return read_tree(self.work / f"{self.scenario.name}.before")

    @cached_property
    def after(self) -> State:
        return read_tree(self.work / self.scenario.name)

    @cached_property
    def steps(self) -> list[Step]:
        return list(read_log(self.work / f"{self.scenario.name}.log"))

    @cached_property
    def versions(self) -> dict[str, list[Case]]:
        """Of each case what it was, and what it became."""
        found: dict[str, list[Case]] = {}
        for state in (self.before, self.after):
            for place, case in visible(state).items():
                found.setdefault(_name(place), []).append(case)
        return found

    def cuts(self, model: Model, chances: int) -> Iterator[Cut]:
        """What may be on the disk after each step, each state once."""
        disk, seen = Disk(model, self.before), set()
        for number, step in enumerate([Step("N", ""), *self.steps]):
            disk.apply(step)
            for state in disk.states(f"{self.scenario.name} {number}", chances):
                key = _key(state)
                if key not in seen:
                    seen.add(key)
                    yield Cut(number, model, state)

    def wrong(self, cut: Cut) -> list[str]:
        """Cases that are visible and not whole."""
        return [
            place
            for place, case in visible(cut.state).items()
            if case not in self.versions.get(_name(place), [])
        ]

    def lost(self, cut: Cut) -> list[str]:
        """Cases that were there before, or were reported as done, and are not there, or not as reported."""
        there: dict[str, list[Case]] = {}
        for place, case in visible(cut.state).items():
            there.setdefault(_name(place), []).append(case)
        marks = {step.path for step in self.steps[: cut.steps] if step.what == "N"}
        asked = marks | {_name(place) for place in visible(self.before)}
        return [
            name
            for name in sorted(asked)
            if not any(
                case in self.versions[name][-1 if name in marks else 0 :]
                for case in there.get(name, [])
            )
        ]


def visible(state: State) -> dict[str, Case]:
    """The cases of a state by their folders, those in ``pruned/`` too."""
    found: dict[str, list[tuple[str, bytes]]] = {}
    for path, content in state.items():
        for place in (_CASES, _PRUNED):
            folder = path.removeprefix(place).partition("/")[0]
            case = f"{place}{folder}"
            hidden = not path.startswith(place) or folder.startswith(".")
            if content is None or hidden or f"{case}{_RECORD}" not in state:
                continue
            found.setdefault(case, []).append((path.removeprefix(case), content))
    return {case: tuple(sorted(files)) for case, files in found.items()}


def _name(place: str) -> str:
    return place.rpartition("/")[2].removesuffix(".zarr")


def _key(state: State) -> bytes:
    hashed = hashlib.sha256()
    for path, content in state.items():
        hashed.update(f"{path}\0{-1 if content is None else len(content)}\0".encode())
        hashed.update(content or b"")
    return hashed.digest()
