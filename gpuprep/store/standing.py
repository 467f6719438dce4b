"""Which stored cases do not belong to their cohort any more, as the last run on it found."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from gpuprep.store.layout import CONFIG_FILE, WITHDRAWN_FILE
from gpuprep.store.places import Place
from gpuprep.values.errors import CorruptStoreError, GpuprepError

_TOLD = 5  # ids in a text
_FAULTS = (KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Standing:
    """Ids of cases, in natural order, that are stored beside those a cohort should have."""

    withdrawn: tuple[str, ...] = ()
    """No input lists them any more."""
    outdated: tuple[str, ...] = ()
    """Made with another config or other statistics than the last run had."""

    def to_json(self) -> dict[str, list[str]]:
        return {name: list(ids) for name, ids in asdict(self).items()}


def read_standing(cohort: Place) -> Standing:
    """What ``withdrawn.json`` says; nothing where there is none.

    Raises:
        CorruptStoreError: it is damaged.
        StoreError: it cannot be read.
    """
    file = cohort / WITHDRAWN_FILE
    text = file.content()
    if text is None:
        return Standing()
    try:
        tree = json.loads(text)
        return Standing(tuple(map(str, tree["withdrawn"])), tuple(map(str, tree["outdated"])))
    except _FAULTS as error:
        raise CorruptStoreError(
            f"{file} does not tell which cases were withdrawn ({error!r})",
            advice="run the same command again; it is written anew",
        ) from error


def wanted_digest(cohort: Place) -> str | None:
    """What ``gpuprep.json`` says the cases are made with; None where it says nothing."""
    try:
        return str(json.loads((cohort / CONFIG_FILE).read_bytes())["case_digest"])
    except (OSError, GpuprepError, *_FAULTS):
        return None


def doubts(standing: Standing, output: object) -> Iterator[str]:
    """What is wrong in words, with the first ids and what to do, a text per kind."""
    if ids := standing.withdrawn:
        text = f"{_count(ids)} stored, and listed by no input any more: {_first(ids)}"
        yield f"{text}; gpuprep prune {shlex.quote(str(output))} takes them out"
    if ids := standing.outdated:
        text = f"{_count(ids)} stored with another config or other statistics than the last run had"
        advice = (
            "run the whole input again; two inputs share statistics where one manifest lists both"
        )
        yield f"{text}: {_first(ids)}; {advice}"


def _count(ids: tuple[str, ...]) -> str:
    return f"{len(ids)} case{'s are' if len(ids) > 1 else ' is'}"


def _first(ids: tuple[str, ...]) -> str:
    more = f" and {len(ids) - _TOLD} more" if len(ids) > _TOLD else ""
    return ", ".join(ids[:_TOLD]) + more
