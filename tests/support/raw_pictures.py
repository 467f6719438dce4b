"""PNG and TIFF files put together bit by bit: what they store is known without any decoder."""

import struct
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


def packed(values: NDArray[Any], bits: int, order: Literal["<", ">"] = ">") -> list[bytes]:
    """The bytes of each row, the first pixel in the highest bits."""
    if bits >= 8:
        wide = values.astype(values.dtype.newbyteorder(order))
        return [row.tobytes() for row in wide]
    rows = []
    for row in values:
        text = "".join(f"{int(value):0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        rows.append(int(text, 2).to_bytes(len(text) // 8, "big"))
    return rows


def write_png(
    path: Path,
    values: NDArray[Any],
    bits: int,
    *,
    palette: bool = False,
    gray_key: int | None = None,
) -> Path:
    """Grey of some bits, or indices of a palette; ``gray_key`` is a value that is declared transparent."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    rows, columns = values.shape
    header = struct.pack(">IIBBBBB", columns, rows, bits, 3 if palette else 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in packed(values, bits)))
    body = chunk(b"IHDR", header)
    if palette:
        colours = np.random.default_rng(1).integers(0, 255, 3 << bits).astype("u1")
        body += chunk(b"PLTE", colours.tobytes())
    if gray_key is not None:
        body += chunk(b"tRNS", struct.pack(">H", gray_key))
    body += chunk(b"IDAT", data) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def write_tiff(
    path: Path,
    *pages: NDArray[Any],
    bits: int,
    white_is_zero: bool | tuple[bool, ...] = False,
    kind: Literal[1, 2, 3] = 1,
    order: Literal["<", ">"] = "<",
    more: dict[int, tuple[int, int]] | None = None,
    deflated: bool = False,
) -> Path:
    """Pages, as they are or deflated; ``kind`` is unsigned, signed or float, ``more`` further tags by type
    and value."""
    shown = white_is_zero if isinstance(white_is_zero, tuple) else (white_is_zero,) * len(pages)
    blob = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 0)
    where = 4
    for values, white in zip(pages, shown, strict=True):
        start = len(blob)
        data = b"".join(packed(values, bits, order))
        data = zlib.compress(data) if deflated else data
        blob += data + b"\0" * (len(data) % 2)
        rows, columns = values.shape
        tags = {
            **{256: (3, columns), 257: (3, rows), 258: (3, bits), 259: (3, 8 if deflated else 1)},
            **{262: (3, 0 if white else 1), 273: (4, start), 277: (3, 1), 278: (3, rows)},
            **{279: (4, len(data)), 339: (3, kind), **(more or {})},
        }
        blob = blob[:where] + struct.pack(order + "I", len(blob)) + blob[where + 4 :]
        blob += struct.pack(order + "H", len(tags))
        for tag, (kind_of_tag, value) in sorted(tags.items()):
            blob += struct.pack(order + "HHI", tag, kind_of_tag, 1)
            blob += struct.pack(
                order + ("HH" if kind_of_tag == 3 else "I"),
                *([value, 0] if kind_of_tag == 3 else [value]),
            )
        where = len(blob)
        blob += struct.pack(order + "I", 0)
    path.write_bytes(blob)
    return path
