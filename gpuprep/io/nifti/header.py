"""The NIfTI header: versions 1 and 2, both byte orders, single files, pairs, and Analyze 7.5.

nibabel knows the fields; what they mean for us, and which of them cannot be true, is decided here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header

from gpuprep.io.integrity import ByteSource
from gpuprep.io.voxels import StoredVoxels
from gpuprep.values.errors import InputError

Kind = Literal["single", "pair", "analyze"]

_DTYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8",
    256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
_REFUSED = {
    1: "single bits", 32: "complex numbers", 128: "RGB colours", 1536: "128-bit floats",
    1792: "complex numbers", 2048: "complex numbers", 2304: "RGBA colours",
}  # fmt: skip
_SIZES = {348: Nifti1Header, 540: Nifti2Header}
_MAGIC: dict[bytes, tuple[Kind, int]] = {
    b"n+1\0": ("single", 352),
    b"n+2\0": ("single", 544),
    b"ni1\0": ("pair", 0),
    b"ni2\0": ("pair", 0),
}


@dataclass(frozen=True, kw_only=True)
class NiftiHeader(StoredVoxels):
    """A header whose voxels can be found; ``fields`` is nibabel's."""

    kind: Kind
    fields: Any

    @property
    def version(self) -> int:
        return 2 if isinstance(self.fields, Nifti2Header) else 1


def looks_like_nifti(start: bytes) -> bool:
    """True if a file that begins with these (decompressed) bytes has a NIfTI or Analyze header."""
    sizes = (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big"))
    return any(size in _SIZES for size in sizes)


def read_header(source: ByteSource, *, any_type: bool = False) -> NiftiHeader:
    """The header at the beginning of ``source``, which is left just behind it.

    With ``any_type`` voxels may be colours or complex numbers, which are described as bytes.

    Raises:
        InputError: E_UNREADABLE, E_PIXEL_TYPE, E_NOT_VOLUME.
    """
    path = str(source.path)
    block = source.read(4)
    order: Literal["<", ">"] = "<" if int.from_bytes(block, "little") in _SIZES else ">"
    layout = _SIZES.get(int.from_bytes(block, "little" if order == "<" else "big"))
    if layout is None:
        raise _unreadable(path, f"it begins with {block.hex(' ') or 'nothing'}, not a NIfTI header")
    block += source.read(layout.sizeof_hdr - 4)
    if len(block) < layout.sizeof_hdr:
        raise _unreadable(
            path, f"the file ends after {len(block)} of {layout.sizeof_hdr} header bytes"
        )
    fields = layout(block, endianness=order, check=False)
    kind, least = _kind(fields, path)
    shape, channels = _shape(fields, path)
    return NiftiHeader(
        kind=kind,
        fields=fields,
        shape=shape,
        layout=(channels, *shape),
        channel_axis=0,
        line=_line(fields, path),
        stored=_stored_dtype(fields, path, any_type=any_type).newbyteorder(order),
        offset=_offset(fields, kind, least, path),
        flat=int(fields["dim"][0]) == 2,
    )


def _kind(fields: Any, path: str) -> tuple[Kind, int]:
    magic = bytes(fields["magic"].tobytes())[:4]
    if magic in _MAGIC:
        return _MAGIC[magic]
    if path.lower().endswith((".hdr", ".hdr.gz")):
        return "analyze", 0
    raise _unreadable(path, f"the header's magic is {magic!r}, neither NIfTI-1 nor NIfTI-2")


def _shape(fields: Any, path: str) -> tuple[tuple[int, int, int], int]:
    """Shape z, y, x and the number of channels: the one axis beyond the third that is longer than 1."""
    count = int(fields["dim"][0])
    if not 1 <= count <= 7:
        raise _unreadable(path, f"the header declares {count} dimensions")
    lengths = [int(length) for length in fields["dim"][1 : count + 1]]
    text = "×".join(map(str, lengths))
    if min(lengths) < 1:
        raise InputError("E_NOT_VOLUME", f"the header declares {text} voxels", path=path)
    more = [length for length in lengths[3:] if length > 1]
    if count == 1 or len(more) > 1:
        raise InputError(
            "E_NOT_VOLUME",
            f"{text} voxels are neither a volume nor a row of volumes",
            path=path,
            advice="Split the file into one volume per channel.",
        )
    x, y, z = [*lengths[:3], 1][:3]
    return (z, y, x), more[0] if more else 1


def _stored_dtype(fields: Any, path: str, *, any_type: bool) -> np.dtype[Any]:
    code = int(fields["datatype"])
    if any_type and code not in _DTYPES:
        return np.dtype("u1")
    if code not in _DTYPES:
        what = _REFUSED.get(code, f"of unknown type {code}")
        raise InputError(
            "E_PIXEL_TYPE",
            f"voxels are {what}, not one intensity each (NIfTI datatype {code})",
            path=path,
            advice="Convert the file to one integer or float per voxel.",
        )
    return np.dtype(_DTYPES[code])


def _line(fields: Any, path: str) -> tuple[float, float]:
    """Slope and intercept; a slope of 0 or NaN means that voxels are as stored (the NIfTI standard)."""
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or not math.isfinite(slope):
        return 1.0, 0.0
    if not math.isfinite(intercept):
        raise _unreadable(path, f"scl_inter is {intercept} while scl_slope is {slope:g}")
    return slope, intercept


def _offset(fields: Any, kind: Kind, least: int, path: str) -> int:
    offset = float(fields["vox_offset"])
    if kind == "single" and offset == 0:
        return least
    if not math.isfinite(offset) or offset < least or offset >= 2**53:
        raise _unreadable(path, f"voxels begin at byte {offset:g}, which cannot be")
    return int(offset)


def _unreadable(path: str, reason: str) -> InputError:
    return InputError(
        "E_UNREADABLE", reason, path=path, advice="Check that the file is a whole NIfTI file."
    )
