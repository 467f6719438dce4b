"""PNG and TIFF files as Pillow opens them: these two alone, within our own limits, its faults as ours."""

from __future__ import annotations

import errno
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import MM, OPEN_INFO

from gpuprep.io.hashed import open_regular
from gpuprep.values.errors import InputError

_PNG = b"\x89PNG\r\n\x1a\n"
_FORMATS = ("PNG", "TIFF")
_UNSIGNED_BIG = (MM, 1, (1,), 1, (32,), ())
"""Grey of 32 unsigned bits, big-endian: Pillow has no entry for it, but one for the same in little-endian."""
_AS_SIGNED = ("I", "I;32BS")
_OF_THE_MACHINE = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}
_TORN = ("truncated", "not enough", "unexpected end", "broken data stream")


@contextmanager
def opened_picture(path: Path) -> Iterator[Image.Image]:
    """A picture by Pillow: PNG or TIFF alone, its faults as ours, and our own limits in place of its.

    Its pixels are decoded by ``pixels_of``.
    """
    try:
        with open_regular(path) as file, _our_pillow(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd tags
            with Image.open(file, formats=_FORMATS) as picture:
                yield picture
    except InputError:
        raise
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # which is of a place no file can have
            raise
        raise _fault(path, error) from error
    except (SyntaxError, ValueError, TypeError, KeyError, EOFError, OverflowError) as error:
        raise _fault(path, error) from error
    except (struct.error, zlib.error, IndexError, AttributeError) as error:
        raise _fault(path, error) from error


@contextmanager
def _our_pillow() -> Iterator[None]:
    """Without Pillow's limit of pixels; and with unsigned ones that it would give as signed."""
    most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    knows = OPEN_INFO.setdefault(_UNSIGNED_BIG, _AS_SIGNED) is not _AS_SIGNED
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = most
        if not knows:
            OPEN_INFO.pop(_UNSIGNED_BIG, None)


def pixels_of(picture: Image.Image) -> NDArray[Any]:
    """The pixels of the page that a picture stands at.

    Of a compressed TIFF they come from libtiff, in the machine's order of bytes. Pillow 13 knows that of
    unsigned 16 bits alone, and turns all others of big-endian files round once more.
    """
    tiles: Any = getattr(picture, "tile", ())
    if tiles and tiles[0][0] == "libtiff":
        (*where, (kind, *others)) = tiles[0]
        told = (*where, (_OF_THE_MACHINE.get(kind, kind), *others))
        named: Any = getattr(tiles[0], "_make", tuple)  # older Pillows have plain tuples
        tiles[0] = named(told)
    return np.asarray(picture)


def _fault(path: Path, error: Exception) -> InputError:
    told = str(error) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):  # whose text names an object of Python
        told = "its kind of pixels or compression is not known"
    torn = any(word in told.lower() for word in _TORN)
    code, advice = (
        ("E_TRUNCATED", "Copy or download the file again.")
        if torn
        else ("E_UNREADABLE", "Save the picture again as PNG or TIFF of one number per pixel.")
    )
    return InputError(code, f"the picture cannot be decoded: {told}", path=str(path), advice=advice)


def check_sums(path: Path) -> None:
    """Refuse a PNG with a chunk whose CRC-32 is another, or without its last chunk; Pillow looks at few."""
    with open_regular(path) as file:
        if file.read(len(_PNG)) != _PNG:
            return
        kind, longest = b"", path.stat().st_size
        while kind != b"IEND":
            head = file.read(8)
            size, kind = struct.unpack(">I4s", head) if len(head) == 8 else (0, b"")
            body, told = file.read(min(size, longest)), file.read(4)
            if len(told) < 4:
                raise _fault(path, ValueError("it is truncated"))
            if zlib.crc32(kind + body) != int.from_bytes(told, "big"):
                text = f"the checksum of its chunk {kind.decode('ascii', 'replace')} does not fit"
                raise _fault(path, ValueError(text))
