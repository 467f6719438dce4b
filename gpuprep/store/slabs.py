"""Writing one array slab by slab, for results that are never in memory as a whole.

A slab is one chunk thick and is one shard, so that it is written once and whole.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.store.codecs import preset
from gpuprep.store.files import storage_faults, write_file
from gpuprep.store.layout import GROUP_FILE, ArrayLayout
from gpuprep.store.metadata import array_document, to_text
from gpuprep.store.ome import axis_names
from gpuprep.store.shard import write_shard
from gpuprep.values.errors import StoreError, UsageError


class SlabWriter:
    """A Zarr array in the making, which appears under its name when the last slab is written.

    Example::

        with SlabWriter(folder, depth=300, edge=32) as writer:
            for start, slab in slabs:
                writer.write(start, slab)
    """

    def __init__(
        self,
        folder: Path,
        *,
        depth: int,
        edge: int,
        codec: str = "balanced",
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Name an array; nothing is written yet.

        Args:
            folder: The array's folder.
            depth: Planes of the array along z.
            edge: Voxels along each edge of a chunk, and planes of a slab.
            codec: One of ``codecs.PRESETS``.
            attributes: JSON values kept in the array's ``zarr.json``.

        Raises:
            UsageError: the folder is there already, or its parent is not.
        """
        if folder.exists():
            raise UsageError(f"{folder} exists already", advice="choose another folder")
        if not folder.parent.is_dir():
            raise UsageError(f"folder {folder.parent} does not exist")
        self._folder = folder
        self._partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        self._depth, self._edge, self._codec = depth, edge, codec
        self._attributes = dict(attributes or {})
        self._layout: ArrayLayout | None = None
        self._written: set[int] = set()

    def __enter__(self) -> SlabWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._publish()
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)

    def write(self, start: int, slab: NDArray[Any]) -> None:
        """Write the planes from ``start`` on, ``z, y, x`` or ``c, z, y, x``."""
        if self._layout is None:
            self._layout = _slab_layout(slab, self._depth, self._edge)
        layout, number = self._layout, start // self._edge
        key = (*(0,) * (slab.ndim - 3), number, 0, 0)
        expected = tuple(part.stop - part.start for part in layout.region(key))
        if start % self._edge or slab.shape != expected:
            raise StoreError(
                f"{self._folder}: a slab of shape {slab.shape} from plane {start}, expected {expected} "
                f"from a multiple of {self._edge}"
            )
        write_shard(
            self._partial / layout.shard_file(key),
            slab,
            chunk=layout.chunk,
            grid=layout.grid,
            dtype=layout.dtype,
            encode=preset(self._codec, layout.dtype).encode,
            fsync=False,
        )
        self._written.add(number)

    def _publish(self) -> None:
        layout = self._layout
        slabs = layout.shards[-3] if layout else 1
        if layout is None or len(self._written) != slabs:
            raise StoreError(f"{self._folder}: {len(self._written)} of {slabs} slabs were written")
        codec = preset(self._codec, layout.dtype)
        document = array_document(layout, codec, axis_names(len(layout.shape)))
        document["attributes"] = self._attributes
        text = to_text(document, str(self._folder))
        write_file(self._partial / GROUP_FILE, [text], fsync=True)
        with storage_faults(self._folder):
            self._partial.rename(self._folder)


def _slab_layout(slab: NDArray[Any], depth: int, edge: int) -> ArrayLayout:
    *lead, _, height, width = slab.shape
    chunk = (*(1 for _ in lead), edge, edge, edge)
    padded = (-(-n // edge) * edge for n in (height, width))
    dtype = np.dtype(slab.dtype).newbyteorder("<")
    return ArrayLayout((*lead, depth, height, width), dtype, chunk, (*lead, edge, *padded))
