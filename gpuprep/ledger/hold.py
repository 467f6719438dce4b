"""Where a run works: its output folder, or a local folder whose documents are kept in an object store.

Objects cannot be appended to. So a run on a store writes manifest, failures and config into a folder of its
own, as every run does, and uploads those that changed: at the start, every so many seconds, and at the end.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gpuprep.host.atomic import make_folder
from gpuprep.host.scratch import scratch_folder, temporary_files
from gpuprep.ledger.output import unwritable
from gpuprep.store.commit import sweep
from gpuprep.store.index import index_of
from gpuprep.store.layout import (
    AGREEMENT_FILE,
    ATTEMPTS_FILE,
    CASES_FOLDER,
    CONFIG_FILE,
    FAILURES_FILE,
    FINGERPRINT_FILE,
    GROUP_FILE,
    INDEX_FILE,
    INPUTS_FILE,
    LIST_SEAL_FILE,
    MANIFEST_FILE,
    REPORT_FILE,
    STAGING_FOLDER,
    STATUS_FILE,
    WITHDRAWN_FILE,
)
from gpuprep.store.list_seal import agrees, seal_of
from gpuprep.store.objects.claims import Claim, renewed
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.objects.upload import RUN_CLAIM, sweep_uploads
from gpuprep.store.places import case_ids, case_versions, to_place
from gpuprep.values.errors import RunStopped, StoreError, UsageError

_DOCUMENTS = (
    CONFIG_FILE,
    AGREEMENT_FILE,
    FINGERPRINT_FILE,
    MANIFEST_FILE,
    INDEX_FILE,
    INPUTS_FILE,
    WITHDRAWN_FILE,
    FAILURES_FILE,
    ATTEMPTS_FILE,
    REPORT_FILE,
    STATUS_FILE,
    GROUP_FILE,
    f"{CASES_FOLDER}/{GROUP_FILE}",
)
_GROWING = (MANIFEST_FILE, INDEX_FILE)
_SMALL = 1 << 20  # bytes that may be uploaded at every change
_RENEWED_EVERY = 20.0  # seconds; readers of the state give a silent run 60
_EXPIRES = 300.0


@dataclass(frozen=True, slots=True)
class Hold:
    """The folder a run works in, held by this run alone."""

    folder: Path
    remote: ObjectPath | None = None
    claim: Claim | None = None
    _kept: dict[str, bytes] = field(default_factory=dict)
    _etags: dict[str, str] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)
    _keeping: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """Where cases are published; empty for the folder itself."""
        return self.remote.url if self.remote else ""

    def keep(self, *, last: bool = False) -> None:
        """Upload the documents that changed.

        Lists that grow with every case, which the cases tell again, wait until they have grown by a quarter.

        Args:
            last: Upload these lists, too, however little they have grown.

        Raises:
            RunStopped: another run took the output over, or the store takes nothing.
        """
        if self.remote is None:
            return
        if self.claim and self.claim.lost:
            raise RunStopped(
                f"{self.remote}: another run took this output over, for the store did not hear from "
                f"this one for {_EXPIRES:.0f} s",
                advice="wait for the other run, then run the same command again",
            )
        with self._keeping:
            for name in _DOCUMENTS:
                if last or not self._may_wait(name):
                    self._keep_document(self.remote, name)

    def _may_wait(self, name: str) -> bool:
        """Whether a list has grown too little to be uploaded as a whole once more."""
        sent = len(self._kept.get(name, b""))
        if name not in _GROWING or sent < _SMALL:
            return False
        try:
            size = (self.folder / name).stat().st_size
        except FileNotFoundError:
            return False
        return sent <= size < sent + sent // 4

    def _keep_document(self, remote: ObjectPath, name: str) -> None:
        content = None
        with suppress(FileNotFoundError):
            content = (self.folder / name).read_bytes()
        if content is None:
            if name in self._kept:
                remote.delete([name])
                del self._kept[name]
        elif self._kept.get(name) != content:
            self._etags[name] = (remote / name).write(content)
            self._kept[name] = content

    def fetch(self) -> None:
        """Bring the documents of an earlier run.

        Raises:
            UsageError: the prefix holds something, and no cohort.
        """
        if (remote := self.remote) is None:
            return
        names = (*_DOCUMENTS, LIST_SEAL_FILE)
        with ThreadPoolExecutor(len(names)) as pool:
            contents = pool.map(lambda name: (remote / name).versioned(), names)
            found = dict(zip(names, contents, strict=True))
        present = {name: each[0] for name, each in found.items() if each is not None}
        seal = present.pop(LIST_SEAL_FILE, None)
        if seal is not None:  # before any case may change
            remote.delete([LIST_SEAL_FILE])
        if (listed := found[MANIFEST_FILE]) is not None:
            self._etags[MANIFEST_FILE] = listed[1]
            if seal == seal_of(listed[1]):
                self._kept[LIST_SEAL_FILE] = seal
        lost = CONFIG_FILE not in present and not case_ids(remote, finished=True)
        if lost and any(name[0] != "." for name, _ in remote.files()):
            raise UsageError(
                f"{remote} is not empty and holds no gpuprep cohort",
                advice="choose a new prefix",
            )
        with self._keeping:  # what is not here yet must not look as if it had been removed
            for name, content in present.items():
                self._kept[name] = content
                (self.folder / name).parent.mkdir(exist_ok=True)
                (self.folder / name).write_bytes(content)

    def bring(self, name: str) -> None:
        """Bring a file of an earlier run that is too large to be kept up all the time, as it is needed."""
        here = self.folder / name
        if self.remote is not None and not here.exists() and (self.remote / name).is_file():
            here.write_bytes((self.remote / name).read_bytes())
            self._sizes[name] = here.stat().st_size

    def send(self, name: str) -> None:
        """Upload such a file where it has changed."""
        here = self.folder / name
        if self.remote is None or not here.exists():
            return
        if self._sizes.get(name) != (size := here.stat().st_size):
            (self.remote / name).write(here.read_bytes())
            self._sizes[name] = size

    def seal_list(self, *, changed: bool) -> None:
        """Upload the list, and seal it if no case has another record than its line says (see ``list_seal``).

        Args:
            changed: Whether a case may have changed since an earlier seal, if there was one.

        Raises:
            RunStopped: another run took the output over, or the store takes nothing.
        """
        if self.remote is None:
            return
        self.keep(last=True)
        if MANIFEST_FILE not in self._kept:
            return
        with suppress(StoreError):  # a list without a seal is as good, and slower
            if (not changed and LIST_SEAL_FILE in self._kept) or self._list_agrees(self.remote):
                seal = seal_of(self._etags[MANIFEST_FILE])
                (self.remote / LIST_SEAL_FILE).write(seal)

    def _list_agrees(self, remote: ObjectPath) -> bool:
        index = index_of(self._kept[MANIFEST_FILE], self._kept.get(INDEX_FILE, b""))
        return agrees(index, case_versions(remote))

    def sweep(self) -> None:
        """Remove what dead attempts left; nothing runs now."""
        sweep(self.folder)
        if self.remote is not None and not (self.claim and self.claim.lost):
            sweep_uploads(self.remote)


@contextmanager
def hold(output: str | Path | ObjectPath) -> Iterator[Hold]:
    """Hold an output, a folder or the URL of a store, for one run.

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
            held.fetch()
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
