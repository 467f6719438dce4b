"""Who may use a service: tokens, of which it keeps only hashes.

A token is 256 random bits, so a plain SHA-256 hides it; nothing is to be guessed. One line of
``tokens.jsonl`` says whose it is and what it opens.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from gpuprep.host.atomic import replaced
from gpuprep.service.settings import NAME
from gpuprep.values.errors import CorruptStoreError, UsageError

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
    """The tokens of a service; the file is read again when it has changed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / TOKENS_FILE
        self._stamp: tuple[int, int] | None = None
        self._known: dict[str, Principal] = {}

    def find(self, token: str) -> Principal | None:
        """Whose token this is. What is compared is the hash, so time tells nothing about tokens."""
        self._refresh()
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
        self._refresh()
        if any(known.name == principal.name for known in self._known.values()):
            raise UsageError(
                f"there is a token of the name {principal.name}",
                advice=f"take another name, or end it with: gpuprep serve token {principal.name} --revoke",
            )
        token = _PREFIX + secrets.token_urlsafe(32)
        self._write({**self._known, hashed(token): principal})
        return token

    def revoke(self, name: str) -> None:
        """End a token. Raises UsageError where there is none of that name."""
        self._refresh()
        kept = {digest: known for digest, known in self._known.items() if known.name != name}
        if len(kept) == len(self._known):
            raise UsageError(f"there is no token of the name {name}")
        self._write(kept)

    def names(self) -> Sequence[Principal]:
        """All principals, by name."""
        self._refresh()
        return sorted(self._known.values(), key=lambda known: known.name)

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._known, self._stamp = {}, None
            return
        stamp = status.st_mtime_ns, status.st_ino
        if stamp != self._stamp:
            self._known = dict(_parse(self._path))
            self._stamp = stamp

    def _write(self, known: dict[str, Principal]) -> None:
        with replaced(self._path, fsync=True) as partial:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                for digest, principal in known.items():
                    file.write(json.dumps({"sha256": digest, **asdict(principal)}) + "\n")


def hashed(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _parse(path: Path) -> Sequence[tuple[str, Principal]]:
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            tree = json.loads(line)
            if tree["scope"] not in _ORDER:
                raise ValueError(f"unknown scope {tree['scope']!r}")
            patterns = {name: tuple(map(str, tree[name])) for name in ("roots", "cohorts")}
            principal = Principal(str(tree["name"]), tree["scope"], **patterns)
            found.append((str(tree["sha256"]), principal))
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptStoreError(
                f"{path}, line {number}: {error}", advice="mend or remove the line"
            ) from None
    return found
