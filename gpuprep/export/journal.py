"""What a conversion has written so far, so that the next call goes on and refuses what is something else.

It lies beside the folder, as ``.FOLDER.gpuprep-TARGET``: nnU-Net takes every file in a folder for a case.
The first line says what is converted, each other one a case that is whole.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gpuprep.export.selection import Chosen, Selection
from gpuprep.store.files import append_line
from gpuprep.store.places import read_lines
from gpuprep.values.errors import UsageError

_PARTIAL = re.compile(r"\.\d+-.*")  # of ``whole_file``
_NEW = "choose a new folder"


class Journal:
    """The journal of one folder, held by this process."""

    def __init__(self, file: Path, folder: Path) -> None:
        self._file, self._folder, self._config = file, folder, ""
        rows = list(read_lines(file)) if file.exists() else []
        self._head: dict[str, Any] = next((row["head"] for row in rows if "head" in row), {})
        self._cases = {str(row["case"]): row for row in rows if "case" in row}
        if not self._head and folder.is_dir() and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty", advice=_NEW)

    def check_config(self, digest: str) -> None:
        """Refuse a folder that was written from cases of another config, before they are looked at.

        Args:
            digest: Of the cohort's cases, and of several outputs which; empty where it is not known.
        """
        there = self._head.get("config", digest)
        if there != digest:
            raise UsageError(
                f"{self._folder} was written from cases of config {_told(there)}, "
                f"and the cohort is of {_told(digest)}",
                advice=_NEW,
            )
        self._config = digest

    def check(self, chosen: Selection, expected: set[str], how: Mapping[str, Any]) -> None:
        """Refuse a folder that holds anything else than some of what is to be written.

        Args:
            chosen: What is converted.
            expected: The files of all of it.
            how: What else decides the files, as plain JSON.

        Raises:
            UsageError: with what is there and what was asked for.
        """
        head = {
            "config": self._config,
            "label": next((case.label for case in chosen.cases if case.label is not None), None),
            "channels": list(chosen.channels),
            "classes": {str(value): name for value, name in chosen.classes.names.items()},
            **how,
        }
        for name, value in head.items():
            there = self._head.get(
                name, value if name in how else None
            )  # older ones do not say how
            if self._head and there != value:
                raise UsageError(
                    f"{self._folder} was written with {name} {there!r}, and now it would be {value!r}",
                    advice=_NEW,
                )
        self._head = head
        ids = {case.id for case in chosen.cases}
        if beside := [case_id for case_id in self._cases if case_id not in ids]:
            raise UsageError(
                f"{self._folder} holds {len(beside)} cases that are not to be converted now, "
                f"first {beside[0]}",
                advice="ask for these cases, too, or " + _NEW,
            )
        self._check_files(expected)

    def _check_files(self, expected: set[str]) -> None:
        for file in sorted(self._folder.rglob("*")):
            name = file.relative_to(self._folder).as_posix()
            if _PARTIAL.fullmatch(file.name):
                file.unlink(missing_ok=True)  # of a call that was killed
            elif not (file.is_dir() or name in expected or name == "dataset.json"):
                raise UsageError(
                    f"{self._folder} holds {name}, which no case of this conversion has",
                    advice=_NEW,
                )

    def begin(self) -> None:
        """Write down what is converted; raises StoreError where the disk refuses."""
        if not self._file.stat().st_size:
            append_line(self._file, {"head": self._head})

    def holds(self, case: Chosen, files: Iterable[str]) -> bool:
        """Whether a case is in the folder, whole, and made from what the cohort has now."""
        row = self._cases.get(case.id, {})
        return row.get("record") == case.record and row.get("files") == self._sizes(files)

    def add(self, case: Chosen, files: Iterable[str]) -> None:
        """Note that a case is whole."""
        append_line(
            self._file, {"case": case.id, "record": case.record, "files": self._sizes(files)}
        )

    def _sizes(self, files: Iterable[str]) -> Mapping[str, int]:
        sizes = {}
        for name in files:
            with suppress(FileNotFoundError):
                sizes[name] = (self._folder / name).stat().st_size
        return sizes


@contextmanager
def hold_journal(folder: Path, target: str) -> Iterator[Journal]:
    """The journal of a folder, for one conversion at a time.

    Raises:
        UsageError: the folder holds something that no conversion wrote, another conversion is writing
            it, or nothing can be written there.
    """
    folder = folder.absolute()
    file = folder.with_name(f".{folder.name}.gpuprep-{target}")
    fresh = [path for path in (folder.parent, *folder.parent.parents) if not path.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield Journal(file, folder)
    except BlockingIOError:
        raise UsageError(f"another conversion is writing {folder}", advice="wait for it") from None
    finally:
        if not os.fstat(descriptor).st_size:  # refused before anything was written
            with suppress(OSError):
                file.unlink()
                for path in fresh:
                    path.rmdir()
        os.close(descriptor)


def _told(config: str) -> str:
    """A config as an error names it: the beginning of its digest, and which output was taken."""
    digest, _, output = config.partition(" ")
    return digest[:12] + f" (output {output})" * bool(output)
