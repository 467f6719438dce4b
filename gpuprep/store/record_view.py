"""Records of which a part is known from the index: whoever asks for more has the record read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from gpuprep.store.index import CaseIndex

Read = Callable[[str], Mapping[str, Any]]

_AS_LISTED = ("digest", "input", "attributes")
_GRIDS = {"output": "", "source": "source_"}


class _Part(Mapping[str, Any]):
    """A mapping of which some values are known; ``whole`` gives all of it."""

    def __init__(self, known: Mapping[str, Any], whole: Callable[[], Mapping[str, Any]]) -> None:
        self._known, self._whole = known, whole

    def __getitem__(self, key: str) -> Any:
        return self._known[key] if key in self._known else self._whole()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole())

    def __len__(self) -> int:
        return len(self._whole())


class RecordViews(Mapping[str, Mapping[str, Any]]):
    """The records of a cohort by id."""

    def __init__(self, index: CaseIndex, places: Mapping[str, int], read: Read) -> None:
        """Args: the index; the row of each case of which it tells; what reads a record."""
        self._index, self._places, self._read = index, places, read

    def __getitem__(self, case_id: str) -> Mapping[str, Any]:
        place = self._places.get(case_id)
        if place is None:
            return self._read(case_id)
        return _View(self._index, place, cache(lambda: self._read(case_id)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class _View(Mapping[str, Any]):
    """One record."""

    def __init__(
        self, index: CaseIndex, place: int, whole: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._columns, self._place, self._whole = index.columns, place, whole

    def __getitem__(self, key: str) -> Any:
        if key in _AS_LISTED:
            return self._columns[key][self._place]
        if key == "labels":
            return self._labels()
        if key == "geometry":
            grids = {name: self._grid(name, lead) for name, lead in _GRIDS.items()}
            return _Part(grids, lambda: self._whole()["geometry"])
        return self._whole()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole())

    def __len__(self) -> int:
        return len(self._whole())

    def _labels(self) -> dict[str, dict[str, int]]:
        counts = iter(self._columns["voxels"][self._place])
        told = self._columns["labels"][self._place]
        return {
            name: {str(value): next(counts) for value in values} for name, values in told.items()
        }

    def _grid(self, name: str, lead: str) -> Mapping[str, Any]:
        known = {
            "shape": self._columns[f"{lead}shape"][self._place],
            "spacing": self._columns[f"{lead}spacing"][self._place][::-1],
        }
        return _Part(known, lambda: self._whole()["geometry"][name])
