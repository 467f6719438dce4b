"""The record of a case: its last file, without which a folder is no case."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import google_crc32c

from gpuprep.store.files import CaseVersion, replaced_meanwhile, write_file
from gpuprep.store.layout import GROUP_FILE, RECORD_FILE
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.places import Place, to_place
from gpuprep.values.errors import CorruptStoreError, StoreError

_SEAL = "record_crc32c"
_SEAL_KEY = f'\n "{_SEAL}": '.encode()  # one space: a key of the record itself
_SEAL_VALUE = re.compile(rb"(\d+)(,?)(?=\n)")


def write_record(folder: str | Path, record: Mapping[str, Any], *, durable: bool = True) -> None:
    """Write ``record.json``, the last file of a case, with a CRC32C of its own text.

    Args:
        folder: The case's folder.
        record: JSON values; ``files`` must hold what ``write_case`` returned.
        durable: Wait until the bytes are on the disk.

    Raises:
        StoreError: ``files`` is missing, or a value is not JSON (NaN and infinity are not).
        RunStopped: the disk is full.
    """
    path = Path(folder) / RECORD_FILE
    if "files" not in record:
        raise StoreError(f"{path}: a record needs 'files', the seals that write_case returned")
    try:
        text = _sealed_text(record)
    except (TypeError, ValueError) as error:
        raise StoreError(f"{path}: the record holds a value that is not JSON: {error}") from error
    write_file(path, [text], fsync=durable)


def read_record(
    folder: str | Path | ObjectPath, *, version: CaseVersion | None = None
) -> dict[str, Any]:
    """The record of a case as ``write_record`` got it.

    Args:
        folder: The case's folder.
        version: Which case the folder must hold; None for any.

    Raises:
        CorruptStoreError: it is absent, or any bit of it is not as written.
        StoreError: the folder holds another case by now.
    """
    folder = to_place(folder)
    text = folder.document(RECORD_FILE, version=version)
    try:
        record = json.loads(text) if _is_sealed(text) else {}
        del record[_SEAL]
        intact = isinstance(record["files"], dict)
    except (KeyError, TypeError, ValueError, RecursionError):
        intact = False
    if not intact:
        raise CorruptStoreError(
            f"{folder / RECORD_FILE}: the record was changed after it was written",
            advice="delete the case's folder and run again; the case will be made anew",
        )
    return dict(record)


def check_documents(
    folder: Place, *, version: CaseVersion | None = None, output: str | None = None
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Compare every ``zarr.json`` of a case with its record: a flipped digit in a shape would go unseen.

    Of a case with several outputs, those of the one that is read: ``output``, by default the first.

    Returns:
        The seals of all files, and the text of every ``zarr.json``, by their paths in the case.

    Raises:
        CorruptStoreError: one of them, or the record, is absent or not as written.
        StoreError: the folder holds another case than ``version``.
    """
    record = read_record(folder, version=version)
    seals: dict[str, Any] = record["files"]
    start = f"{output or record['output']}/" if "output" in record else ""
    texts: dict[str, bytes] = {}
    in_folder = None if isinstance(folder, ObjectPath) else version  # there its seal tells, unasked
    for name, seal in seals.items():
        if not name.endswith(GROUP_FILE) or not (name == GROUP_FILE or name.startswith(start)):
            continue
        texts[name] = folder.document(name, version=in_folder)
        crc = google_crc32c.value(texts[name])
        if crc != seal["crc32c"]:
            if version is not None and folder.version() != version:
                raise replaced_meanwhile(folder)
            raise CorruptStoreError(
                f"{folder / name}: its CRC32C is {crc:08x}, the record says {seal['crc32c']:08x}",
                advice=f"delete {folder} and run again",
            )
    return seals, texts


def _is_sealed(text: bytes) -> bool:
    """Whether every byte is as written, spaces too: the seal is that of the text without its line."""
    start = text.find(_SEAL_KEY)
    told = _SEAL_VALUE.match(text, start + len(_SEAL_KEY))
    if start < 0 or told is None or text.count(_SEAL_KEY) != 1:
        return False
    crc, comma = told.groups()
    if not comma:  # it is the last key: the comma that ends the line above came with it
        start -= text[start - 1 : start] == b","
    return str(google_crc32c.value(text[:start] + text[told.end() :])).encode() == crc


def _sealed_text(record: Mapping[str, Any]) -> bytes:
    plain = json.dumps(record, sort_keys=True, allow_nan=False)  # an indent is slow
    rows = json.loads(plain)  # as a reader gets it: keys are strings, tuples are lists
    rows.pop(_SEAL, None)
    sealed = {**rows, _SEAL: google_crc32c.value(_to_text(rows))}
    return _to_text(sealed)


def _to_text(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode(
        "utf-8", "backslashreplace"
    )  # names of files that are no UTF-8 stay readable
