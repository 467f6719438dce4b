"""Claims: objects that say who works on a case or an output, made and taken over by conditional writes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from gpuprep.host.owners import is_gone, mark, owner_in
from gpuprep.store.objects.path import ObjectPath, Stored
from gpuprep.values.errors import GpuprepError, StoreError


class Claim:
    """One object that one process holds. Who holds it is fenced by its etag: a later holder has another.

    Attributes:
        lost: Whether a renewal has found that another holder took it.
    """

    def __init__(self, path: ObjectPath, expires: float = float("inf")) -> None:
        """Name a claim; ``take`` gets it.

        Args:
            path: Its object.
            expires: Seconds without renewal after which another machine's claim counts as dead.
        """
        self.path = path
        self._expires = expires
        self._attempt = mark()
        self._etag: str | None = None
        self.lost = False

    def take(self) -> bool:
        """Get the claim if nobody holds it, or if its holder is dead."""
        self._etag = self.path.create(self._text())
        found = None if self._etag else self.path.stat()
        if found is not None and self._is_over(found):
            self._etag = self.path.swap(self._text(), found.etag)
        return self._etag is not None

    def renew(self) -> bool:
        """Show that the holder lives; False if another one took over."""
        if self._etag is not None:
            self._etag = self.path.swap(self._text(), self._etag)
            self.lost = self._etag is None
        return self._etag is not None

    def is_held(self) -> bool:
        """Whether nobody took over."""
        found = self.path.stat()
        return found is not None and found.etag == self._etag

    def release(self) -> None:
        """Give the claim up; one that another holder took stays."""
        if self.is_held():
            folder, _, name = self.path.url.rpartition("/")
            ObjectPath(folder).delete([name])
        self._etag = None

    def _text(self) -> bytes:
        return json.dumps({"attempt": self._attempt, "at": time.time()}).encode()

    def _is_over(self, found: Stored) -> bool:
        try:
            text = bytes(self.path.read(etag=found.etag)[0])
        except StoreError:
            return False  # renewed or released meanwhile
        gone = is_gone(owner_in(json.loads(text)["attempt"]))
        if gone is not None:
            return gone
        return (datetime.now(UTC) - found.modified).total_seconds() > self._expires


@contextmanager
def renewed(claim: Claim, every: float, meanwhile: Callable[[], None]) -> Iterator[None]:
    """Renew a claim every so many seconds as long as the block runs, then release it.

    ``meanwhile`` is called after each renewal.
    """
    over = threading.Event()

    def renew() -> None:
        while not over.wait(every) and not claim.lost:
            try:
                if claim.renew():
                    meanwhile()
            except (GpuprepError, OSError):
                continue  # the store did not answer; the next try may still come in time

    thread = threading.Thread(target=renew, name="gpuprep-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        claim.release()
