"""Where things lie in an output folder, and how an array is cut into shards and chunks.

    out/
      zarr.json                 a plain group, as in cases/, so that zarr.open lists the cohort
      gpuprep.json              the config as resolved, its digest, versions
      cases/<case id>.zarr/     OME-Zarr 0.5 group: zarr.json, 0/, labels/<name>/0/, record.json last;
                                1/ and 2/ beside every 0/ are coarser levels, where asked for
      fingerprint.json          the statistics of the cohort; a cache
      statistics.jsonl          the statistics of each case, for those of the cohort; a cache
      agreement.json            the names of channels and label classes, for all cases
      manifest.jsonl            one line per finished case; a cache
      index.npz                 the same as columns, as far as it went when a run ended; a cache
      failures.jsonl            one line per failed case
      inputs.json               which input lists which cases
      withdrawn.json            stored cases that no input lists any more; absent where there is none
      pruned/<case id>.zarr/    cases that `gpuprep prune` took out
      report.json               how the last run ended, and where its time went
      logs/                     one file of JSON lines per run
      .gpuprep/status.json      how the last run stands
      .gpuprep/manifest_seal.json  that manifest.jsonl was compared with all objects; on object stores
      .gpuprep/headers          what DICOM headers told, and of which files; a cache
      .staging/                 cases being built, never read; on an object store, claims on them

A *chunk* is compressed and read by itself, a *shard* is one file of many chunks. An array up to
``SHARD_LIMIT`` raw bytes is one shard; a larger one is cut into shards of about 256 voxels an axis.
"""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gpuprep.values.errors import StoreError, UsageError

CONFIG_FILE = "gpuprep.json"
AGREEMENT_FILE = "agreement.json"
LANDMARKS_FILE = "landmarks.json"
STATISTICS_FILE = "statistics.jsonl"
MANIFEST_FILE = "manifest.jsonl"
INDEX_FILE = "index.npz"
FINGERPRINT_FILE = "fingerprint.json"
INPUTS_FILE = "inputs.json"
WITHDRAWN_FILE = "withdrawn.json"
FAILURES_FILE = "failures.jsonl"
ATTEMPTS_FILE = "attempts.jsonl"
REPORT_FILE = "report.json"
LOGS_FOLDER = "logs"
STATUS_FILE = ".gpuprep/status.json"
HEADERS_FILE = ".gpuprep/headers"
LIST_SEAL_FILE = ".gpuprep/manifest_seal.json"
CASES_FOLDER = "cases"
PRUNED_FOLDER = "pruned"
STAGING_FOLDER = ".staging"
CASE_SUFFIX = ".zarr"

GROUP_FILE = "zarr.json"
RECORD_FILE = "record.json"
IMAGE_ARRAY = "0"  # of full resolution
LABELS_GROUP = "labels"

OUTPUT_ENTRIES = frozenset(
    {
        *(
            CONFIG_FILE,
            AGREEMENT_FILE,
            FINGERPRINT_FILE,
            LANDMARKS_FILE,
            STATISTICS_FILE,
            MANIFEST_FILE,
            INDEX_FILE,
        ),
        *(INPUTS_FILE, WITHDRAWN_FILE, FAILURES_FILE, ATTEMPTS_FILE, REPORT_FILE, GROUP_FILE),
        *(CASES_FOLDER, PRUNED_FOLDER, LOGS_FOLDER),
        *("report.html", "cohort.csv", "cohort.parquet"),
    }
)
"""All that a run leaves in an output folder, but for hidden entries."""

SHARD_LIMIT = 512 << 20
SHARD_EDGE = 256
NAME_LIMIT = 200  # bytes; leaves room in 255 for suffixes and the attempt's id

NUMBER_KINDS = "iuf"

Index = tuple[int, ...]


def case_path(case_id: str) -> str:
    """Where a finished case lies below its cohort; raises UsageError for an id that is no safe name."""
    return f"{CASES_FOLDER}/{check_case_id(case_id)}{CASE_SUFFIX}"


def case_folder(root: str | Path, case_id: str) -> Path:
    """The folder of a finished case; raises UsageError for an id that is not a safe name."""
    return Path(root) / case_path(case_id)


