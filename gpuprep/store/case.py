"""Writing one case as an OME-Zarr group: every file but the record, each with its seal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from gpuprep.store import ome
from gpuprep.store.codecs import ChunkCodec, preset
from gpuprep.store.files import FileSeal, write_file
from gpuprep.store.layout import (
    GROUP_FILE,
    LABELS_GROUP,
    ArrayLayout,
    check_label_name,
    image_array,
    label_array,
    plan_array,
)
from gpuprep.store.locations import index_label, locations_file, to_npy
from gpuprep.store.metadata import array_document, group_document, to_text
from gpuprep.store.shard import sample_chunks, write_shard
from gpuprep.values.errors import StoreError
from gpuprep.values.geometry import Geometry
from gpuprep.values.volume import Chunked


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """A case at one resolution.

    Attributes:
        image: ``z, y, x`` or ``c, z, y, x``, plain or cut into chunks; None for a case of labels only.
        labels: Integer label maps ``z, y, x`` by name.
        geometry: The grid all of them lie on.
    """

    image: NDArray[Any] | Chunked | None
    labels: Mapping[str, NDArray[Any]]
    geometry: Geometry


def write_case(
    folder: str | Path,
    *,
    image: NDArray[Any] | Chunked | None,
    labels: Mapping[str, NDArray[Any]],
    geometry: Geometry,
    coarser: Sequence[Level] = (),
    chunk: int = 32,
    codec: str = "balanced",
    threads: int = 1,
    channel_names: Sequence[str] = (),
    label_names: Mapping[str, Mapping[int, str]] | None = None,
    keep_bits: int | None = None,
    durable: bool = True,
) -> dict[str, dict[str, int]]:
    """Write everything of a case except its record, as an OME-Zarr 0.5 group.

    Args:
        folder: The case's folder, normally ``Staging.folder``; made where absent.
        image: ``z, y, x`` or ``c, z, y, x``, plain or cut into chunks; None for a case of labels only.
        labels: Integer label maps ``z, y, x`` by name.
        geometry: The grid all of them lie on.
        coarser: The same at lower resolutions, the finest first; viewers like them.
        chunk: Voxels along each edge of a chunk.
        codec: One of ``codecs.PRESETS``.
        threads: Threads that compress.
        channel_names: One name per channel of a 4-D image.
        label_names: Per label, the names of its voxel values.
        keep_bits: What images were rounded to, for their attributes; nothing is rounded here.
        durable: Wait for the disk after each file.

    Returns:
        ``{"size": bytes, "crc32c": value}`` of every file by its path below ``folder``; the record
        wants them under ``files``.

    Raises:
        StoreError: shapes or dtypes do not fit together, or the disk refuses.
        RunStopped: the disk is full.
        UsageError: the codec or a label's name is wrong.
    """
    folder = Path(folder)
    levels = [Level(image, labels, geometry), *coarser]
    arrays = {
        path: planned
        for number, level in enumerate(levels)
        for path, planned in _plan_arrays(number, level, chunk, channel_names).items()
    }
    codecs = {
        path: preset(
            codec,
            layout.dtype,
            sample_chunks(array, layout.chunk, layout.dtype),
            rounded=keep_bits is not None and layout.dtype.kind == "f",
        )
        for path, (array, layout) in arrays.items()
    }
    documents = {
        f"{path}/{GROUP_FILE}": array_document(
            layout,
            codecs[path],
            ome.axis_names(len(layout.shape)),
            ome.rounding_attributes(keep_bits) if layout.dtype.kind == "f" else {},
        )
        for path, (_, layout) in arrays.items()
    }
    documents |= _group_documents(levels, channel_names, label_names or {})
    texts = {path: to_text(document, f"{folder / path}") for path, document in documents.items()}
    seals: dict[str, FileSeal] = {}
    for path, (array, layout) in arrays.items():
        seals |= _write_array(
            folder, path, array, layout, codecs[path], threads=threads, durable=durable
        )
    texts |= {locations_file(name): to_npy(index_label(label)) for name, label in labels.items()}
    for path, text in texts.items():
        seals[path] = write_file(folder / path, [text], fsync=durable)
    return {path: asdict(seal) for path, seal in sorted(seals.items())}


def _plan_arrays(
    number: int, level: Level, chunk: int, channel_names: Sequence[str]
) -> dict[str, tuple[NDArray[Any] | Chunked, ArrayLayout]]:
    """Every array of a level with its layout, by its path inside the case."""
    image, geometry = level.image, level.geometry
    arrays: dict[str, NDArray[Any] | Chunked] = {
        label_array(check_label_name(name), number): label for name, label in level.labels.items()
    }
    for path, array in arrays.items():
        if array.shape != geometry.shape or array.dtype.kind not in "iu":
            raise StoreError(
                f"{path}: a label must hold integers on the case's grid {geometry.shape}, "
                f"this one is {array.dtype} of shape {array.shape}"
            )
    if image is not None:
        channels = 1 if image.ndim == 3 else image.shape[0]
        if image.shape[-3:] != geometry.shape or len(channel_names) not in (0, channels):
            raise StoreError(
                f"image of shape {image.shape} with {len(channel_names)} channel names does not fit "
                f"the case's grid {geometry.shape}"
            )
        arrays = {image_array(number): image} | arrays
    return {
        path: (array, plan_array(array.shape, array.dtype, chunk)) for path, array in arrays.items()
    }


def _group_documents(
    levels: Sequence[Level],
    channel_names: Sequence[str],
    label_names: Mapping[str, Mapping[int, str]],
) -> dict[str, dict[str, Any]]:
    """``zarr.json`` of every group by its path inside the case."""
    image, labels = levels[0].image, list(levels[0].labels)
    geometries = [level.geometry for level in levels]
    case = ome.image_attributes(
        geometries,
        0 if image is None else image.ndim,
        name="image",
        channel_names=channel_names,
        label_names=labels,
    )
    groups = {GROUP_FILE: case}
    if labels:
        groups[f"{LABELS_GROUP}/{GROUP_FILE}"] = ome.labels_attributes(labels)
    for name in labels:
        groups[f"{LABELS_GROUP}/{name}/{GROUP_FILE}"] = ome.label_attributes(
            geometries,
            name=name,
            value_names=label_names.get(name, {}),
            has_image=image is not None,
        )
    return {path: group_document(words) for path, words in groups.items()}


def _write_array(
    folder: Path,
    path: str,
    array: NDArray[Any] | Chunked,
    layout: ArrayLayout,
    codec: ChunkCodec,
    *,
    threads: int,
    durable: bool,
) -> Iterator[tuple[str, FileSeal]]:
    """Write every shard of one array; yields each file's path inside the case and its seal."""
    for key in layout.shard_keys():
        name, part = f"{path}/{layout.shard_file(key)}", layout.region(key)
        seal = write_shard(
            folder / name,
            array.region(part) if isinstance(array, Chunked) else array[part],
            chunk=layout.chunk,
            grid=layout.grid,
            dtype=layout.dtype,
            encode=codec.encode,
            threads=threads,
            fsync=durable,
        )
        yield name, seal
