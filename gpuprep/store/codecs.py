"""How one chunk becomes bytes: the presets, their Zarr v3 metadata, and the way back.

Every chunk also carries a CRC32C, because Blosc notices few flipped bits by itself. One Blosc block holds
64 KiB, a whole 32³ chunk of two-byte voxels.

A cohort is written once and read for months, so ``balanced`` searches the highest bytes of the voxels with
LZ4HC and the others with LZ4 (see ``planes``): on a real CT (float16, 32³) it decodes three times faster than
zstd for 20 % more bytes, and takes 7 % fewer bytes than ``fast``, which is encoded 1.8 times faster.
``tight`` searches all bytes with LZ4HC for long: 7 to 11 % fewer bytes, decoded by a quarter faster, but it
takes 12 to 26 times as long to encode. ``dense`` is for slow disks. Where a sample of the voxels shrinks
better unshuffled, as floats that take few values do, it stays so; rounded voxels (``store.keep_bits``) that
shrink better bit by bit go so. In ``fast`` and ``dense``, integers go with bitshuffle (13 % smaller in LZ4).
Single bytes are never shuffled: a bitshuffled label map takes two to five times as long to decode.
``benchmarks/store_codecs.py`` prints the table.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numcodecs.blosc
import numcodecs.zstd
import numpy as np
from numpy.typing import NDArray

from gpuprep.store.planes import encode_planes
from gpuprep.values.errors import StoreError, UsageError

# Blosc's own thread pool is global state that neither forks nor mixes with our threads.
numcodecs.blosc.use_threads = False

CRC_BYTES = 4
BLOCK_BYTES = 64 << 10

Bytes = NDArray[np.uint8]
Encode = Callable[[NDArray[Any]], bytes]
Decode = Callable[[Bytes, NDArray[Any]], None]

Searched = tuple[str, int]

_BALANCED: Searched = ("lz4hc", 1)
_TIGHT: Searched = ("lz4hc", 9)
_BLOSC_PRESETS = {"fast": ("lz4", 5), "dense": ("zstd", 3)}
PRESETS = ("balanced", "tight", *_BLOSC_PRESETS, "gpu")
_GAIN = 0.9  # of the bytes of a sample shuffled by bytes, or it stays so: it decodes faster

_SHUFFLES = {
    "noshuffle": numcodecs.blosc.NOSHUFFLE,
    "shuffle": numcodecs.blosc.SHUFFLE,
    "bitshuffle": numcodecs.blosc.BITSHUFFLE,
}
_BLOSC_HEADER = struct.Struct("<4xI4xI")  # decoded and encoded size
_BLOSC_HEADER_BYTES = 16
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, slots=True)
class ChunkCodec:
    """The encoder of one preset for one dtype, and the Zarr v3 codecs that describe its bytes."""

    encode: Encode
    metadata: list[dict[str, Any]]


def preset(
    name: str,
    dtype: np.dtype[Any],
    sample: Iterable[NDArray[Any]] = (),
    *,
    rounded: bool = False,
) -> ChunkCodec:
    """The codec of a preset: ``balanced``, ``tight``, ``fast``, ``dense`` or ``gpu``.

    All but the last are Blosc; ``gpu`` is plain zstd, which a GPU can write too.

    Args:
        name: The preset.
        dtype: Little-endian dtype of the voxels.
        sample: Some chunks of the array, by which ``balanced`` and ``tight`` decide how to shuffle.
        rounded: Whether the last bits of all voxels are 0: then these two may shuffle by bits.

    Raises:
        UsageError: there is no such preset.
    """
    if name == "gpu":
        compressor = numcodecs.zstd.Zstd(level=1)
        words = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
        return ChunkCodec(compressor.encode, [bytes_codec(dtype), words, {"name": "crc32c"}])
    if name == "balanced":
        return _tried(_BALANCED, dtype, encode_planes, sample, rounded=rounded)
    if name == "tight":
        level = _TIGHT[0].encode(), _TIGHT[1]
        planes = partial(encode_planes, highest=level, others=level)
        return _tried(_TIGHT, dtype, planes, sample, rounded=rounded)
    if name in _BLOSC_PRESETS:
        return _blosc(*_BLOSC_PRESETS[name], _shuffle(dtype), dtype)
    raise UsageError(f"codec {name!r} is unknown; choose one of {', '.join(PRESETS)}")


def _shuffle(dtype: np.dtype[Any]) -> str:
    if dtype.itemsize == 1:
        return "noshuffle"
    return "shuffle" if dtype.kind == "f" else "bitshuffle"


def _blosc(
    cname: str, level: int, shuffle: str, dtype: np.dtype[Any], encode: Encode | None = None
) -> ChunkCodec:
    """Blosc with its description; ``encode`` if something else than Blosc puts the chunks together."""
    compressor = numcodecs.blosc.Blosc(cname, level, _SHUFFLES[shuffle], BLOCK_BYTES)
    settings = {"cname": cname, "clevel": level, "shuffle": shuffle, "blocksize": BLOCK_BYTES}
    words = {"name": "blosc", "configuration": {"typesize": dtype.itemsize, **settings}}
    metadata = [bytes_codec(dtype), words, {"name": "crc32c"}]
    return ChunkCodec(encode or compressor.encode, metadata)


def _tried(
    codec: Searched,
    dtype: np.dtype[Any],
    planes: Encode,
    sample: Iterable[NDArray[Any]],
    *,
    rounded: bool,
) -> ChunkCodec:
    """Byte planes, unless a sample shrinks so much more another way that it is worth slower decoding."""
    if dtype.itemsize == 1:
        return _blosc(*codec, "noshuffle", dtype)
    chunks = list(sample)
    best, least = _blosc(*codec, "shuffle", dtype, planes), _size(planes, chunks)
    whole = least
    for shuffle in ("noshuffle", "bitshuffle") if rounded else ("noshuffle",):
        other = _blosc(*codec, shuffle, dtype)
        if (size := _size(other.encode, chunks)) < min(least, _GAIN * whole):
            best, least = other, size
    return best


def _size(encode: Encode, chunks: Sequence[NDArray[Any]]) -> int:
    return sum(len(encode(chunk)) for chunk in chunks)


def bytes_codec(dtype: np.dtype[Any]) -> dict[str, Any]:
    """Zarr's ``bytes`` codec, which names a byte order only where there is one."""
    if dtype.itemsize == 1:
        return {"name": "bytes"}
    return {"name": "bytes", "configuration": {"endian": "little"}}


