"""Zarr v3 documents: what ``zarr.json`` of an array and of a group says, both ways.

They are built here rather than by zarr-python because that starts an event loop and threads in the
worker and takes milliseconds an array; a test holds them equal to what zarr-python writes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuprep.store.codecs import ChunkCodec, Decode, find_decoder
from gpuprep.store.layout import NUMBER_KINDS, ArrayLayout
from gpuprep.values.errors import CorruptStoreError, StoreError

_INDEX_CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
_CHUNK_LIMIT = 256 << 20  # bytes a reader is willing to decode at once
_VOXEL_LIMIT = 1 << 40
_FAULTS = (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError)


def to_text(document: Mapping[str, Any], where: str) -> bytes:
    """The bytes of a document as stored; raises StoreError for what JSON cannot hold, such as NaN."""
    try:
        return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise StoreError(f"{where}: an attribute is not JSON: {error}") from error


def group_document(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"attributes": dict(attributes), "zarr_format": 3, "node_type": "group"}


def is_group(text: bytes) -> bool:
    """Whether a ``zarr.json`` says that its folder is a group."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    told = (
        (document.get("zarr_format"), document.get("node_type"))
        if isinstance(document, dict)
        else ()
    )
    return told == (3, "group")


def array_document(
    layout: ArrayLayout,
    codec: ChunkCodec,
    dimension_names: Sequence[str],
    attributes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``zarr.json`` of an array in shards."""
    sharding = {
        "chunk_shape": list(layout.chunk),
        "codecs": codec.metadata,
        "index_codecs": _INDEX_CODECS,
        "index_location": "end",
    }
    return {
        "shape": list(layout.shape),
        "data_type": layout.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(layout.shard)}},
        "chunk_key_encoding": {
            "name": "default",
            "configuration": {"separator": layout.separator},
        },
        "fill_value": 0.0 if layout.dtype.kind == "f" else 0,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": dict(attributes or {}),
        "dimension_names": list(dimension_names),
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


@dataclass(frozen=True, slots=True)
class StoredLayout:
    """What a reader needs to know about an array on disk."""

    layout: ArrayLayout
    decode: Decode
    codec: str
    """What compresses a chunk, in Zarr's words: ``blosc``, ``zstd``, or empty for nothing."""


def parse_array(text: bytes, where: str) -> StoredLayout:
    """Read ``zarr.json`` of an array that gpuprep (or anything of the same form) wrote.

    Raises:
        CorruptStoreError: the document is not one of an array.
        StoreError: it is, but of a form that only zarr-python reads.
    """
    document = parse_document(text, where)
    try:
        (outer,) = document["codecs"]
        inner = outer["configuration"]
        layout = ArrayLayout(
            _edges(document["shape"]),
            np.dtype(str(document["data_type"])).newbyteorder("<"),
            _edges(inner["chunk_shape"]),
            _edges(document["chunk_grid"]["configuration"]["chunk_shape"]),
            str(document["chunk_key_encoding"]["configuration"]["separator"]),
        )
        codecs = [dict(codec) for codec in inner["codecs"]]
        plain = _is_plain(document, outer) and _is_bounded(layout)
        decode = find_decoder(codecs, layout.dtype) if plain else None
    except _FAULTS as error:
        raise CorruptStoreError(
            f"{where}: not the description of a sharded array ({error})",
            advice="run the case again",
        ) from error
    if decode is None:
        raise StoreError(
            f"{where}: the array has a form gpuprep does not read (grid, key encoding, fill value)",
            advice="open it with zarr.open",
        )
    return StoredLayout(layout, decode, "".join(str(codec["name"]) for codec in codecs[1:-1]))


def parse_document(text: bytes, where: str) -> dict[str, Any]:
    """A ``zarr.json`` as a dictionary; raises CorruptStoreError where it is not one."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise CorruptStoreError(f"{where}: {error}", advice="run the case again") from error
    if not isinstance(document, dict) or document.get("zarr_format") != 3:
        raise CorruptStoreError(f"{where}: not a Zarr v3 document", advice="run the case again")
    return document


def _edges(values: Any) -> tuple[int, ...]:
    edges = tuple(int(value) for value in values)
    if not edges or min(edges) < 1:
        raise ValueError(f"edge lengths {edges}")
    return edges


def _is_plain(document: Mapping[str, Any], outer: Mapping[str, Any]) -> bool:
    return bool(
        outer["name"] == "sharding_indexed"
        and outer["configuration"]["index_location"] == "end"
        and outer["configuration"]["index_codecs"] == _INDEX_CODECS
        and document["chunk_key_encoding"]["configuration"]["separator"] in ("/", ".")
        and document["chunk_key_encoding"]["name"] == "default"
        and document["fill_value"] == 0
    )


def _is_bounded(layout: ArrayLayout) -> bool:
    """Whether voxels are numbers, shards are whole chunks of every axis, and sizes are sane."""
    edges = zip(layout.shard, layout.chunk, layout.shape, strict=True)
    whole = all(shard % chunk == 0 for shard, chunk, _ in edges)
    sane = math.prod(layout.shape) <= _VOXEL_LIMIT and layout.chunk_bytes <= _CHUNK_LIMIT
    return whole and sane and layout.dtype.kind in NUMBER_KINDS
