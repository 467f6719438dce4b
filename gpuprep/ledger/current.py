"""Which cases are there already: whole, from the same config and statistics, and the same source files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gpuprep.ledger.sources import compare
from gpuprep.store.files import CaseVersion
from gpuprep.store.layout import case_path
from gpuprep.store.places import Place
from gpuprep.store.record import read_record
from gpuprep.values.case import Case
from gpuprep.values.errors import CorruptStoreError, StoreError

Cause = Literal["", "stored", "config", "source"]


@dataclass(frozen=True, slots=True)
class Stored:
    """What an output holds of a case: its record if it need not be done again, else why it must be."""

    record: dict[str, Any] | None = None
    cause: Cause = ""
    """What differs: its stored files, config or statistics, or its source files."""
    change: str = ""
    """The same in words; of a case that need not be done again, which attributes the record has otherwise."""
    version: CaseVersion | None = None
    """Which record that is."""
    stamp: str = ""
    """Of source files that lie elsewhere or are of another time, and are the same by their sums."""


def stored_case(root: Place, case: Case, digest: str, seen: str = "") -> Stored:
    """Look a case up. ``seen`` is the stamp under which its files were recognised before."""
    folder = root / case_path(case.id)
    try:
        record = read_record(folder)
        version = folder.version()
        sizes = folder.sizes(record["files"])
    except (CorruptStoreError, StoreError, OSError):
        return Stored(None, "stored", "what is stored of it is damaged or not whole")
    if sizes != {name: seal["size"] for name, seal in record["files"].items()}:
        return Stored(None, "stored", "what is stored of it is damaged or not whole")
    if record.get("digest") != digest:
        text = "it was made with another config or other statistics of the cohort"
        return Stored(None, "config", text)
    found = compare(record.get("source", []), case, seen)
    if found.change:
        return Stored(None, "source", found.change)
    change = _differing(record.get("attributes", {}), case.attributes)
    return Stored(record, change=change, version=version, stamp=found.stamp)


def _differing(stored: Mapping[str, str], told: Mapping[str, str]) -> str:
    names = sorted(name for name in {*stored, *told} if stored.get(name) != told.get(name))
    return ", ".join(f"{name} {stored.get(name)!r} → {told.get(name)!r}" for name in names)
