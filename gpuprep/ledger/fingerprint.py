"""The statistics of a cohort, kept in its output under the key of what they were made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuprep.ledger.output import read_json, write_json
from gpuprep.ops.mergeable import Mergeable, mergeable_from_json
from gpuprep.store.files import storage_faults
from gpuprep.store.layout import FINGERPRINT_FILE
from gpuprep.store.objects.path import ObjectPath
from gpuprep.values.case import Case
from gpuprep.values.errors import CorruptStoreError

_STAMPED = "stamps-"  # begins a key that is made from stamps
_FAULTS = (AttributeError, KeyError, IndexError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The cohort's histogram per channel."""

    key: str = ""
    """Names config, cases, and paths and times of their files."""
    cases: int = 0
    channels: tuple[Mergeable, ...] = ()
    refused: tuple[str, ...] = ()
    """Cases that could not be measured: the key and the histograms are without them."""


def save_fingerprint(root: Path, fingerprint: Fingerprint) -> None:
    """Store the cohort's statistics."""
    tree = {
        "key": fingerprint.key,
        "cases": fingerprint.cases,
        "channels": [histogram.to_json() for histogram in fingerprint.channels],
        "refused": list(fingerprint.refused),
    }
    write_json(root / FINGERPRINT_FILE, {**tree, "seal": _seal(tree)})


def load_fingerprint(root: Path | ObjectPath) -> Fingerprint:
    """The cohort's statistics, none where they are not kept; of an older version without seal.

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
        refused = tuple(map(str, tree.get("refused", ())))
        return Fingerprint(tree["key"], tree.get("cases", 0), channels, refused)
    except _FAULTS as error:
        raise CorruptStoreError(
            f"{root / FINGERPRINT_FILE} does not hold the cohort's statistics ({error!r})",
            advice="run the same command again; they are taken again",
        ) from error


def _seal(tree: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def cohort_key(stamps: Iterable[str], digest: str) -> str:
    """Names a config and a set of cases with their source files, by the stamps of these."""
    hashed = hashlib.sha256(digest.encode())
    for stamp in stamps:
        hashed.update(stamp.encode())
    return f"{_STAMPED}{hashed.hexdigest()}"


def is_of_older_version(key: str) -> bool:
    """Whether a key is one of ``older_key``."""
    return bool(key) and not key.startswith(_STAMPED)


def older_key(cases: Sequence[Case], digest: str) -> str:
    """The key that older versions gave a config and a set of cases with their source files."""
    hashed = hashlib.sha256(digest.encode())
    for case in cases:
        for path in sorted(set(case.files)):
            found = Path(path).stat() if Path(path).exists() else None
            stamp = (found.st_size, found.st_mtime_ns) if found else None
            line = f"{case.id}\0{path}\0{stamp}\n"
            hashed.update(line.encode("utf-8", "backslashreplace"))
    return hashed.hexdigest()
