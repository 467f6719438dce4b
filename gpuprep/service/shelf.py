"""What cohorts hold, kept from one request to the next, so that pages of large ones come at once."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.quality.cohort_quality import CohortQuality
from gpuprep.store.layout import CASES_FOLDER, INDEX_FILE, MANIFEST_FILE
from gpuprep.store.local import LocalPath
from gpuprep.store.places import Place
from gpuprep.store.reader import open_cohort
from gpuprep.store.table import CaseTable

_MOST_CASES = 200_000
"""Of all cohorts that are kept; the one asked for last stays, however large."""
_PATIENCE = 10.0
"""A cohort that changes is looked at again after so many times what a look takes; at least a second."""
_REMOTE_SECONDS = 10.0
_AXES = "xyz"


@dataclass(frozen=True, slots=True)
class Look:
    """A cohort as it was a moment ago."""

    stamp: object
    until: float
    """Until when it is not looked at again, even if it has changed."""
    table: CaseTable
    places: Mapping[str, int]
    """Ids, in their natural order, and their rows."""
    channels: tuple[str, ...]
    quality: CohortQuality
    """The same table in numbers, each part worked out when it is first asked for."""

    def rows(self, part: slice | NDArray[np.intp]) -> list[dict[str, Any]]:
        """What is stored of some cases: grids as x, y, z, spacing in mm."""
        columns = {
            name: column[part].tolist() for name, column in self.table.items() if "." not in name
        }
        return [self._row(columns, k) for k in range(len(columns["case"]))]

    def _row(self, columns: Mapping[str, list[Any]], k: int) -> dict[str, Any]:
        return {
            "id": columns["case"][k],
            "size": [int(columns[f"shape_{axis}"][k]) for axis in _AXES],
            "spacing": [columns[f"spacing_{axis}"][k] for axis in _AXES],
            "bytes": columns["bytes"][k],
            **{name: _words(columns[name][k]) for name in ("channels", "labels", "findings")},
        }


class Shelf:
    """The cohorts that were looked at last."""

    def __init__(self) -> None:
        self._looks: OrderedDict[str, Look] = OrderedDict()
        self._locks: dict[str, threading.Lock] = {}

    def look(self, place: Place) -> Look:
        """A cohort as it stands, or as it stood moments ago; several threads may ask.

        Raises:
            StoreError: it cannot be read.
        """
        key = str(place)
        with self._locks.setdefault(key, threading.Lock()):
            kept = self._looks.get(key)
            if kept is not None and (kept.until > time.monotonic() or kept.stamp == _stamp(place)):
                self._looks.move_to_end(key)
                return kept
            look = _look(place)
            self._looks[key] = look
            self._looks.move_to_end(key)
            self._forget()
            return look

    def _forget(self) -> None:
        """Let go of those that were asked for longest ago."""
        while (
            len(self._looks) > 1
            and sum(len(look.places) for look in self._looks.values()) > _MOST_CASES
        ):
            self._looks.popitem(last=False)


def _look(place: Place) -> Look:
    began = time.monotonic()
    stamp = _stamp(place)
    with open_cohort(str(place)) as cohort:
        table, agreement = cohort.table(), cohort.agreement
    rows = {case_id: row for row, case_id in enumerate(table["case"].tolist())}
    now = time.monotonic()
    patience = (
        max(1.0, _PATIENCE * (now - began)) if isinstance(place, LocalPath) else _REMOTE_SECONDS
    )
    channels = tuple(map(str, agreement.channels))
    quality = CohortQuality(table, agreement)
    return Look(stamp, now + patience, table, rows, channels, quality)


def _stamp(place: Place) -> object:
    """Changes whenever a case comes, goes or is replaced: all of it is done by renaming in its folder."""
    if not isinstance(place, LocalPath):
        return None
    return tuple(_stamp_of(place / name) for name in (CASES_FOLDER, MANIFEST_FILE, INDEX_FILE))


def _stamp_of(path: LocalPath) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _words(text: str) -> list[str]:
    return text.split(", ") if text else []
