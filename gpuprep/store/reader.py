"""Opening what a run wrote: a cohort is a mapping from case id to case, a case holds stored arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gpuprep.store.array import StoredArray
from gpuprep.store.files import case_version, read_document
from gpuprep.store.layout import (
    CASE_SUFFIX,
    CASES_FOLDER,
    CONFIG_FILE,
    GROUP_FILE,
    IMAGE_ARRAY,
    LABELS_GROUP,
    RECORD_FILE,
    check_label_name,
    label_array,
)
from gpuprep.store.metadata import parse_document
from gpuprep.store.ome import parse_value_names
from gpuprep.store.open_shard import Access, CrcPolicy, ReadPolicy
from gpuprep.store.places import ObjectPath, Place, case_place, to_place
from gpuprep.store.record import check_documents, read_record
from gpuprep.values.case import natural_key
from gpuprep.values.errors import CorruptStoreError, StoreError, UsageError
from gpuprep.values.findings import Finding
from gpuprep.values.geometry import Geometry

__all__ = [
    "Access",
    "Cohort",
    "CrcPolicy",
    "ReadPolicy",
    "StoredArray",
    "StoredCase",
    "open_case",
    "open_cohort",
]

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
        attributes: What the writer kept with the case.
    """

    def __init__(self, path: str | Path | ObjectPath, policy: ReadPolicy | None = None) -> None:
        """Open a case; ``open_case`` says what can go wrong."""
        self.path = to_place(path)
        self.id = self.path.name.removesuffix(CASE_SUFFIX)
        self._policy = policy or ReadPolicy()
        self._record: dict[str, Any] | None = None
        self._version = case_version(self.path)
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
            self.attributes: dict[str, Any] = dict(own["attributes"])
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
    def findings(self) -> list[Finding]:
        """What was odd about the case's input, from its record."""
        return [Finding.from_json(row) for row in self.record.get("findings", [])]

    def _attributes(self, group: str) -> dict[str, Any]:
        name = f"{group}/{GROUP_FILE}".lstrip("/")
        text = read_document(self.path, name, version=self._version)
        return dict(parse_document(text, f"{self.path / name}")["attributes"])

    def _array(self, name: str) -> StoredArray:
        return StoredArray(self.path, name, self._policy, version=self._version)

    def _value_names(self, label: str) -> Mapping[int, str]:
        return parse_value_names(self._attributes(f"{LABELS_GROUP}/{label}"))


def open_case(
    path: str | Path, *, crc: CrcPolicy = "always", access: Access = "mmap", threads: int = 1
) -> StoredCase:
    """Open the folder (or URL) of one finished case; the arguments are those of ``open_cohort``.

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
        if not _is_cohort(self.path):
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
            case = self._cases[case_id] = StoredCase(case_place(self.path, case_id), self._policy)
            if len(self._cases) > _CASES_KEPT:
                with suppress(RuntimeError):  # another thread is at it
                    self._cases.pop(next(iter(self._cases)), None)
        return case

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
            return case_version(case_place(self.path, str(case_id))) is not None
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
            self._ids = tuple(sorted(finished_cases(self.path), key=natural_key))
        return self._ids


def _is_cohort(place: Place) -> bool:
    if isinstance(place, ObjectPath):
        return (place / CONFIG_FILE).stat() is not None
    return (place / CASES_FOLDER).is_dir()


def finished_cases(root: str | Path | ObjectPath) -> Iterator[str]:
    """The ids of all folders below ``cases/`` that hold a record, in no order."""
    if isinstance(root, ObjectPath):
        ending = f"{CASE_SUFFIX}/{RECORD_FILE}"
        for name, _ in (root / CASES_FOLDER).walk():
            if name.endswith(ending) and name.count("/") == 1:
                yield name.removesuffix(ending)
        return
    with os.scandir(Path(root) / CASES_FOLDER) as entries:
        for entry in entries:
            visible = entry.name.endswith(CASE_SUFFIX) and not entry.name.startswith(".")
            if visible and Path(entry.path, RECORD_FILE).is_file():
                yield entry.name.removesuffix(CASE_SUFFIX)


def open_cohort(
    path: str | Path, *, crc: CrcPolicy = "always", access: Access = "mmap", threads: int = 1
) -> Cohort:
    """Open the output folder of a run.

    Args:
        path: The output folder, or its URL (``s3://bucket/cohort``, also ``gs://`` and ``az://``).
        crc: When to check the CRC32C of a chunk: at every read, at the ``first`` one in a process, or never.
        access: ``mmap``, or ``pread`` for network file systems; a URL is read by byte ranges.
        threads: Threads that decode one read.

    Raises:
        StoreError: the folder holds no cohort.
        UsageError: an argument is out of range.
        BackendError: a URL needs the extra ``s3``.
    """
    return Cohort(path, ReadPolicy(crc, access, threads))
