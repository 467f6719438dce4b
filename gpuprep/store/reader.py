"""Opening what a run wrote: a cohort is a mapping from case id to case, a case holds stored arrays."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gpuprep.store.agreement import agreement_of, read_agreement
from gpuprep.store.array import StoredArray
from gpuprep.store.layout import (
    CASE_SUFFIX,
    CASES_FOLDER,
    GROUP_FILE,
    IMAGE_ARRAY,
    LABELS_GROUP,
    RECORD_FILE,
    case_path,
    check_label_name,
    label_array,
)
from gpuprep.store.metadata import parse_document
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.ome import parse_value_names
from gpuprep.store.open_shard import Access, CrcPolicy, ReadPolicy
from gpuprep.store.places import case_ids, to_place
from gpuprep.store.record import check_documents, read_record
from gpuprep.store.standing import Standing, doubts, read_standing
from gpuprep.values.agreement import Agreement
from gpuprep.values.case import natural_key
from gpuprep.values.errors import CohortWarning, CorruptStoreError, StoreError, UsageError
from gpuprep.values.findings import Finding
from gpuprep.values.geometry import Geometry

_FAULTS = (KeyError, IndexError, TypeError, ValueError, AttributeError, UsageError)
_CASES_KEPT = 1024  # open cases a cohort remembers


class StoredCase:
    """One stored case. Arrays read from disk when they are indexed.

    All that it gives comes from the case that was there when it was opened; once another one has taken its
    place, what would have to be opened anew is a StoreError. ``close`` or a ``with`` block closes its files.

    Attributes:
        id: The case id.
        path: Its folder.
        image: ``z, y, x`` or ``c, z, y, x``; None for a case of labels only.
        labels: Label arrays ``z, y, x`` by name.
        label_names: Per label, the names of its voxel values.
        geometry: The grid of all arrays.
        channel_names: One name per channel where the channels are named.
    """

    def __init__(self, path: str | Path | ObjectPath, policy: ReadPolicy | None = None) -> None:
        """Open a case; ``open_case`` says what can go wrong."""
        self.path = to_place(path)
        self.id = self.path.name.removesuffix(CASE_SUFFIX)
        self._policy = policy or ReadPolicy()
        self._record: dict[str, Any] | None = None
        self._version = self.path.version()
        if self._version is None:
            raise StoreError(
                f"{self.path}: not a finished case, it has no {RECORD_FILE}",
                advice="run the case again, or give the folder of a case",
            )
        if self._policy.crc == "always":
            check_documents(self.path, version=self._version)
        try:
            attributes = self._attributes("")
            own = attributes["gpuprep"]
            self.geometry = Geometry.from_json(own["geometry"])
            self.channel_names = tuple(str(name) for name in own["channels"])
            has_image, names = "ome" in attributes, list(own["labels"])
            named = {check_label_name(name): self._value_names(name) for name in names}
        except _FAULTS as error:
            raise CorruptStoreError(
                f"{self.path}: its {GROUP_FILE} files do not describe a case ({error!r})",
                advice="run the case again",
            ) from error
        self.image = self._array(IMAGE_ARRAY) if has_image else None
        self.labels: Mapping[str, StoredArray] = MappingProxyType(
            {name: self._array(label_array(name)) for name in named}
        )
        self.label_names: Mapping[str, Mapping[int, str]] = MappingProxyType(named)

    def __reduce__(self) -> tuple[object, ...]:
        return StoredCase, (self.path, self._policy)

    def __enter__(self) -> StoredCase:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files of all arrays; a later read opens what it needs."""
        for array in (self.image, *self.labels.values()):
            if array is not None:
                array.close()

    def __repr__(self) -> str:
        shape = self.image.shape if self.image is not None else self.geometry.shape
        return f"<Case {self.id}: shape {shape}, labels {list(self.labels)}>"

    @property
    def record(self) -> dict[str, Any]:
        """What was done to the case, checked against its CRC32C; raises CorruptStoreError."""
        if self._record is None:
            self._record = read_record(self.path, version=self._version)
        return self._record

    @property
    def attributes(self) -> dict[str, Any]:
        """What the input says about the case beside its files, such as further columns of a manifest."""
        return dict(self.record.get("attributes", {}))

    @property
    def findings(self) -> list[Finding]:
        """What was odd about the case's input, from its record."""
        return [Finding.from_json(row) for row in self.record.get("findings", [])]

    def _attributes(self, group: str) -> dict[str, Any]:
        name = f"{group}/{GROUP_FILE}".lstrip("/")
        text = self.path.document(name, version=self._version)
        return dict(parse_document(text, f"{self.path / name}")["attributes"])

    def _array(self, name: str) -> StoredArray:
        return StoredArray(self.path, name, self._policy, version=self._version)

    def _value_names(self, label: str) -> Mapping[int, str]:
        return parse_value_names(self._attributes(f"{LABELS_GROUP}/{label}"))


