"""The header of an NRRD file (``.nrrd``, or ``.nhdr`` with its voxels in another file)."""

from __future__ import annotations

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
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_CODE = {name: code for code, names in _DTYPES.items() for name in names}
_TO_LPS = {
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
}  # fmt: skip
_SPATIAL = ("domain", "space", "???", "none")
_REFUSED = ("color", "complex")
_ENCODINGS = {
    "raw": "raw", "gzip": "deflate", "gz": "deflate",
    "hex": "hex", "ascii": "text", "text": "text", "txt": "text",
}  # fmt: skip
_LINE = re.compile(rb"\r\n|\n|\r")
_BLANK = re.compile(rb"(\r\n|\n|\r)(\r\n|\n|\r)")


def looks_like_nrrd(start: bytes) -> bool:
    """True if a file that begins with these bytes is an NRRD header."""
    return re.match(rb"NRRD000\d", start) is not None


def read_nrrd_header(path: Path) -> TextHeader:
    """Parse and check the header; see ``TextHeader``.

    Raises:
        InputError: E_UNREADABLE, E_PIXEL_TYPE, E_NOT_VOLUME, E_UNSAFE_PATH.
    """
    start = read_start(path)
    blank = _BLANK.search(start)
    text, offset = (start[: blank.start()], blank.end()) if blank else (start, 0)
    fields = _fields(path, text)
    if blank is None and "datafile" not in fields:
        raise unreadable(path, "the NRRD header has no blank line at its end")
    sizes = whole(path, "sizes", fields.get("sizes", ""))
    if len(sizes) != whole(path, "dimension", fields.get("dimension", ""), 1)[0]:
        raise unreadable(path, f"{len(sizes)} sizes for dimension {fields.get('dimension')!r}")
    axes = _spatial_axes(path, fields, len(sizes))
    shape, volumes = volume_shape(path, [sizes[axis] for axis in axes])
    components = [size for axis, size in enumerate(sizes) if axis not in axes]
    if len(components) > 1 or (components and volumes > 1) or min([1, *components]) < 1:
        raise InputError("E_NOT_VOLUME", f"sizes {sizes} are no row of volumes", path=str(path))
    encoding = _ENCODINGS.get(fields.get("encoding", "").lower())
    if encoding is None:  # ITK's reader can die of one
        name = fields.get("encoding", "")[:60]
        raise unreadable(path, f"the encoding {name!r} is none of {', '.join(_ENCODINGS)}")
    affine, placed = _affine(path, fields, axes)
    voxel_path, offset = _voxels(path, fields, offset)
    return TextHeader(
        path=path,
        voxel_path=voxel_path,
        shape=shape,
        layout=tuple(sizes[::-1]),
        channel_axis=_channel_axis(axes, len(sizes)),
        stored=_stored(path, fields),
        affine=affine,
        placed=placed,
        encoding=encoding,
        offset=offset,
        flat=len(axes) == 2,
    )


def _fields(path: Path, text: bytes) -> dict[str, str]:
    """Fields by name in lower case without spaces; key/value lines (``:=``) and comments are left out."""
    fields: dict[str, str] = {}
    for line in _LINE.split(text)[1:]:
        words = line.decode("utf-8", "replace")
        key, colon, value = words.partition(":")
        if not words or words.startswith("#") or value.startswith("="):
            continue
        if not colon:
            raise unreadable(path, f"the header line {words[:60]!r} has no ':'")
        name = re.sub(r"[\s_]", "", key).lower()
        if name in fields:
            raise unreadable(path, f"the header has the field {key.strip()!r} twice")
        fields[name] = value.strip()
    return fields


def _spatial_axes(path: Path, fields: dict[str, str], count: int) -> list[int]:
    """The axes that are space; another one holds components of a voxel, or time."""
    spatial = ["domain"] * count
    for axis, (_, none) in enumerate(_vectors(fields)[:count]):
        spatial[axis] = "vector" if none else "domain"
    kinds = fields["kinds"].lower().split() if "kinds" in fields else spatial
    if len(kinds) != count:
        raise unreadable(path, f"{len(kinds)} kinds for {count} axes")
    if bad := next((kind for kind in kinds if any(word in kind for word in _REFUSED)), None):
        text = f"voxels are of kind {bad!r}, not one intensity each"
        raise InputError("E_PIXEL_TYPE", text, path=str(path))
    return [axis for axis, kind in enumerate(kinds) if kind in _SPATIAL]


def _channel_axis(axes: list[int], count: int) -> int | None:
    """The axis of the stored array, slowest first, that holds channels."""
    if count > 4 or len(axes) == count < 4:
        return None
    fastest = next((axis for axis in range(count) if axis not in axes), 3)
    return count - 1 - fastest


def _stored(path: Path, fields: dict[str, str]) -> np.dtype[np.generic]:
    name = " ".join(fields.get("type", "").lower().split())
    if name not in _CODE:
        text = f"the type {name!r} is not one number per voxel"
        raise InputError("E_PIXEL_TYPE", text, path=str(path))
    dtype, endian = np.dtype(_CODE[name]), fields.get("endian", "").lower()
    if dtype.itemsize > 1 and endian not in ("little", "big"):
        raise unreadable(path, f"the endian of {dtype} voxels is {endian!r}")
    return dtype.newbyteorder(">" if endian == "big" else "<")


def _affine(path: Path, fields: dict[str, str], axes: list[int]) -> tuple[Affine, bool]:
    """The affine, and whether the header says where that is in the patient."""
    if "spacedirections" not in fields:
        given = numbers(path, "spacings", fields.get("spacings", ""))
        spacing = [given[axis] if axis < len(given) else 1.0 for axis in axes[:3]]
        return placement(np.diag(spacing).tolist(), ()), False
    vectors = _vectors(fields)
    if len(vectors) <= max(axes):
        raise unreadable(path, f"{len(vectors)} space directions for {max(axes) + 1} axes")
    if len(axes) < min(3, len(fields["sizes"].split())):
        raise unreadable(path, "an axis of the volume has no space direction")
    steps = [
        numbers(path, "space directions", vectors[axis][0].replace(",", " ")) for axis in axes[:3]
    ]
    origin = fields.get("spaceorigin", "").strip("()").replace(",", " ")
    affine = placement(steps, numbers(path, "space origin", origin))
    space = fields.get("space", "").lower().removesuffix("-time")
    signs = _TO_LPS.get(space[:3] if len(space) == 4 else space)
    return np.diag([*(signs or (1, 1, 1)), 1.0]) @ affine, signs is not None


def _vectors(fields: dict[str, str]) -> list[tuple[str, str]]:
    """Per axis the inside of its parenthesis, or ``none``."""
    return re.findall(r"\(([^)]*)\)|(none)", fields.get("spacedirections", ""), re.IGNORECASE)


def _voxels(path: Path, fields: dict[str, str], offset: int) -> tuple[Path, int]:
    """The file with the voxels and where they begin in it."""
    skip = whole(path, "byte skip", fields.get("byteskip", "0"), 1)[0]
    if skip != 0 or whole(path, "line skip", fields.get("lineskip", "0"), 1)[0] != 0:
        raise unreadable(path, "byte skip and line skip are not supported")
    name = fields.get("datafile")
    return (path, offset) if name is None else (voxel_file(path, name), 0)