def image_array(level: int = 0) -> str:
    """The path of the image's array inside its case; levels above 0 are coarser."""
    return str(level)


def label_array(name: str, level: int = 0) -> str:
    """The path of a label's array inside its case."""
    return f"{LABELS_GROUP}/{name}/{image_array(level)}"


def check_case_id(case_id: str) -> str:
    """Returns the id; raises UsageError unless it is one plain, visible path component."""
    return _check_name(case_id, "case id")


def check_label_name(name: str) -> str:
    """Returns the name; raises UsageError unless it can name a Zarr group beside ``zarr.json``."""
    if name == GROUP_FILE or name.startswith("__"):
        raise UsageError(f"label name {name!r} is reserved by Zarr; choose another name")
    return _check_name(name, "label name")


def _check_name(name: str, what: str) -> str:
    fault = _name_fault(name)
    if fault:
        raise UsageError(f"{what} {name!r} {fault}", advice="use letters, digits, '-', '_' and '.'")
    return name


def _name_fault(name: str) -> str:
    if not name:
        return "is empty"
    if name.startswith("."):
        return "begins with a dot, so it would be hidden or leave its folder"
    if "/" in name or "\\" in name:
        return "holds a path separator"
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        return "holds a control character or bytes that are not text"
    length = len(name.encode("utf-8"))
    return f"is {length} bytes long, the limit is {NAME_LIMIT}" if length > NAME_LIMIT else ""


@dataclass(frozen=True)
class ArrayLayout:
    """Shape and dtype of a stored array and how it is cut; axes are ``z, y, x`` or ``c, z, y, x``."""

    shape: Index
    dtype: np.dtype[Any]
    chunk: Index
    shard: Index
    separator: str = "."
    """Between the numbers in the name of a shard; older versions wrote ``/``, a folder for each number."""

    @cached_property
    def grid(self) -> Index:
        """Chunks per shard along each axis."""
        return tuple(edge // part for edge, part in zip(self.shard, self.chunk, strict=True))

    @cached_property
    def shards(self) -> Index:
        """Shards of the array along each axis."""
        return tuple(-(-n // edge) for n, edge in zip(self.shape, self.shard, strict=True))

    @property
    def chunk_bytes(self) -> int:
        return math.prod(self.chunk) * self.dtype.itemsize

    def shard_keys(self) -> Iterator[Index]:
        """The index of every shard, in C order."""
        return itertools.product(*map(range, self.shards))

    def shard_file(self, key: Index) -> str:
        """The file of a shard below its array's folder (Zarr's default key encoding)."""
        return self.separator.join(("c", *map(str, key)))

    def region(self, key: Index) -> tuple[slice, ...]:
        """The part of the array that shard ``key`` holds, cut at the array's border."""
        return tuple(
            slice(k * edge, min((k + 1) * edge, n))
            for k, edge, n in zip(key, self.shard, self.shape, strict=True)
        )


def plan_array(shape: Sequence[int], dtype: Any, chunk: int) -> ArrayLayout:
    """How an array of ``z, y, x`` or ``c, z, y, x`` is cut: chunks of ``chunk`` voxels an axis.

    Raises:
        StoreError: the array is not 3-D or 4-D, has an empty axis, does not hold numbers, or the
            chunk is not positive.
    """
    dtype = np.dtype(dtype).newbyteorder("<")
    if dtype.kind not in NUMBER_KINDS:
        raise StoreError(f"voxels of dtype {dtype} cannot be stored: use an integer or float dtype")
    if len(shape) not in (3, 4) or min(shape) < 1 or chunk < 1:
        raise StoreError(
            f"an array of shape {tuple(shape)} in chunks of {chunk} cannot be stored: "
            "3 or 4 axes of at least one voxel and a positive chunk are needed"
        )
    lead = (1,) * (len(shape) - 3)
    inner = (*lead, chunk, chunk, chunk)
    if math.prod(shape) * dtype.itemsize <= SHARD_LIMIT:
        edges = tuple(-(-n // part) * part for n, part in zip(shape, inner, strict=True))
    else:
        edge = max(1, SHARD_EDGE // chunk) * chunk
        edges = (*lead, edge, edge, edge)
    return ArrayLayout(tuple(shape), dtype, inner, edges)
