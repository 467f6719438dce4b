"""Where a run works: its output folder, or a local folder whose documents are kept in an object store.

Objects cannot be appended to. So a run on a store writes manifest, failures and config into a folder of its
own, as every run does, and uploads those that changed: at the start, every so many seconds, and at the end.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gpuprep.host.atomic import make_folder, replaced
from gpuprep.host.scratch import scratch_folder, temporary_files
from gpuprep.ledger.copies import DOCUMENTS, Copies
from gpuprep.ledger.output import unwritable
from gpuprep.store.commit import sweep
from gpuprep.store.files import storage_faults
from gpuprep.store.index import CaseIndex, read_index
from gpuprep.store.layout import INDEX_FILE, MANIFEST_FILE, STAGING_FOLDER
from gpuprep.store.local import LocalPath
from gpuprep.store.objects.claims import Claim, renewed
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.objects.upload import RUN_CLAIM, sweep_uploads
from gpuprep.store.places import holds_cases, to_place
from gpuprep.values.errors import RunStopped, StoreError, UsageError

_GROWING = (MANIFEST_FILE, INDEX_FILE)
_SMALL = 1 << 20  # bytes that may be uploaded at every change
_RENEWED_EVERY = 20.0  # seconds; readers of the state give a silent run 60
_EXPIRES = 300.0


class Hold:
    """The folder a run works in, held by this run alone."""

    def __init__(
        self, folder: Path, remote: ObjectPath | None = None, claim: Claim | None = None
    ) -> None:
        """Name a folder, and for an output on a store where it is, and the claim on it."""
        self.folder, self.remote = folder, remote
        self._claim = claim
        self._copies = None if remote is None else Copies(remote, folder)
        self._sizes: dict[str, int] = {}
        self._keeping = threading.Lock()

    @property
    def url(self) -> str:
        """Where cases are published; empty for the folder itself."""
        return self.remote.url if self.remote else ""

    @property
    def is_sealed(self) -> bool:
        """Whether no case was changed yet, and the list of cases on the store is still sealed."""
        return self._copies is not None and self._copies.is_sealed

    @property
    def there(self) -> frozenset[str] | None:
        """The ids of the folders of cases, if the sealed list is to be trusted with what is in them."""
        return None if self._copies is None else self._copies.there

    def holds_cases(self) -> bool:
        """Whether any finished case is published; under the seal the list is taken at its word."""
        listed = self.index() if self.is_sealed else None
        if listed is not None and (listed.places or listed.brief):
            return True
        return bool(self.there) or holds_cases(self.remote or LocalPath(self.folder))

    def index(self) -> CaseIndex:
        """What the list of cases says; under the seal there is no ``manifest.jsonl`` in the folder."""
        return self._copies.index() if self._copies else read_index(LocalPath(self.folder))

    def keep(self, *, last: bool = False) -> None:
        """Upload the documents that changed.

        Lists that grow with every case, which the cases tell again, wait until they have grown by a quarter.

        Args:
            last: Upload these lists, too, however little they have grown.

        Raises:
            RunStopped: another run took the output over, or the store takes nothing.
        """
        if self._copies is None:
            return
        self._check_claim()
        with self._keeping:
            for name in DOCUMENTS:
                if last or not self._may_wait(name, self._copies):
                    self._copies.upload(name)

    def _check_claim(self) -> None:
        if self._claim and self._claim.lost:
            raise RunStopped(
                f"{self.remote}: another run took this output over, for the store did not hear from "
                f"this one for {_EXPIRES:.0f} s",
                advice="wait for the other run, then run the same command again",
            )

    def keep_unless_sealed(self) -> None:
        """The same, but that a run which may find nothing to do has nothing to tell yet."""
        if not self.is_sealed:
            self.keep()

    def _may_wait(self, name: str, copies: Copies) -> bool:
        """Whether a list has grown too little to be uploaded as a whole once more."""
        sent = len(copies.kept.get(name, b""))
        if name not in _GROWING or sent < _SMALL:
            return False
        try:
            size = (self.folder / name).stat().st_size
        except FileNotFoundError:
            return False
        return sent <= size < sent + sent // 4

    def fetch(self, asked: int | None = None) -> None:
        """Bring the documents of an earlier run.

        Args:
            asked: How many cases may be looked up before one changes; the seal of the list stays until
                ``unseal``. None: it is taken away now.

        Raises:
            UsageError: the prefix holds something, and no cohort.
        """
        if self._copies is None:
            return
        with self._keeping:  # what is not here yet must not look as if it had been removed
            for name in self._copies.bring(asked):
                self._copies.lay(name)

    def unseal(self) -> None:
        """Be ready to change cases and their list. To be called before; under no seal it does nothing.

        Raises:
            RunStopped: another run took the output over, or the store takes nothing.
            StoreError: the store refuses.
        """
        if self._copies is None or not self._copies.is_sealed:
            return
        self._check_claim()
        with self._keeping:
            self._copies.unseal()
        self._sweep_store()
        self.keep()

    def bring(self, name: str) -> None:
        """Bring a file of an earlier run that is too large to be kept up all the time, as it is needed.

        Raises:
            RunStopped: the disk is full.
            StoreError: disk or store refuse otherwise.
        """
        here = self.folder / name
        if self.remote is not None and not here.exists() and (self.remote / name).is_file():
            content = (self.remote / name).read_bytes()
            with storage_faults(here), replaced(here) as partial:
                partial.write_bytes(content)
            self._sizes[name] = here.stat().st_size

    def send(self, name: str) -> None:
        """Upload such a file where it has changed."""
        here = self.folder / name
        if self.remote is None or not here.exists():
            return
        if self._sizes.get(name) != (size := here.stat().st_size):
            (self.remote / name).write(here.read_bytes())
            self._sizes[name] = size

    def seal_list(self) -> None:
        """Upload the list, and seal it if each case is as its line says (see ``list_seal``).

        A seal that was not taken away stays, and tells the documents as they are now.

        Raises:
            RunStopped: another run took the output over, or the store takes nothing.
        """
        if self._copies is None:
            return
        with suppress(StoreError):  # a list without a seal is as good, and slower
            if self._copies.is_sealed:
                self._check_claim()
                with self._keeping:
                    self._copies.renew_seal()
                return
            self.keep(last=True)
            self._copies.seal()

    def sweep(self) -> None:
        """Remove what dead attempts left; nothing runs now. Under the seal of a list there is nothing."""
        sweep(self.folder)
        if not self.is_sealed:
            self._sweep_store()

    def _sweep_store(self) -> None:
        if self.remote is not None and not (self._claim and self._claim.lost):
            sweep_uploads(self.remote)


@contextmanager
def hold(output: str | Path | ObjectPath, *, asked: int | None = None) -> Iterator[Hold]:
    """Hold an output, a folder or the URL of a store, for one run.

    Args:
        output: The output.
        asked: As for ``Hold.fetch``.

    Raises:
        UsageError: another run holds it, it cannot be written, or is no cohort's.
        BackendError: a URL needs the extra ``s3``.
    """
    place = to_place(output)
    if isinstance(place, Path):
        root = place.resolve()
        with lock(root):
            yield Hold(root)
        return
    claim = Claim(place / STAGING_FOLDER / RUN_CLAIM, _EXPIRES)
    if not claim.take():
        raise UsageError(
            f"another run is working on {place}",
            advice=f"wait for it; a run that died elsewhere is forgotten after {_EXPIRES:.0f} s",
        )
    with scratch_folder("gpuprep-hold-") as folder:
        held = Hold(folder, place, claim)
        with renewed(claim, _RENEWED_EVERY, held.keep):
            held.fetch(asked)
            try:
                yield held
            finally:
                held.keep(last=True)


@contextmanager
def lock(root: Path) -> Iterator[None]:
    """Hold the output folder for this run; a second run on it is refused. The kernel lets go with us.

    Raises:
        UsageError: another run holds it, or the folder may not be written.
        StoreFault: the disk failed.
    """
    with ExitStack() as stack:
        try:
            make_folder(root)
            handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            stack.enter_context(temporary_files(root / STAGING_FOLDER))
        except BlockingIOError:
            raise UsageError(
                f"another run is working on {root}", advice="wait for it, or choose another output"
            ) from None
        except OSError as error:
            raise unwritable(root, error) from None
        yield
