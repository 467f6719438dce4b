"""A cohort behind HTTP (``https://host/v1/zarr/NAME``): read like one on an object store, and only read.

A service lists its cases and gives tags to its files. Any other server that gives byte ranges will do; then
the cohort's own list says which cases there are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from gpuprep.store.files import CaseVersion
from gpuprep.store.layout import CASE_SUFFIX, CASES_FOLDER, CONFIG_FILE
from gpuprep.store.objects.endpoint import token_may_travel
from gpuprep.store.objects.library import load_obstore, refuse_forked
from gpuprep.store.objects.path import RETRIES, RETRY_TIME, ObjectPath
from gpuprep.values.errors import RunStopped, StoreError, StoreFault, UsageError

TOKEN_VARIABLE = "GPUPREP_TOKEN"

_FIRST_RETRIES = 2  # a server that never answered is rather not there than being restarted
_SERVICE = ("/v1/zarr/", "/v1/zarr32/")
_met: set[str] = set()  # servers that answered this process


@dataclass(frozen=True, slots=True)
class Token:
    """What lets its holder read; no text of an error or an object shows it."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class HttpPath(ObjectPath):
    """One file behind HTTP, or the folder of many, and the token it is asked for with."""

    token: Token | None = None

    def __truediv__(self, name: str) -> HttpPath:
        return HttpPath(f"{self.url}/{name}", self.token)

    def __str__(self) -> str:
        return self.url

    @property
    def _store(self) -> Any:
        refuse_forked(self._base)
        retries = RETRIES if self._base in _met else _FIRST_RETRIES
        return _connect(self._base, self.token, retries)

    def is_cohort(self) -> bool:
        """True; raises StoreError that says what is wrong where it is not."""
        if (self / CONFIG_FILE).is_file() or (self / CASES_FOLDER).is_file():
            return True
        raise StoreError(
            f"{self}: the server has no such cohort, or does not show it to this token",
            advice="check the name in the URL, http(s)://HOST/v1/zarr/NAME, and what the token may read",
        )

    def document(self, name: str, *, version: CaseVersion | None = None) -> bytes:
        unseen = version is not None and len(version) > 1  # known from a list that has no tags
        return ObjectPath.document(self, name, version=None if unseen else version)

    def versions(self) -> dict[str, CaseVersion]:
        """Which record each case in this folder has, by id, as the service lists them."""
        if (listed := self._listed()) is not None:
            return {case: (tag,) for case, tag in listed.items()}
        from gpuprep.store.listing_only import versions_by_list

        return versions_by_list(HttpPath(self.url.rpartition("/")[0], self.token))

    def each_version(self) -> Iterator[tuple[str, CaseVersion]]:
        return iter(self.versions().items())

    def _listed(self) -> dict[str, str] | None:
        """The tag of each case's record by id; None from a server that does not list cases."""
        try:
            told = json.loads(self.read_bytes())["cases"]
            return {str(case): str(tag) for case, tag in told.items()}
        except (StoreError, ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, StoreFault):
                raise
            return None

    def folders(self) -> set[str]:
        return {f"{case}{CASE_SUFFIX}" for case in self.versions()}

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        found = ((name, (self / name).stat()) for name in names)
        return {name: stored.size for name, stored in found if stored is not None}

    def objects(self) -> Iterator[tuple[str, int, str]]:
        raise UsageError(
            f"{self}: files behind HTTP cannot be listed",
            advice="do this on the machine of the service, where the cohort lies",
        )

    def _read_only(self, *_: object, **__: object) -> NoReturn:
        raise UsageError(
            f"{self}: what lies behind HTTP is only read",
            advice="submit a job to the service, or write to a folder or an s3:// URL",
        )

    create = swap = write = copy = delete = _read_only

    @contextmanager
    def _faults(self, kind: type[StoreError] | type[RunStopped] = StoreError) -> Iterator[None]:
        """Turns what a server answers, or that none does, into StoreError; ``kind`` is for writing."""
        faults = load_obstore().exceptions
        try:
            yield
        except faults.PreconditionError:
            raise StoreError(
                f"{self}: the file was replaced while it was open",
                advice="open the cohort again to read the case that is there now",
            ) from None
        except faults.UnauthenticatedError:
            told = "needs a token" if self.token is None else "does not know this token"
            raise StoreError(
                f"{self}: the server {told} (401)",
                advice=f"give token=… or set {TOKEN_VARIABLE}; 'gpuprep serve token' makes one",
            ) from None
        except faults.PermissionDeniedError:
            raise StoreError(
                f"{self}: the server does not let this token read it (403)",
                advice="ask for a token that may read this cohort",
            ) from None
        except (
            faults.BaseError
        ) as error:  # not as its cause: what a server sends may repeat the token
            raise self._no_answer(str(error).partition("\n")[0]) from None
        _met.add(self._base)

    def _no_answer(self, reason: str) -> StoreFault:
        reason = reason.rpartition(" - ")[2]
        if self.token is not None:
            reason = reason.replace(self.token.value, "…")
        return StoreFault(
            f"{self}: {reason}",
            advice=f"see whether the service runs at {self._base} and can be reached from here",
        )


def http_path(url: str, token: str | None = None) -> HttpPath:
    """A URL checked, with its token: the one given, or of the environment for the URL of a service.

    Raises:
        UsageError: it has no host or path, holds a user, a password or a query, or the token would go
            unencrypted to another machine.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            f"{parts.scheme}://...: a URL of a cohort must not hold a user, a password or a query",
            advice=f"give token=… or set {TOKEN_VARIABLE}",
        )
    if not parts.hostname or len(parts.path) < 2:
        raise UsageError(f"{url}: a host and a path are needed, as in https://host/v1/zarr/NAME")
    if not token and any(part in parts.path for part in _SERVICE):
        token = os.environ.get(TOKEN_VARIABLE)
    if token:
        token_may_travel(url)
    if "/v1/zarr32/" in f"{parts.path}/":
        raise UsageError(
            f"{url}: this view is for tools without float16",
            advice="gpuprep reads the files themselves, from /v1/zarr/ instead of /v1/zarr32/",
        )
    base = f"{parts.scheme}://{parts.netloc}"
    return HttpPath(base + unquote(parts.path.rstrip("/")), Token(token) if token else None)


@cache
def _connect(base: str, token: Token | None, retries: int) -> Any:
    load_obstore()
    from obstore.store import HTTPStore

    options: dict[str, Any] = {"allow_http": base.startswith("http://")}
    if token is not None:
        options["default_headers"] = {"authorization": f"Bearer {token.value}"}
    try:
        return HTTPStore(
            base,
            client_options=options,
            retry_config={"max_retries": retries, "retry_timeout": RETRY_TIME},
        )
    except (load_obstore().exceptions.BaseError, ValueError):
        raise UsageError(
            f"{base}: not the URL of a server, or the token is not plain text"
        ) from None