def open_case(
    path: str | Path, *, crc: CrcPolicy = "always", access: Access = "mmap", threads: int = 1
) -> StoredCase:
    """Open the folder (or URL) of one finished case; the arguments are those of ``open_cohort``.

    >>> with open_case("cohort/cases/volume-0.zarr") as case:
    ...     case.image[0:4, 0:8, 0:8].shape, case.image.dtype
    ((4, 8, 8), dtype('<f2'))

    Raises:
        StoreError: the folder is not a finished case, or is being replaced.
        CorruptStoreError: one of its documents is missing or damaged.
        UsageError: an argument is out of range.
    """
    return StoredCase(path, ReadPolicy(crc, access, threads))


class Cohort(Mapping[str, StoredCase]):
    """All finished cases of an output folder, in natural order; a case is opened when asked for.

    Folders without a record are no cases and are passed over. The list of ids is read once, at first need.
    """

    def __init__(self, path: str | Path | ObjectPath, policy: ReadPolicy | None = None) -> None:
        """Open an output folder; ``open_cohort`` says what can go wrong."""
        self.path = to_place(path)
        self._policy = policy or ReadPolicy()
        self._ids: tuple[str, ...] | None = None
        self._cases: dict[str, StoredCase] = {}
        if not self.path.is_cohort():
            raise StoreError(
                f"{self.path}: not a cohort, it has no folder {CASES_FOLDER}/",
                advice="give the output folder of a run",
            )

    def __reduce__(self) -> tuple[object, ...]:
        return Cohort, (self.path, self._policy)

    def __repr__(self) -> str:
        return f"<Cohort {self.path}>"

    def __getitem__(self, case_id: str) -> StoredCase:
        case = self._cases.get(case_id)
        if case is None:
            if case_id not in self:
                raise KeyError(case_id)
            case = self._cases[case_id] = StoredCase(self.path / case_path(case_id), self._policy)
            if len(self._cases) > _CASES_KEPT:
                with suppress(RuntimeError):  # another thread is at it
                    self._cases.pop(next(iter(self._cases)), None)
        return case

    @cached_property
    def agreement(self) -> Agreement:
        """The names of channels and label classes, the same for all cases.

        Raises:
            CorruptStoreError: its file is damaged.
            StoreError: an older version wrote the cohort, and its cases disagree.
        """
        told = ((case.id, case.channel_names, case.label_names) for case in self.values())
        return read_agreement(self.path) or agreement_of(told)

    @cached_property
    def standing(self) -> Standing:
        """The cases that do not belong here any more, as the last run found; raises CorruptStoreError."""
        return read_standing(self.path)

    @property
    def withdrawn(self) -> tuple[str, ...]:
        """The ids of cases that no input lists any more; ``gpuprep prune`` takes them out."""
        return self.standing.withdrawn

    @property
    def outdated(self) -> tuple[str, ...]:
        """The ids of cases made with another config or other statistics than the last run had."""
        return self.standing.outdated

    def __enter__(self) -> Cohort:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files of all cases; a later read opens what it needs."""
        for case in tuple(self._cases.values()):
            case.close()
        self._cases.clear()

    def __contains__(self, case_id: object) -> bool:
        try:
            return (self.path / case_path(str(case_id))).version() is not None
        except UsageError:
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def ids(self) -> tuple[str, ...]:
        """Every case id, ``case_2`` before ``case_10``."""
        if self._ids is None:
            self._ids = tuple(sorted(case_ids(self.path, finished=True), key=natural_key))
        return self._ids


def open_cohort(
    path: str | Path, *, crc: CrcPolicy = "always", access: Access = "mmap", threads: int = 1
) -> Cohort:
    """Open the output folder of a run.

    >>> cohort = open_cohort("cohort")
    >>> list(cohort), cohort["volume-1"].labels["segmentation"].shape
    (['volume-0', 'volume-1'], (22, 29, 34))

    Args:
        path: The output folder, or its URL (``s3://bucket/cohort``, also ``gs://`` and ``az://``).
        crc: When to check the CRC32C of a chunk: at every read, at the ``first`` one in a process, or never.
        access: ``mmap``, or ``pread`` for network file systems; a URL is read by byte ranges.
        threads: Threads that decode one read.

    Warns:
        CohortWarning: cases left the input, or were made in another way than the others.

    Raises:
        StoreError: the folder holds no cohort.
        UsageError: an argument is out of range.
        BackendError: a URL needs the extra ``s3``.
    """
    cohort = Cohort(path, ReadPolicy(crc, access, threads))
    for told in doubts(cohort.standing, cohort.path):
        warnings.warn(told, CohortWarning, stacklevel=2)
    return cohort
