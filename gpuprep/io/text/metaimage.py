"""The header of a MetaImage file (``.mha``, or ``.mhd`` with its voxels in another file)."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from gpuprep.io.grid import placement
from gpuprep.io.text.header import (
    TextHeader,
    numbers,
    read_start,
    unreadable,
    volume_shape,
    voxel_file,
    whole,
)
from gpuprep.values.errors import InputError
from gpuprep.values.geometry import Affine

_DTYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2",
    "MET_INT": "i4", "MET_UINT": "u4", "MET_LONG": "i4", "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
_SPACING = ("ElementSpacing", "ElementSize")
_ORIGIN = ("Offset", "Origin", "Position")
_TRUE, _FALSE = ("T", "t", "1"), ("F", "f", "0")
"""The first letters by which MetaIO tells the two apart."""
_BYTE_ORDER = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
_MATRIX = ("TransformMatrix", "Rotation", "Orientation")
_AT_END = -1  # a HeaderSize: the voxels are the last bytes of their file
_LAST = re.compile(
    rb"^[ \t]*ElementDataFile[ \t]*=[ \t]*([^\r\n]*?)[ \t]*\r?(?:\n|\Z)", re.MULTILINE
)


def looks_like_meta(start: bytes) -> bool:
    """True if a file that begins with these bytes is a MetaImage header."""
    return re.match(rb"\s*(ObjectType|NDims)[ \t]*=", start) is not None


def read_meta_header(path: Path) -> TextHeader:
    """Parse and check the header; see ``TextHeader``.

    Raises:
        InputError: E_UNREADABLE, E_PIXEL_TYPE, E_NOT_VOLUME, E_UNSAFE_PATH.
    """
    start = read_start(path)
    last = _LAST.search(start)
    if last is None or start.count(b"ElementDataFile", 0, last.end()) != 1:
        raise unreadable(path, "the MetaImage header has no ElementDataFile line of its own")
    fields = _fields(path, start[: last.start()])
    axes = whole(path, "NDims", fields.get("NDims", ""), 1)[0]
    shape, volumes = volume_shape(path, whole(path, "DimSize", fields.get("DimSize", ""), axes))
    components = whole(path, "channels", fields.get("ElementNumberOfChannels", "1"), 1)[0]
    if components < 1 or (components > 1 and volumes > 1):
        text = f"{volumes} volumes of {components} components each"
        raise InputError("E_NOT_VOLUME", text, path=str(path))
    layout, stored = (volumes, *shape, components), _stored(path, fields)
    voxel_path, offset = _voxels(path, last[1].decode("utf-8", "replace"), last.end(), fields)
    if offset == _AT_END:
        offset = max(0, voxel_path.stat().st_size - math.prod(layout) * stored.itemsize)
    return TextHeader(
        path=path,
        voxel_path=voxel_path,
        shape=shape,
        layout=layout,
        channel_axis=0 if components == 1 else 4,
        stored=stored,
        affine=_affine(path, fields, axes),
        placed=any(key in fields for key in _SPACING),
        encoding=_encoding(fields),
        offset=offset,
        compressed=_compressed(path, fields),
        flat=axes == 2,
    )


def _fields(path: Path, text: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in text.decode("utf-8", "replace").splitlines():
        key, equals, value = line.partition("=")
        name = key.strip()
        if not line.strip():
            continue
        # MetaIO also splits at ':' and lets the last of two equal keys win; neither is ever written.
        if not equals or ":" in name or name in fields:
            raise unreadable(path, f"the header line {line.strip()[:60]!r} is ambiguous")
        fields[name] = value.strip()
    for key in ("BinaryData", "CompressedData", *_BYTE_ORDER):
        if fields.get(key, "True")[:1] not in _TRUE + _FALSE:
            raise unreadable(path, f"{key} is {fields[key][:60]!r}, neither True nor False")
    return fields


def _stored(path: Path, fields: dict[str, str]) -> np.dtype[np.generic]:
    name = fields.get("ElementType", "")
    if name not in _DTYPES:
        text = f"the ElementType {name!r} is not one number per voxel"
        raise InputError("E_PIXEL_TYPE", text, path=str(path))
    big_endian = _first(fields, _BYTE_ORDER, "False")[0] in _TRUE
    return np.dtype(_DTYPES[name]).newbyteorder(">" if big_endian else "<")


def _affine(path: Path, fields: dict[str, str], axes: int) -> Affine:
    """MetaImage writes one row per index axis; the rows are the directions."""
    size = _first(fields, _SPACING, " ".join(["1"] * axes))
    spacing = numbers(path, "ElementSpacing", size, axes)
    origin = numbers(path, "Offset", _first(fields, _ORIGIN, " ".join(["0"] * axes)), axes)
    identity = " ".join(str(value) for value in np.eye(axes).ravel())
    matrix = numbers(path, "TransformMatrix", _first(fields, _MATRIX, identity), axes * axes)
    rows = np.reshape(matrix, (axes, axes)) * np.array(spacing)[:, None]
    return placement([row[:3] for row in rows[:3].tolist()], origin)


def _first(fields: dict[str, str], keys: tuple[str, ...], default: str) -> str:
    return next((fields[key] for key in keys if key in fields), default)


def _encoding(fields: dict[str, str]) -> str:
    if fields.get("BinaryData", "True")[0] not in _TRUE:
        return "text"
    return "deflate" if fields.get("CompressedData", "False")[0] in _TRUE else "raw"


def _compressed(path: Path, fields: dict[str, str]) -> int | None:
    size = whole(path, "CompressedDataSize", fields.get("CompressedDataSize", "0"), 1)[0]
    return size if size > 0 and _encoding(fields) == "deflate" else None


def _voxels(path: Path, name: str, end: int, fields: dict[str, str]) -> tuple[Path, int]:
    """The file with the voxels and where they begin in it, or ``_AT_END``."""
    skip = whole(path, "HeaderSize", fields.get("HeaderSize", "0"), 1)[0]
    local = name.upper() == "LOCAL"
    if skip < _AT_END or (skip != 0 and (local or _encoding(fields) != "raw")):
        raise unreadable(path, f"HeaderSize is {skip}, which cannot be for these voxels")
    return (path, end) if local else (voxel_file(path, name), skip)
