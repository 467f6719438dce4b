"""Where a run works: its output folder, or a local folder whose documents are kept in an object store.

Objects cannot be appended to. So a run on a store writes manifest, failures and config into a folder of its
own, as every run does, and uploads them when they matter to somebody: at the start, and at the end.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gpuprep.errors import RunStopped, UsageError
from gpuprep.output import lock
from gpuprep.store.claims import Claim, Lease
from gpuprep.store.commit import sweep
from gpuprep.store.layout import (
    CASES_FOLDER,
    CONFIG_FILE,
    FAILURES_FILE,
    GROUP_FILE,
    MANIFEST_FILE,
    STAGING_FOLDER,
)
from gpuprep.store.objects import ObjectPath, to_place
from gpuprep.store.upload import RUN_CLAIM, sweep_uploads

_DOCUMENTS = (
    CONFIG_FILE,
    "fingerprint.json",
    MANIFEST_FILE,
    FAILURES_FILE,
    GROUP_FILE,
    f"{CASES_FOLDER}/{GROUP_FILE}",
)
_RENEWED_EVERY = 30.0  # seconds
_EXPIRES = 300.0


@dataclass(frozen=True, slots=True)
class Desk:
    """The folder a run works in, held by this run alone."""

    folder: Path
    remote: ObjectPath | None = None
    lease: Lease | None = None
    _kept: dict[str, bytes] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where cases are published; empty for the folder itself."""
        return self.remote.url if self.remote else ""

    def keep(self) -> None:
        """Upload the documents that changed.

        Raises:
            RunStopped: another run took the output over, or the store takes nothing.
        """
        if self.remote is None:
            return
        if self.lease and self.lease.lost:
            raise RunStopped(
                f"{self.remote}: another run took this output over, for the store did not hear from "
                f"this one for {_EXPIRES:.0f} s",
                advice="wait for the other run, then run the same command again",
            )
        for name in _DOCUMENTS:
            file = self.folder / name
            if not file.is_file():
                if self._kept.pop(name, None) is not None:
                    self.remote.delete([name])
                continue
            content = file.read_bytes()
            if self._kept.get(name) != content:
                (self.remote / name).write(content)
                self._kept[name] = content

    def sweep(self) -> None:
        """Remove what dead attempts left; nothing runs now."""
        sweep(self.folder)
        if self.remote is not None and not (self.lease and self.lease.lost):
            sweep_uploads(self.remote)


@contextmanager
def open_desk(output: Path | str) -> Iterator[Desk]:
    """Hold an output, a folder or the URL of a store, for one run.

    Raises:
        UsageError: another run holds it, it cannot be written, or is no cohort's.
        BackendError: a URL needs the extra ``s3``.
    """
    place = to_place(output)
    if isinstance(place, Path):
        folder = place.resolve()
        with lock(folder):
            yield Desk(folder)
        return
    claim = Claim(place / STAGING_FOLDER / RUN_CLAIM, _EXPIRES)
    if not claim.take():
        raise UsageError(
            f"another run is working on {place}",
            advice=f"wait for it; a run that died elsewhere is forgotten after {_EXPIRES:.0f} s",
        )
    with (
        Lease(claim, _RENEWED_EVERY) as lease,
        tempfile.TemporaryDirectory(prefix="gpuprep-") as name,
    ):
        desk = Desk(Path(name), place, lease)
        _fetch(desk, place)
        try:
            yield desk
        finally:
            desk.keep()


def _fetch(desk: Desk, place: ObjectPath) -> None:
    """Bring the documents of an earlier run; refuse a prefix that holds anything else."""
    present = [name for name in _DOCUMENTS if (place / name).is_file()]
    if CONFIG_FILE not in present and any(name[0] != "." for name, _ in place.walk()):
        raise UsageError(
            f"{place} is not empty and holds no gpuprep cohort", advice="choose a new prefix"
        )
    for name in present:
        content = desk._kept[name] = (place / name).read_bytes()
        (desk.folder / name).parent.mkdir(exist_ok=True)
        (desk.folder / name).write_bytes(content)
