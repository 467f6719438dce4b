"""The documents of a run on an object store: brought into its folder, and uploaded as they change."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from gpuprep.host.atomic import replaced
from gpuprep.store.files import storage_faults
from gpuprep.store.index import CaseIndex, index_of, index_of_columns, read_index, stands_for_bytes
from gpuprep.store.layout import (
    AGREEMENT_FILE,
    ATTEMPTS_FILE,
    CASE_SUFFIX,
    CASES_FOLDER,
    CONFIG_FILE,
    FAILURES_FILE,
    FINGERPRINT_FILE,
    GROUP_FILE,
    INDEX_FILE,
    INPUTS_FILE,
    LANDMARKS_FILE,
    LIST_SEAL_FILE,
    MANIFEST_FILE,
    REPORT_FILE,
    STATUS_FILE,
    WITHDRAWN_FILE,
)
from gpuprep.store.list_seal import Seal, agrees
from gpuprep.store.local import LocalPath
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.places import case_ids
from gpuprep.store.sighting import sights
from gpuprep.values.errors import UsageError

_CASES_GROUP = f"{CASES_FOLDER}/{GROUP_FILE}"
_STEADY = (  # from run to run, so that a seal can tell them
    *(CONFIG_FILE, AGREEMENT_FILE, FINGERPRINT_FILE, LANDMARKS_FILE, INPUTS_FILE, WITHDRAWN_FILE),
    *(GROUP_FILE, _CASES_GROUP),
)
_BROUGHT = (*_STEADY, MANIFEST_FILE, INDEX_FILE, FAILURES_FILE, ATTEMPTS_FILE)
DOCUMENTS = (*_BROUGHT, REPORT_FILE, STATUS_FILE)
_LEAVING = (
    FAILURES_FILE,
    ATTEMPTS_FILE,
    WITHDRAWN_FILE,
)  # a run removes these when they have nothing to say
_TOLD = 1 << 18  # bytes of a document that a seal tells


class Copies:
    """What the store has of a run's documents.

    Attributes:
        kept: Their bytes there, by name, as far as they were brought or uploaded.
        there: The ids of the folders of cases, where the list is taken at its word for their objects.
    """

    def __init__(self, remote: ObjectPath, folder: Path) -> None:
        self.kept: dict[str, bytes] = {}
        self.there: frozenset[str] | None = None
        self._laid: set[str] = set()  # those of ``kept`` that the folder has, or had
        self._remote, self._folder = remote, folder
        self._etags: dict[str, str] = {}
        self._seal: tuple[bytes, str] | None = None
        self._listed: CaseIndex | None = None

    @property
    def is_sealed(self) -> bool:
        """Whether the list still has the seal of an earlier run; the folder has no copy of the list then."""
        return self._listed is not None

    def bring(self, asked: int | None) -> dict[str, bytes]:
        """Bring what an earlier run left; returns what the folder is to have.

        Args:
            asked: How many cases are to be looked up; the seal of the list stays. None: it is taken away.

        Raises:
            UsageError: the prefix holds something, and no cohort.
        """
        with ThreadPoolExecutor(1) as pool:
            sealing = pool.submit((self._remote / LIST_SEAL_FILE).versioned)
            folders, self._etags = self._remote.entries()
            self._seal = sealing.result()
        if CONFIG_FILE not in self._etags and not case_ids(self._remote, finished=True):
            self._refuse_strangers({*folders, *self._etags})
        seal = Seal.of(self._seal[0]) if self._seal and asked is not None else None
        if seal is None or not self._bring_sealed(seal, asked or 0):
            self._break_seal()
            self._bring_each((MANIFEST_FILE, INDEX_FILE, *_BROUGHT))
        return self.kept

    def _refuse_strangers(self, names: Iterable[str]) -> None:
        if any(name[0] != "." for name in names):
            raise UsageError(
                f"{self._remote} is not empty and holds no gpuprep cohort",
                advice="choose a new prefix",
            )

    def _bring_sealed(self, seal: Seal, asked: int) -> bool:
        """Bring what the seal does not tell; whether the list has not changed since."""
        now = self._etags
        if (seal.place, seal.manifest, seal.index) != (
            self._remote.url,
            now.get(MANIFEST_FILE),
            now.get(INDEX_FILE),
        ):
            return False
        told = {name: row for name, row in seal.documents.items() if now.get(name) == row[0]}
        with ThreadPoolExecutor(1) as pool:
            listing = pool.submit(self._list_cases) if seal.saves(asked) else None
            self._bring_each(set(_BROUGHT) - {MANIFEST_FILE, _CASES_GROUP} - told.keys())
            cases_at = listing.result() if listing else None
        if now.get(INDEX_FILE) != seal.index:  # it was replaced this very moment
            return False
        self._listed = index_of_columns(self.kept.get(INDEX_FILE, b""))
        if self._listed is None:
            return False
        if cases_at is not None:
            self.there, now[_CASES_GROUP] = cases_at
            row = seal.documents.get(_CASES_GROUP)
            told |= {_CASES_GROUP: row} if row and row[0] == now[_CASES_GROUP] else {}
        if _CASES_GROUP not in told:
            self._bring_each([_CASES_GROUP])
        self.kept |= {name: text.encode() for name, (_, text) in told.items()}
        return True

    def _list_cases(self) -> tuple[frozenset[str], str]:
        """The ids of all folders of cases, and the etag of the group beside them; one listing."""
        folders, etags = (self._remote / CASES_FOLDER).entries()
        names = (name for name in folders if name[0] != "." and name.endswith(CASE_SUFFIX))
        return frozenset(name.removesuffix(CASE_SUFFIX) for name in names), etags.get(
            GROUP_FILE, ""
        )

    def _bring_each(self, names: Iterable[str]) -> None:
        """Bring the documents of these names that are there and were not brought yet."""
        near = [name for name in dict.fromkeys(names) if name in self._etags or "/" in name]
        asked = [name for name in near if name not in self.kept]
        with ThreadPoolExecutor(len(asked) or 1) as pool:
            found = pool.map(lambda name: (self._remote / name).versioned(), asked)
            for name, each in zip(asked, found, strict=True):
                self._etags.pop(name, None)
                if each is not None:
                    self.kept[name], self._etags[name] = each

    def index(self) -> CaseIndex:
        """What the list says."""
        return self._listed or read_index(LocalPath(self._folder))

    def unseal(self) -> None:
        """Take the seal away, before a case changes, and bring the list itself.

        Raises:
            StoreError: the store refuses.
        """
        self._break_seal()
        self._bring_each([MANIFEST_FILE])
        self.lay(MANIFEST_FILE)

    def _break_seal(self) -> None:
        if self._seal is not None:
            self._remote.delete([LIST_SEAL_FILE])
        self._seal = self._listed = None

    def lay(self, name: str) -> None:
        """Put a document that was brought into the folder, whole or not at all.

        Until then ``upload`` leaves it alone: what is not here was not removed.

        Raises:
            RunStopped: the disk is full.
            StoreError: the disk refuses otherwise.
        """
        if name in self.kept:
            here = self._folder / name
            with storage_faults(here):
                here.parent.mkdir(exist_ok=True)
                with replaced(here) as partial:
                    partial.write_bytes(self.kept[name])
            self._laid.add(name)

    def upload(self, name: str) -> None:
        """Let the store have a document as it is in the folder, or not have one that the run removed.

        Raises:
            RunStopped: the store takes nothing.
        """
        if name in self.kept and name not in self._laid:
            return
        content = None
        with suppress(FileNotFoundError):
            content = (self._folder / name).read_bytes()
        if content is None:
            if name in self.kept and name in _LEAVING and self._folder.is_dir():
                self._remote.delete([name])
                del self.kept[name]
        elif self.kept.get(name) != content:
            self._etags[name] = (self._remote / name).write(content)
            self.kept[name] = content
            self._laid.add(name)

    def renew_seal(self) -> None:
        """Let an unbroken seal tell the documents as they are now, unless somebody took it away meanwhile."""
        for name in _STEADY:
            self.upload(name)
        if self._seal and self._listed and (seal := self._sealing(self._listed)) != self._seal[0]:
            (self._remote / LIST_SEAL_FILE).swap(seal, self._seal[1])

    def seal(self) -> None:
        """Seal the list if each case that is there agrees with its line; all objects are listed.

        Raises:
            StoreError: the store refuses.
        """
        if MANIFEST_FILE not in self.kept:
            return
        index = index_of(self.kept[MANIFEST_FILE], self.kept.get(INDEX_FILE, b""))
        if agrees(index, sights(self._remote / CASES_FOLDER)):
            (self._remote / LIST_SEAL_FILE).write(self._sealing(index))

    def _sealing(self, index: CaseIndex) -> bytes:
        """The seal of the list as it was brought or uploaded."""
        manifest, packed = self.kept.get(MANIFEST_FILE), self.kept.get(INDEX_FILE, b"")
        whole = self.is_sealed or (manifest is not None and stands_for_bytes(packed, manifest))
        documents = {}
        for name in _STEADY:
            with suppress(KeyError, UnicodeDecodeError):
                if len(self.kept[name]) <= _TOLD:
                    documents[name] = self._etags[name], self.kept[name].decode()
        columns = self._etags[INDEX_FILE] if whole else ""
        manifest_etag, place = self._etags[MANIFEST_FILE], self._remote.url
        seal = Seal(manifest_etag, columns, len(index.places), index.files, documents, place)
        return seal.to_bytes()
