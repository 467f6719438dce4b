"""The statistics of a cohort, kept in its output under the key of what they were made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuprep.ledger.output import read_json, write_json
from gpuprep.ops.mergeable import Mergeable, mergeable_from_json
from gpuprep.store.files import storage_faults
from gpuprep.store.objects.path import ObjectPath
from gpuprep.values.case import Case
from gpuprep.values.errors import CorruptStoreError

FINGERPRINT_FILE = "fingerprint.json"
_FAULTS = (AttributeError, KeyError, IndexError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The cohort's histogram per channel.

    ``key`` names config, cases, and paths and times of their files; ``files`` sums up what is in these files,
    wherever they lie. Both are empty where a case was missing.
    """

    key: str = ""
    files: str = ""
    cases: int = 0
    channels: tuple[Mergeable, ...] = ()


class FilesOfCohort:
    """Sums up the files of cases, in any order; two equal sums are of the same cases and the same bytes."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, case_id: str, files: str) -> None:
        """Take in a case and the sum of its files."""
        hashed = hashlib.sha256(f"{case_id}\0{files}".encode("utf-8", "backslashreplace")).digest()
        self._sum = (self._sum + int.from_bytes(hashed)) % (1 << 256)

    def __str__(self) -> str:
        return f"{self._sum:064x}"


def save_fingerprint(root: Path, fingerprint: Fingerprint) -> None:
    """Store the cohort's statistics."""
    tree = {
        "key": fingerprint.key,
        "files": fingerprint.files,
        "cases": fingerprint.cases,
        "channels": [histogram.to_json() for histogram in fingerprint.channels],
    }
    write_json(root / FINGERPRINT_FILE, {**tree, "seal": _seal(tree)})


def load_fingerprint(root: Path | ObjectPath) -> Fingerprint:
    """The cohort's statistics, none where they are not kept; of an older version without sum and seal.

    Raises:
        CorruptStoreError: the file is damaged; the cohort can be measured again.
    """
    with storage_faults(root / FINGERPRINT_FILE, what="read"):
        if not (root / FINGERPRINT_FILE).is_file():
            return Fingerprint()
    tree = read_json(root / FINGERPRINT_FILE)
    try:
        if tree.pop("seal", None) not in (None, _seal(tree)):
            raise ValueError("its seal does not fit")
        channels = tuple(mergeable_from_json(entry) for entry in tree["channels"])
        return Fingerprint(tree["key"], tree.get("files", ""), tree.get("cases", 0), channels)
    except _FAULTS as error:
        raise CorruptStoreError(
            f"{root / FINGERPRINT_FILE} does not hold the cohort's statistics ({error!r})",
            advice="run the same command again; the cohort is measured again",
        ) from error


def _seal(tree: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def cohort_key(cases: Sequence[Case], digest: str) -> str:
    """Names a config and a set of cases with their source files as they are now."""
    hashed = hashlib.sha256(digest.encode())
    for case in cases:
        for path in sorted(set(case.files)):
            found = Path(path).stat() if Path(path).exists() else None
            stamp = (found.st_size, found.st_mtime_ns) if found else None
            line = f"{case.id}\0{path}\0{stamp}\n"
            hashed.update(line.encode("utf-8", "backslashreplace"))
    return hashed.hexdigest()
