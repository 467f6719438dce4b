"""The values that a picture stores for its pixels, where its decoder gives others.

Pillow spreads grey of 2 and 4 bits over 8, mirrors TIFF whose zero is white (in 1 to 8 bits, not in 16), and
takes bytes for unsigned and 32 bits for signed. Of a label map, any of these is another class.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

_DTYPES = {"1": "u1", "L": "u1", "I;16": "u2", "I;16B": "u2", "I;16L": "u2", "I": "i4", "F": "f4"}
_GREY = re.compile(r"(?:1|L);?(?P<bits>[24])?(?P<mirrored>I)?R?")
_STEPS = {2: 85, 4: 17}  # from one value to the next, spread over 0 to 255
_PHOTOMETRIC, _X_RESOLUTION, _SAMPLE_FORMAT = 262, 282, 339
_WHITE_IS_ZERO, _UNSIGNED, _SIGNED = 0, 1, 2
_MM_PER_INCH = 25.4


@dataclass(frozen=True, slots=True)
class Samples:
    """What one page stores for a pixel.

    Attributes:
        mode: Pillow's, with ``;16`` for colours of 16 bits, of which it keeps 8.
        dtype: Of the stored values; of colours, of one of them.
        bits: That each value has.
        step: The decoder's values are so many times the stored ones.
        mirrored: The decoder put the highest in place of the lowest.
        white_is_zero: Low values are meant to be shown white.
    """

    mode: str
    dtype: str
    bits: int
    step: int = 1
    mirrored: bool = False
    white_is_zero: bool = False

    @property
    def is_grey(self) -> bool:
        return self.mode in _DTYPES

    def stored(self, decoded: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Stored values of the decoder's, of the declared dtype."""
        if not self.is_grey:
            return decoded
        if self.mode == "1":
            decoded = decoded.astype("u1")
        if self.step > 1:
            decoded = decoded // np.uint8(self.step)
        if self.mirrored:
            decoded = np.uint8(2**self.bits - 1) - decoded
        if self.dtype in ("i1", "u4"):  # the same bits, read otherwise
            decoded = decoded.view(self.dtype)
        return decoded.astype(self.dtype, copy=False)

    def as_shown(self, stored: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Stored values whose lowest and highest changed places."""
        highest = np.array(2**self.bits - 1, stored.dtype)
        return highest - stored


def samples_of(picture: Image.Image) -> Samples:
    """What the page that a picture stands at stores, by its header."""
    raw = _raw_mode(picture)
    mode = picture.mode
    if mode not in _DTYPES:
        return Samples(mode + (";16" if "16" in raw else ""), "u1", 8)
    tags = getattr(picture, "tag_v2", {})
    sample_format = _first(tags.get(_SAMPLE_FORMAT, _UNSIGNED)) if tags else None
    dtype = _DTYPES[mode]
    if raw.startswith("I;16") and mode == "I":  # signed, which Pillow widens
        dtype = "i2"
    elif mode == "I" and sample_format == _UNSIGNED:
        dtype = "u4"
    elif mode == "L" and sample_format == _SIGNED:
        dtype = "i1"
    white = _first(tags.get(_PHOTOMETRIC, 1)) == _WHITE_IS_ZERO and dtype[0] == "u"
    told = _GREY.fullmatch(raw)
    if told is None:
        return Samples(mode, dtype, 8 * np.dtype(dtype).itemsize, white_is_zero=white)
    bits = 1 if mode == "1" else int(told["bits"] or 8)
    mirrored = told["mirrored"] is not None
    return Samples(mode, dtype, bits, _STEPS.get(bits, 1), mirrored, white)


def resolution_mm(picture: Image.Image) -> tuple[float, float] | None:
    """The width and height of a pixel by the picture's resolution, which is often none of the scan's."""
    tags = getattr(picture, "tag_v2", {})
    if tags and _X_RESOLUTION not in tags:
        return None  # where Pillow tells 1
    density: Any = picture.info.get("dpi")  # of centimetres, too
    try:
        x, y = (_MM_PER_INCH / float(each) for each in density)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if x > 0 and y > 0 else None


def _raw_mode(picture: Image.Image) -> str:
    """How the decoder is to read the bytes, in Pillow's words."""
    tiles = getattr(picture, "tile", ())
    how = tiles[0][3] if tiles else ""
    return str(how[0] if isinstance(how, tuple | list) and how else how)


def _first(value: Any) -> int:
    value = value[0] if isinstance(value, tuple) and value else value
    return value if isinstance(value, int) else -1
