"""Checking stored cases against their records: every file, and on request every byte and chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import google_crc32c

from gpuprep.host.ordered import ordered_map
from gpuprep.store.array import StoredArray
from gpuprep.store.files import storage_faults
from gpuprep.store.index import read_index
from gpuprep.store.layout import (
    CASE_SUFFIX,
    CASES_FOLDER,
    CONFIG_FILE,
    GROUP_FILE,
    MANIFEST_FILE,
    RECORD_FILE,
)
from gpuprep.store.metadata import is_group, parse_document
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.places import Place, to_place
from gpuprep.store.record import read_record
from gpuprep.store.standing import wanted_digest
from gpuprep.values.case import natural_sorted
from gpuprep.values.errors import TRANSIENT, GpuprepError, StoreError, StoreFault

_AT_ONCE = 4  # cases; disks, network file systems and object stores answer several at a time
_REMAKE = "delete the case's folder and run again; the case will be made anew"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a stored case. ``file`` is a path inside the case, empty for all of it.

    A case that is ``not current`` is whole, and of another config or other statistics than the last run had.
    """

    case: str
    file: str
    message: str
    advice: str = _REMAKE
    kind: Literal["damaged", "not current"] = "damaged"

    def __str__(self) -> str:
        where = "/".join(filter(None, (self.case, self.file)))
        return f"{where}: {self.message}; {self.advice}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def verify_case(folder: str | Path | ObjectPath, *, full: bool = False) -> list[Problem]:
    """What is wrong with one case; an empty list means nothing is.

    Args:
        folder: The case's folder.
        full: Also read every byte: the CRC32C of every file, of every shard index and of every chunk,
            and decode every chunk. Otherwise only names and sizes of files and the record are checked.
    """
    return _verify(to_place(folder), full=full)


def _verify(folder: Place, *, full: bool, wanted: str | None = None) -> list[Problem]:
    """What is wrong with a case, or that it was not made under the digest that is wanted."""
    case = folder.name.removesuffix(CASE_SUFFIX)
    try:
        with storage_faults(str(folder), what="read"):
            return _problems(folder, case, full=full, wanted=wanted)
    except StoreError as error:  # nothing is known of the case while its disk fails
        return [Problem(case, "", error.message, error.advice or _REMAKE)]


def _problems(folder: Place, case: str, *, full: bool, wanted: str | None) -> list[Problem]:
    try:
        record = read_record(folder)
    except GpuprepError as error:
        return [Problem(case, RECORD_FILE, error.message, error.advice or _REMAKE)]
    expected = record["files"]
    found = list(_compare_names(folder, expected))
    if full:
        faulty = {name for name, _ in found}
        intact = {name: seal for name, seal in expected.items() if name not in faulty}
        found += [*_compare_bytes(folder, intact), *_decode_arrays(folder, expected)]
    if found or wanted is None or record.get("digest") == wanted:
        return [Problem(case, name, text) for name, text in found]
    message = f"was made with another config or cohort than {CONFIG_FILE} now says"
    advice = "run again; it is made anew where it must be"
    return [Problem(case, RECORD_FILE, message, advice, "not current")]


def verify_cohort(
    root: str | Path | ObjectPath,
    *,
    full: bool = False,
    on_case: Callable[[str, list[Problem]], None] | None = None,
) -> list[Problem]:
    """What is wrong with any case of an output folder, in natural order of cases.

    Hidden files, which a power cut may leave beside the cases, are none; the next run removes them.

    Args:
        root: The output folder.
        full: As for ``verify_case``.
        on_case: Called after each case with its id and its problems.
    """
    root = to_place(root)
    listing = (root / CASES_FOLDER).folders() - {GROUP_FILE}
    names = {name for name in listing if not name.startswith(".")}
    cases = root / CASES_FOLDER
    folders = [cases / name for name in natural_sorted(names)]
    check = partial(_verify, full=full, wanted=wanted_digest(root))
    problems = _group_problems(root)
    with closing(ordered_map(check, folders, _AT_ONCE)) as results:
        for folder, found in zip(folders, results, strict=True):
            problems += found
            if on_case is not None:
                on_case(folder.name.removesuffix(CASE_SUFFIX), found)
    present = {folder.name.removesuffix(CASE_SUFFIX) for folder in folders}
    listed = set(read_index(root).ids)
    return problems + [
        Problem(case, "", f"is listed in {MANIFEST_FILE}, its folder is gone", "run again")
        for case in natural_sorted(listed - present)
    ]


def _group_problems(root: Place) -> list[Problem]:
    """What keeps ``zarr.open`` from listing the cohort; outputs of older versions have no groups at all."""
    files = (GROUP_FILE, f"{CASES_FOLDER}/{GROUP_FILE}")
    with storage_faults(str(root), what="read"):
        torn = [
            name
            for name in files
            if (root / name).is_file() and not is_group((root / name).read_bytes())
        ]
    return [Problem("", name, "is no Zarr group", "run again; it is written anew") for name in torn]


def _compare_names(
    folder: Place, expected: Mapping[str, Mapping[str, int]]
) -> Iterator[tuple[str, str]]:
    found = dict(folder.files())
    for name, seal in expected.items():
        if name not in found:
            yield name, "the file is missing"
        elif found[name] != seal["size"]:
            yield name, f"the file has {found[name]:,} bytes, its record says {seal['size']:,}"
    for name in sorted(found.keys() - expected.keys() - {RECORD_FILE}):
        yield name, "the file is not in the record"


def _compare_bytes(
    folder: Place, expected: Mapping[str, Mapping[str, int]]
) -> Iterator[tuple[str, str]]:
    for name, seal in expected.items():
        try:
            crc = _crc32c(folder / name)
        except OSError as error:
            if error.errno in TRANSIENT:
                raise
            yield name, f"the file cannot be read: {error.strerror}"
            continue
        if crc != seal["crc32c"]:
            yield name, f"CRC32C is {crc:08x}, the record says {seal['crc32c']:08x}: bytes changed"


def _crc32c(file: Place) -> int:
    crc = 0
    for block in file.blocks():
        crc = google_crc32c.extend(crc, block)
    return crc


def _decode_arrays(
    folder: Place, expected: Mapping[str, Mapping[str, int]]
) -> Iterator[tuple[str, str]]:
    """What a reader would trip over: damaged indices and chunks, absent shards, unreadable documents."""
    for name in expected:
        if not name.endswith(f"/{GROUP_FILE}") or not (folder / name).is_file():
            continue
        try:
            document = parse_document(folder.document(name), name)
            if document.get("node_type") != "array":
                continue
            array = StoredArray(folder, name.removesuffix(f"/{GROUP_FILE}"))
        except StoreFault:
            raise
        except GpuprepError as error:
            yield name, error.message
            continue
        yield from array.damage()
