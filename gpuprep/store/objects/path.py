"""Objects behind a URL (``s3://bucket/prefix``, ``gs://``, ``az://``): what a path is to files.

Requests go through obstore, which retries what a service asks to try again (5xx, throttling, lost
connections) with growing pauses. Credentials come from the environment or the machine's role, never from
a URL. obstore's threads do not survive ``fork``: a forked child gets an error, never a hang.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from gpuprep.store.files import DOCUMENT_LIMIT, CaseVersion, bounded, replaced_meanwhile
from gpuprep.store.layout import CASE_SUFFIX, CONFIG_FILE, RECORD_FILE
from gpuprep.store.objects.endpoint import plain_http_allowed
from gpuprep.store.objects.library import load_obstore, object_faults, refuse_forked
from gpuprep.values.errors import (
    CorruptStoreError,
    RunStopped,
    StoreError,
    UsageError,
)

RETRIES = 8
RETRY_TIME = timedelta(seconds=120)


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store says about an object: its version (``etag``), size in bytes and time of writing."""

    etag: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class ObjectPath:
    """One key of an object store, or the prefix of many; names are put together with ``/``.

    What ``LocalPath`` can do too is described there.
    """

    url: str

    def __truediv__(self, name: str) -> ObjectPath:
        return ObjectPath(f"{self.url}/{name}")

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def _key(self) -> str:
        return self.url.split("/", 3)[3]

    @property
    def _base(self) -> str:
        return "/".join(self.url.split("/", 3)[:3])

    @property
    def _store(self) -> Any:
        """The store of the bucket, opened once per process."""
        refuse_forked(self._base)
        return _connect(self._base)

    def _faults(
        self, kind: type[StoreError] | type[RunStopped] = StoreError
    ) -> AbstractContextManager[None]:
        return object_faults(self, kind)

    def stat(self) -> Stored | None:
        """What is stored under this key; None for nothing."""
        with self._faults():
            try:
                return _stored(load_obstore().head(self._store, self._key))
            except FileNotFoundError:
                return None

    def is_file(self) -> bool:
        return self.stat() is not None

    def is_cohort(self) -> bool:
        return (self / CONFIG_FILE).is_file()

    def stamp(self) -> tuple[int, int] | None:
        return None  # the time is that of an upload, and asking is a request

    def version(self) -> CaseVersion | None:
        stored = (self / RECORD_FILE).stat()
        return None if stored is None else (stored.etag,)

    def document(self, name: str, *, version: CaseVersion | None = None) -> bytes:
        text, stored = (self / name).read((0, DOCUMENT_LIMIT + 1))
        own = (stored.etag,) if name == RECORD_FILE else None  # a record tells by itself
        if version is not None and (own or self.version()) != version:
            raise replaced_meanwhile(self)
        return bounded(bytes(text), self / name)

    def read(
        self, part: tuple[int, int] | dict[str, int] | None = None, *, etag: str | None = None
    ) -> tuple[Any, Stored]:
        """The bytes of the object and what it is.

        Args:
            part: First byte and the one behind the last, or ``{"suffix": bytes}``; None for all.
            etag: The version it must have.

        Raises:
            CorruptStoreError: there is no such object.
            StoreError: it has another version by now, or the store refuses.
        """
        options: dict[str, Any] = {} if part is None else {"range": part}
        if etag is not None:
            options["if_match"] = etag
        with self._faults():
            try:
                found = load_obstore().get(self._store, self._key, options=options)
                return found.bytes(), _stored(found.meta)
            except FileNotFoundError:
                raise CorruptStoreError(
                    f"{self}: there is no such object", advice="run the case again"
                ) from None

    def read_bytes(self) -> bytes:
        """The whole object; raises as ``read`` does."""
        return bytes(self.read()[0])

    def create(self, content: bytes) -> str | None:
        """Store an object where there is none; returns its etag, None where another one is there.

        A retried request may find its own first try: the same bytes count as stored.
        """
        with self._faults(RunStopped):
            try:
                put = load_obstore().put(
                    self._store, self._key, content, mode="create", use_multipart=False
                )
                return str(put["e_tag"])
            except load_obstore().exceptions.AlreadyExistsError:
                return self._etag_if(content)

    def swap(self, content: bytes, etag: str) -> str | None:
        """Put ``content`` in the place of version ``etag``; returns the new etag, None where it is gone."""
        with self._faults(RunStopped):
            try:
                put = load_obstore().put(self._store, self._key, content, mode={"e_tag": etag})
                return str(put["e_tag"])
            except (load_obstore().exceptions.PreconditionError, FileNotFoundError):
                return self._etag_if(content)

    def write(self, content: bytes) -> str:
        """Store an object, whatever was there; returns its etag."""
        with self._faults(RunStopped):
            return str(load_obstore().put(self._store, self._key, content)["e_tag"])

    def _etag_if(self, content: bytes) -> str | None:
        found = self.versioned()  # one read: what is there may go at any moment
        return found[1] if found is not None and found[0] == content else None

    def content(self) -> bytes | None:
        found = self.versioned()
        return None if found is None else found[0]

    def versioned(self) -> tuple[bytes, str] | None:
        """The whole object and its etag; None where nothing is there."""
        with suppress(CorruptStoreError):
            content, stored = self.read()
            return bytes(content), stored.etag
        return None

    def blocks(self) -> Iterator[bytes]:
        yield self.read_bytes()

    def lines(self) -> Iterator[bytes]:
        yield from (self.content() or b"").splitlines()

    def files(self) -> Iterator[tuple[str, int]]:
        return ((name, size) for name, size, _ in self.objects())

    def folders(self) -> set[str]:
        return self.entries()[0]

    def entries(self) -> tuple[set[str], dict[str, str]]:
        """The names of folders right below this prefix, and the etag of each object there by its name."""
        start = len(self._key) + 1
        with self._faults():
            found = load_obstore().list_with_delimiter(self._store, self._key)
        etags = {row["path"][start:]: str(row["e_tag"]) for row in found["objects"]}
        return {prefix[start:] for prefix in found["common_prefixes"]}, etags

    def versions(self) -> dict[str, CaseVersion]:
        return dict(self.each_version())

    def each_version(self) -> Iterator[tuple[str, CaseVersion]]:
        for path, _, etag in self.objects():
            name, _, rest = path.partition("/")
            if rest == RECORD_FILE and name.endswith(CASE_SUFFIX) and name[0] != ".":
                yield name.removesuffix(CASE_SUFFIX), (etag,)

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        found = dict(self.files())
        return {name: found[name] for name in names if name in found}

    def objects(self) -> Iterator[tuple[str, int, str]]:
        """Name, size and etag of every object below this prefix, in order, a thousand with each request."""
        start = len(self._key) + 1
        with self._faults():
            for page in load_obstore().list(self._store, f"{self._key}/"):
                for row in page:
                    yield row["path"][start:], row["size"], str(row["e_tag"])

    def copy(self, name: str, target: ObjectPath) -> None:
        """Let the store copy an object below this prefix to another key of the bucket."""
        with object_faults(self / name, RunStopped):
            load_obstore().copy(self._store, (self / name)._key, target._key)

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects below this prefix; absent ones are passed over."""
        keys = [f"{self._key}/{name}" for name in names]
        with self._faults(RunStopped):
            if keys:
                load_obstore().delete(self._store, keys)


def _stored(row: Any) -> Stored:
    return Stored(str(row["e_tag"]), int(row["size"]), row["last_modified"])


@cache
def _connect(bucket: str) -> Any:
    load_obstore()
    from obstore.store import from_url

    options: dict[str, Any] = {"allow_http": True} if plain_http_allowed(bucket) else {}
    try:
        return from_url(
            bucket,
            client_options=options or None,
            retry_config={"max_retries": RETRIES, "retry_timeout": RETRY_TIME},
        )
    except (load_obstore().exceptions.BaseError, ValueError) as error:
        raise UsageError(f"{bucket}: {str(error).partition(chr(10))[0]}") from error