def find_decoder(metadata: Sequence[Mapping[str, Any]], dtype: np.dtype[Any]) -> Decode:
    """The function that decodes one chunk (without its CRC) into an array of a chunk's shape.

    It raises ValueError or RuntimeError for bytes that are not exactly one chunk.

    Raises:
        StoreError: the codecs are not ``bytes``, one of ``blosc``, ``zstd`` or none, ``crc32c``.
    """
    names = [str(codec["name"]) for codec in metadata]
    inner = names[1:-1]
    framed = len(names) >= 2 and names[-1] == "crc32c" and metadata[0] == bytes_codec(dtype)
    if not framed or len(inner) > 1 or (inner and inner[0] not in _DECODERS):
        raise StoreError(
            f"codecs {' → '.join(names)} are not among those gpuprep reads",
            advice="open this array with zarr.open, which knows every codec",
        )
    return _DECODERS[inner[0]] if inner else _decode_raw


def _decode_blosc(piece: Bytes, out: NDArray[Any]) -> None:
    """Blosc trusts the sizes in its header, so they are compared first."""
    if len(piece) < _BLOSC_HEADER_BYTES:
        raise ValueError(f"a Blosc chunk of {len(piece)} bytes has no room for its header")
    decoded, encoded = _BLOSC_HEADER.unpack_from(piece.data)
    if decoded != out.nbytes or encoded != len(piece):
        raise ValueError(
            f"Blosc header says {encoded} → {decoded} bytes, the chunk is {len(piece)} → {out.nbytes}"
        )
    numcodecs.blosc.decompress(piece, out)


def check_frame(piece: Bytes, size: int) -> None:
    """Raises ValueError unless a zstd frame begins here that declares ``size`` decoded bytes."""
    decoded = _zstd_content_size(piece[:18].tobytes())
    if decoded != size:
        raise ValueError(f"the zstd frame says {decoded or 'no'} bytes, the chunk has {size}")


def _decode_zstd(piece: Bytes, out: NDArray[Any]) -> None:
    decoded = _zstd_content_size(piece[:18].tobytes())
    if decoded not in (None, out.nbytes):
        raise ValueError(f"the zstd frame says {decoded} bytes, the chunk has {out.nbytes}")
    numcodecs.zstd.decompress(piece, out)


def _zstd_content_size(header: bytes) -> int | None:
    """The decoded size a zstd frame declares, None where it declares none (RFC 8878, 3.1.1.1)."""
    if header[:4] != _ZSTD_MAGIC or len(header) < 6:
        raise ValueError("the chunk does not begin with a zstd frame")
    descriptor = header[4]
    single = descriptor >> 5 & 1
    width = (single, 2, 4, 8)[descriptor >> 6]
    start = 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3]
    if width == 0:
        return None
    return int.from_bytes(header[start : start + width], "little") + (256 if width == 2 else 0)


def _decode_raw(piece: Bytes, out: NDArray[Any]) -> None:
    if len(piece) != out.nbytes:
        raise ValueError(f"an uncompressed chunk has {len(piece)} bytes instead of {out.nbytes}")
    out.reshape(-1).view(np.uint8)[:] = piece


_DECODERS: dict[str, Decode] = {"blosc": _decode_blosc, "zstd": _decode_zstd}
