"""The output folder as a run sees it: its config, its statistics, and which cases are already there."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.host.atomic import replaced
from gpuprep.store.files import CHECK_DISK, storage_faults
from gpuprep.store.layout import (
    AGREEMENT_FILE,
    CONFIG_FILE,
    REPORT_FILE,
    case_path,
)
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.places import Place, to_place
from gpuprep.values.agreement import Agreement
from gpuprep.values.case import Case
from gpuprep.values.errors import (
    TRANSIENT,
    CorruptStoreError,
    GpuprepError,
    RunStopped,
    StoreError,
    StoreFault,
    UsageError,
)

_MENDED = "run the same command again; it is written anew where the cases tell what was in it"


def unwritable(root: Path, error: OSError) -> GpuprepError:
    """What to raise where the output cannot be written: a full disk stops the run, others may pass."""
    message = f"cannot write to output {root}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RunStopped(message, advice="make space on its disk, then run the same command again")
    if error.errno in TRANSIENT:
        return StoreFault(message, advice=CHECK_DISK, code=errno.errorcode[error.errno])
    return UsageError(message, advice="choose a folder you may write to")


def find_output(output: str | Place) -> Place:
    """Where an output lies, a folder or a prefix of an object store.

    Raises:
        StoreError: there is no gpuprep output.
        BackendError: a URL needs the extra ``s3``.
    """
    root = to_place(output)
    if not (root / CONFIG_FILE).is_file():
        raise StoreError(
            f"{root} is no gpuprep output: {CONFIG_FILE} is missing",
            advice="give the output of a run; if it was lost, the same run writes it again",
        )
    return root


def load_output_config(output: str | Place) -> Config:
    """The config an output was made with.

    Raises:
        StoreError: this is no gpuprep output.
    """
    root = find_output(output)
    return parse_config(read_json(root / CONFIG_FILE).get("config", {}), str(root / CONFIG_FILE))


def is_published(root: Place, case: Case) -> bool:
    """Whether a case of that id is there, made from whatever; StoreError if the disk does not tell."""
    folder = root / case_path(case.id)
    with storage_faults(folder, what="read"):
        return folder.version() is not None


def save_report(root: Path, report: Mapping[str, Any]) -> None:
    """Store how the last run ended. A disk that refuses costs the report, never the run."""
    with suppress(OSError):
        write_json(root / REPORT_FILE, report)


def save_agreement(root: Path, agreement: Agreement) -> None:
    """Keep what the cases of an output agree on."""
    write_json(root / AGREEMENT_FILE, agreement.to_json())


def read_json(path: Path | ObjectPath) -> dict[str, Any]:
    """A small JSON object of an output; raises CorruptStoreError where it is none."""
    try:
        with storage_faults(path, what="read"):
            tree = json.loads(path.read_bytes())
    except ValueError as error:
        raise CorruptStoreError(f"{path} cannot be read: {error}", advice=_MENDED) from None
    if not isinstance(tree, dict):
        raise CorruptStoreError(f"{path} must hold a JSON object", advice=_MENDED)
    return tree


def write_json(path: Path, tree: Mapping[str, Any], *, sort: bool = True) -> None:
    """Replace a small JSON file in one step, its keys sorted or in their own order."""
    with replaced(path, fsync=True) as partial:
        partial.write_text(json.dumps(tree, indent=1, sort_keys=sort), "utf-8")
