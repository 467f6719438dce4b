"""The same cohort for tools that know no float16: its arrays as float32, chunk by chunk.

An array of float16 is one of unsharded chunks here, each decoded and compressed anew when it is asked for.
The values are the same to the bit. What else Zarr has is passed on: groups, labels, other dtypes.
What is gpuprep's own (records, lists) is not here, since its checksums are those of the files.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numcodecs.blosc
import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool

from gpuprep.service.chunks.conditions import Part
from gpuprep.service.chunks.contents import Content, Made
from gpuprep.service.chunks.outputs import LISTING, Name, Outputs, Remembered, parse_name
from gpuprep.store.array import StoredArray
from gpuprep.store.layout import GROUP_FILE, RECORD_FILE, case_path
from gpuprep.store.metadata import parse_document
from gpuprep.store.places import Place

_CHUNK = re.compile(r"(?P<array>.+)/c(?P<key>(?:[./][0-9]{1,9}){3,4})", re.ASCII)
_WIDE = np.dtype("<f4")
_CODEC = numcodecs.blosc.Blosc("lz4", 5, numcodecs.blosc.SHUFFLE)
_CODECS: list[dict[str, Any]] = [
    {"name": "bytes", "configuration": {"endian": "little"}},
    {
        "name": "blosc",
        "configuration": {
            "typesize": 4,
            "cname": "lz4",
            "clevel": 5,
            "shuffle": "shuffle",
            "blocksize": 0,
        },
    },
]
_ARRAYS = 256  # kept open


class Widened:
    """Finds what ``Outputs`` finds, of Zarr, with float16 as float32."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._arrays: Remembered[tuple[str, StoredArray]] = Remembered(_ARRAYS)

    async def find(self, place: Place, name: Name, part: Part | None = None) -> Content | None:
        """What there is under a name; None for nothing, and for a chunk of zeros only.

        Raises:
            StoreError: the disk or the store does not give it, or a chunk is damaged.
        """
        if name.path == LISTING:
            return await self._outputs.find(place, name)
        if name.path.rpartition("/")[2] == GROUP_FILE:
            return await self._document(place, name)
        chunk = _CHUNK.fullmatch(name.inside)
        if not name.case or chunk is None:
            return None
        array = await self._array(place, name.case, chunk["array"])
        if array is None or array.dtype != np.float16:
            return await self._outputs.find(place, name, part)
        key = [int(number) for number in re.split("[./]", chunk["key"])[1:]]
        made = await run_in_threadpool(_wide_chunk, array, key)
        return None if made is None else Made(made)

    async def _document(self, place: Place, name: Name) -> Content | None:
        content = await self._outputs.find(place, name)
        if content is None:
            return None
        document = parse_document(await content.read(0, content.size), name.path)
        if document.get("data_type") != "float16":
            return content
        return Made(json.dumps(_wide_document(document)).encode())

    async def _array(self, place: Place, case: str, array: str) -> StoredArray | None:
        """An array of the case that is there now; None for none."""
        folder = case_path(case)
        names = [parse_name(f"{folder}/{file}") for file in (RECORD_FILE, f"{array}/{GROUP_FILE}")]
        found = [None if name is None else await self._outputs.find(place, name) for name in names]
        if found[0] is None or found[1] is None:
            return None
        key, version = (place, case, array), found[0].etag
        known = self._arrays.get(key)
        if known is None or known[0] != version:
            opened = await run_in_threadpool(StoredArray, place / folder, array)
            known = self._arrays.keep(key, (version, opened))
        return known[1]


def _wide_document(document: dict[str, Any]) -> dict[str, Any]:
    """``zarr.json`` of an array of float16 as that of one of float32 without shards."""
    chunk = document["codecs"][0]["configuration"]["chunk_shape"]
    grid = {"name": "regular", "configuration": {"chunk_shape": chunk}}
    return {**document, "data_type": _WIDE.name, "chunk_grid": grid, "codecs": _CODECS}


def _wide_chunk(array: StoredArray, key: list[int]) -> bytes | None:
    """A chunk in its new codec; None where the array has none of this number, or it is all zeros."""
    start = [number * edge for number, edge in zip(key, array.chunks, strict=False)]
    if len(key) != array.ndim or any(low >= n for low, n in zip(start, array.shape, strict=True)):
        return None
    ends = zip(start, array.chunks, array.shape, strict=True)
    voxels = array.read(start, [min(low + edge, n) for low, edge, n in ends])
    if not voxels.view(np.uint16).any():
        return None
    chunk: NDArray[Any] = np.zeros(array.chunks, _WIDE)
    chunk[tuple(map(slice, voxels.shape))] = voxels
    return bytes(_CODEC.encode(chunk))
