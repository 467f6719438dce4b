"""Opening what a run wrote: a cohort is a mapping from case id to case."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gpuprep.store.agreement import agreement_of, read_agreement
from gpuprep.store.files import CaseVersion
from gpuprep.store.layout import (
    CASES_FOLDER,
    case_path,
)
from gpuprep.store.list_seal import sealed_versions
from gpuprep.store.local import LocalPath
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.open_shard import Access, CrcPolicy, ReadPolicy
from gpuprep.store.places import case_versions, to_place
from gpuprep.store.several import read_outputs, unknown_output
from gpuprep.store.standing import Standing, doubts, read_standing
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.agreement import Agreement
from gpuprep.values.case import natural_sorted
from gpuprep.values.errors import CohortWarning, StoreError, UsageError
from gpuprep.values.notebook import facts_html

if TYPE_CHECKING:  # they read cohorts themselves
    from gpuprep.store.index import CaseIndex
    from gpuprep.store.known import KnownCases, KnownLines
    from gpuprep.store.table import CaseTable

_CASES_KEPT = (
    1 << 14
)  # cases a cohort remembers, 4 kB each; their open files have a limit of their own


class Cohort(Mapping[str, StoredCase]):
    """All finished cases of an output folder, in natural order; a case is opened when asked for.

    Folders without a record are no cases and are passed over. The list of ids is read once, at first need.

    Attributes:
        path: Where it lies.
        asked: The output of each case that is read; empty for the first, or the only one.
    """

    def __init__(
        self,
        path: str | Path | ObjectPath,
        policy: ReadPolicy | None = None,
        output: str | None = None,
    ) -> None:
        """Open an output folder; ``open_cohort`` says what can go wrong."""
        self.path = to_place(path)
        self._policy = policy or ReadPolicy()
        self._versions: Mapping[str, CaseVersion] | None = None
        self._sealed: Mapping[str, CaseVersion] | None = None
        self._cases: dict[str, StoredCase] = {}
        if not self.path.is_cohort():
            raise StoreError(
                f"{self.path}: not a cohort, it has no folder {CASES_FOLDER}/",
                advice="give the output folder of a run",
            )
        self.asked = output or ""
        if self.asked and self.outputs:
            if self.asked not in self.outputs:
                raise unknown_output(self.asked, self.outputs, self.path)
            self.asked = self.asked if self.asked != self.outputs[0] else ""

    def __reduce__(self) -> tuple[object, ...]:
        return Cohort, (self.path, self._policy, self.asked), self._sealed

    def __setstate__(self, sealed: Mapping[str, CaseVersion]) -> None:
        self._versions = self._sealed = sealed

    def __repr__(self) -> str:
        return f"<Cohort {self.path}>"

    def _repr_html_(self) -> str:
        """The cohort as a notebook shows it: what its cases agree on, and the first of them."""
        agreement = self.agreement
        rows: list[tuple[str, object]] = [
            ("path", self.path),
            ("cases", f"{len(self):,}"),
            ("channels", ", ".join(agreement.channels) or "not named"),
        ]
        for name, classes in agreement.labels.items():
            named = ", ".join(f"{value} {told}" for value, told in classes.names.items())
            rows.append((f"label {name}", named or "values not named"))
        return facts_html("Cohort", rows) + self.table()._repr_html_()

    def __getitem__(self, case_id: str) -> StoredCase:
        case = self._cases.pop(case_id, None)
        if case is None:
            if case_id not in self:
                raise KeyError(case_id)
            case = self._open(case_id)
        self._cases[case_id] = case  # as the last that was asked for
        while len(self._cases) > _CASES_KEPT:
            self._forget()
        return case

    def _open(self, case_id: str) -> StoredCase:
        place = self.path / case_path(case_id)
        told = None if self._sealed is None else self._sealed.get(case_id)
        try:
            return StoredCase(place, self._policy, version=told, output=self.asked)
        except StoreError as error:
            if told is None or place.version() == told:
                raise
            raise StoreError(
                f"{place}: not the case that the cohort's list told of when the cohort was opened",
                advice="open the cohort again; what another tool than gpuprep put there or took away, "
                f"gpuprep index {self.path} lists",
            ) from error

    def _forget(self) -> None:
        """Let go of the case that was asked for longest ago, unless another thread did."""
        with suppress(RuntimeError, StopIteration):
            self._cases.pop(next(iter(self._cases)), None)

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
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs of a case in order, the first of which is read where none is named."""
        return read_outputs(self.path)

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
        if self._versions is not None and case_id in self._versions:
            return True
        try:
            return (self.path / case_path(str(case_id))).version() is not None
        except UsageError:
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def versions(self) -> Mapping[str, CaseVersion]:
        """Which record each case has, by id."""
        if self._versions is None:
            index = None if isinstance(self.path, LocalPath) else self._lines.index
            return self.versions_beside(index)
        return self._versions

    def versions_beside(self, index: CaseIndex | None) -> Mapping[str, CaseVersion]:
        """The same, by the list of cases where that is sealed."""
        if self._versions is None:
            self._sealed = None if index is None else sealed_versions(self.path, index)
            self._versions = case_versions(self.path) if self._sealed is None else self._sealed
        return self._versions

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Every case id, ``case_2`` before ``case_10``."""
        return tuple(natural_sorted(self.versions))

    @property
    def known(self) -> KnownCases:
        """What the list of cases says of those that are there; it is read once."""
        from gpuprep.store.known import KnownCases

        return KnownCases(self, self._lines)

    @cached_property
    def _lines(self) -> KnownLines:
        from gpuprep.store.index import read_index
        from gpuprep.store.known import KnownLines

        index = read_index(self.path)  # of the first output
        versions = self.versions_beside(index)
        return KnownLines.of(index, {} if self.asked else versions)

    def table(self) -> CaseTable:
        """What the records of all cases tell, as columns; no case is opened that the index tells of.

        >>> table = open_cohort("cohort").table()
        >>> table["case"].tolist(), table["voxels.segmentation.1"].tolist()
        (['volume-0', 'volume-1'], [3388, 3400])

        Warns:
            CohortWarning: the index is absent or old, and a thousand records or more must be read.

        Raises:
            CorruptStoreError: a record that must be read is damaged.
        """
        from gpuprep.store.table import table_of

        return table_of(*self.known.rows())


def open_cohort(
    path: str | Path,
    *,
    crc: CrcPolicy = "always",
    access: Access = "mmap",
    threads: int = 1,
    token: str | None = None,
    output: str | None = None,
) -> Cohort:
    """Open the output folder of a run.

    >>> cohort = open_cohort("cohort")
    >>> list(cohort), cohort["volume-1"].labels["segmentation"].shape
    (['volume-0', 'volume-1'], (22, 29, 34))

    Args:
        path: The output folder, or its URL: ``s3://bucket/cohort``, ``gs://``, ``az://``, or from a service
            ``https://host/v1/zarr/NAME``.
        crc: When to check the CRC32C of a chunk: at every read, at the ``first`` one in a process, or never.
        access: ``mmap``, or ``pread`` for network file systems; a URL is read by byte ranges.
        threads: Threads that decode one read.
        token: For a service; by default that of the environment (GPUPREP_TOKEN).
        output: Which output of every case, where the config names several; by default the first.

    Warns:
        CohortWarning: cases left the input, or were made in another way than the others.

    Raises:
        StoreError: the folder holds no cohort, or no server answers, or it refuses the token.
        UsageError: an argument is out of range, or there is no such output.
        BackendError: a URL needs the extra ``s3``.
    """
    cohort = Cohort(to_place(path, token), ReadPolicy(crc, access, threads), output)
    for told in doubts(cohort.standing, cohort.path):
        warnings.warn(told, CohortWarning, stacklevel=2)
    return cohort
