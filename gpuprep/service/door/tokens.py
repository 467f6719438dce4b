"""Who may use a service: tokens, of which it keeps only hashes.

A token is 256 random bits, so a plain SHA-256 hides it; nothing is to be guessed. One line of
``tokens.jsonl`` says whose it is and what it opens.
"""

from __future__ import annotations

import fcntl
import fnmatch
import hashlib
import json
import os
import re
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from prometheus_client.core import GaugeMetricFamily, Metric

from gpuprep.host.atomic import replaced
from gpuprep.service.settings import NAME
from gpuprep.values.errors import CorruptStoreError, GpuprepError, UsageError

TOKENS_FILE = "tokens.jsonl"
_PREFIX = "gpr_"  # for tools that look for secrets in files

Scope = Literal["read", "submit", "admin"]
_ORDER = {scope: rank for rank, scope in enumerate(get_args(Scope))}


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever asks: a name, and what it may do.

    ``read`` sees jobs and cohorts, ``submit`` also starts and ends its own, ``admin`` those of all.
    """

    name: str
    scope: Scope = "read"
    roots: tuple[str, ...] = ("*",)
    """Patterns of the roots it may take input from."""
    cohorts: tuple[str, ...] = ("*",)
    """Patterns of the cohorts it may see, and make."""

    def has(self, scope: Scope) -> bool:
        return _ORDER[self.scope] >= _ORDER[scope]

    def may_see(self, cohort: str) -> bool:
        return any(fnmatch.fnmatchcase(cohort, pattern) for pattern in self.cohorts)

    def may_use(self, root: str) -> bool:
        return any(fnmatch.fnmatchcase(root, pattern) for pattern in self.roots)

    def may_change(self, owner: str) -> bool:
        """Whether it may end or repeat a job of that name."""
        return self.scope == "admin" or (self.has("submit") and owner == self.name)


class Tokens:
    """The tokens of a service; the file is read again when it has changed.

    ``fault`` says why it could not be read when it last had; empty where it could.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / TOKENS_FILE
        self._stamp: tuple[int, ...] | None = None
        self._known: dict[str, Principal] = {}
        self.fault = ""

    def find(self, token: str) -> Principal | None:
        """Whose token this is. What is compared is the hash, so time tells nothing about tokens.

        A file that cannot be read shuts nobody out: the tokens that were last read count on.
        """
        try:
            self.refresh()
        except (GpuprepError, OSError) as error:
            if str(error) != self.fault:
                self.fault = str(error)
                print(
                    f"gpuprep: tokens as last read count on: {error}", file=sys.stderr, flush=True
                )
        return self._known.get(hashed(token))

    def add(self, principal: Principal) -> str:
        """A new token for someone; it is not kept and cannot be shown again.

        Raises:
            UsageError: the name is none, or taken.
        """
        if not re.fullmatch(NAME, principal.name):
            raise UsageError(
                f"{principal.name!r} is no name; use letters, digits, '.', '_' and '-'"
            )
        token = _PREFIX + secrets.token_urlsafe(32)
        with self._changing() as known:
            if any(each.name == principal.name for each in known.values()):
                name = principal.name
                raise UsageError(
                    f"there is a token of the name {name}",
                    advice=f"take another name, or end it with: gpuprep serve token {name} --revoke",
                )
            known[hashed(token)] = principal
        return token

    def revoke(self, name: str) -> None:
        """End a token. Raises UsageError where there is none of that name."""
        with self._changing() as known:
            ended = [digest for digest, each in known.items() if each.name == name]
            if not ended:
                raise UsageError(
                    f"there is no token of the name {name}",
                    advice="gpuprep serve token --list tells which there are",
                )
            for digest in ended:
                del known[digest]

    def names(self) -> Sequence[Principal]:
        """All principals, by name. Raises CorruptStoreError where the file cannot be read."""
        self.refresh()
        return sorted(self._known.values(), key=lambda known: known.name)

    def refresh(self) -> None:
        """Read the file if it has changed; without one there are no tokens.

        Raises:
            CorruptStoreError: a line of it says nothing; what was read before stays.
        """
        try:
            status = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._known, self._stamp, self.fault = {}, None, ""
            return
        stamp = status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size
        if stamp != self._stamp:
            self._known = dict(_parse(self._path))
            self._stamp, self.fault = stamp, ""

    def collect(self) -> Iterator[Metric]:
        """Whether the file could be read, for Prometheus."""
        yield GaugeMetricFamily(
            "gpuprep_tokens_unreadable",
            "1 while the file of tokens cannot be read, and those read before count on.",
            bool(self.fault),
        )

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Principal]]:
        """The tokens by their hashes, to be changed; one process at a time."""
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            self.refresh()
            known = dict(self._known)
            yield known
            self._write(known)
        finally:
            os.close(folder)

    def _write(self, known: dict[str, Principal]) -> None:
        with replaced(self._path, fsync=True) as partial:
            partial.unlink(missing_ok=True)  # what a crash left there may be open to all
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                for digest, principal in known.items():
                    file.write(json.dumps({"sha256": digest, **asdict(principal)}) + "\n")


def hashed(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _parse(path: Path) -> Sequence[tuple[str, Principal]]:
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            found.append(_principal(json.loads(line)))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise CorruptStoreError(
                f"{path}, line {number}: {what}", advice="mend or remove the line"
            ) from None
    return found


def _principal(tree: dict[str, object]) -> tuple[str, Principal]:
    """The hash of a token, and whose it is. Nothing is guessed: a pattern too many opens too much."""
    name, scope, digest = tree["name"], tree["scope"], tree["sha256"]
    if not (isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest)):
        raise ValueError("sha256 is no hash")
    if not (isinstance(name, str) and re.fullmatch(NAME, name)):
        raise ValueError(f"{name!r} is no name")
    if scope not in _ORDER:
        raise ValueError(f"unknown scope {scope!r}")
    patterns = {}
    for key in ("roots", "cohorts"):
        given = tree[key]
        if not (isinstance(given, list) and all(isinstance(each, str) for each in given)):
            raise ValueError(f"{key} is no list of patterns")
        patterns[key] = tuple(given)
    return digest, Principal(name, scope, **patterns)  # type: ignore[arg-type]
