"""What Siemens' private tags say of a mosaic: how many slices it holds, and to which side they go.

The *CSA header* is a table of named texts inside one element. Its layout is published by nibabel
(https://nipy.org/nibabel/dicom/siemens_csa.html): ``SV10`` and four bytes before it in the newer form, then
the number of entries; of each its name and its items, padded to four bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection
from dataclasses import dataclass

from pydicom.dataset import Dataset

from gpuprep.io.dicom.frames import Frame, Numbers
from gpuprep.io.dicom.header import DamagedValue

_COUNT_OWNER, _COUNT = 0x00190010, 0x0019100A
_BLOCKS = range(0x10, 0x14)  # in which the header may lie
MOSAIC_TAGS: list[str | int] = [
    _COUNT_OWNER,
    _COUNT,
    *(0x00290000 + block for block in _BLOCKS),
    *(0x00290000 + (block << 8) + 0x10 for block in _BLOCKS),
]
_TAG = struct.Struct("<64si4s3i")  # name, multiplicity, VR, its code, items, 77 or 205
_ITEM = struct.Struct("<4i")
_MOST = 4096  # entries, and items of one
_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Mosaic:
    """An image that is a mosaic; what its header does not say is 0, or empty.

    Attributes:
        slices: How many tiles hold one.
        normal: The direction in which slices follow one another.
        step: From one to the next in mm, as ``SpacingBetweenSlices`` has it.
    """

    slices: int
    normal: Numbers
    step: float


def mosaic_of(dataset: Dataset) -> Mosaic:
    """What a header says of the mosaic in its file.

    Raises:
        DamagedValue: it tells of two numbers of slices.
    """
    held = _csa_bytes(dataset)
    told = read_csa(held, ("NumberOfImagesInMosaic", "SliceNormalVector")) if held else {}
    plain, listed = _whole(dataset), _count(told.get("NumberOfImagesInMosaic", ()))
    if plain and listed and plain != listed:
        wanted = f"one number of slices (it is {listed}, and (0019,100A) says {plain})"
        raise DamagedValue("NumberOfImagesInMosaic", wanted)
    slices = plain or listed
    step = Frame(dataset).numbers("", "SpacingBetweenSlices", 1) or (0.0,)
    return Mosaic(slices, _normal(told.get("SliceNormalVector", ())), abs(step[0]))


def read_csa(held: bytes, wanted: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The items of the entries with these names that are not empty; none where the table is cut or damaged.

    >>> read_csa(b"SV10", ["SliceNormalVector"])
    {}
    """
    newer = held[:4] == b"SV10"
    at = 8 if newer else 0
    found: dict[str, tuple[str, ...]] = {}
    try:
        (entries,) = struct.unpack_from("<I", held, at)
        at += 8
        first_items = 0
        for number in range(min(entries, _MOST)):
            name, _, _, _, items, _ = _TAG.unpack_from(held, at)
            at += _TAG.size
            first_items = first_items if number else items
            texts = []
            for _ in range(min(items, _MOST)):
                lengths = _ITEM.unpack_from(held, at)
                length = lengths[1] if newer else lengths[0] - first_items
                at += _ITEM.size
                if not 0 <= length <= len(held) - at:
                    return found
                texts.append(held[at : at + length].split(b"\0")[0].decode("latin-1").strip())
                at += length + -length % 4
            told = name.split(b"\0")[0].decode("latin-1")
            if told in wanted:
                found[told] = tuple(text for text in texts if text)
    except struct.error:
        pass
    return found


def _csa_bytes(dataset: Dataset) -> bytes:
    for block in _BLOCKS:
        owner = str(dataset.get(0x00290000 + block, ""))
        element = dataset.get(0x00290000 + (block << 8) + 0x10)
        if "SIEMENS CSA HEADER" in owner and element is not None:
            held = element.value
            return held if isinstance(held, bytes) else b""
    return b""


def _whole(dataset: Dataset) -> int:
    """(0019,100A), which may lie there as bytes."""
    if "SIEMENS MR HEADER" not in str(dataset.get(_COUNT_OWNER, "")):
        return 0
    element = dataset.get(_COUNT)
    held = None if element is None else element.value
    if isinstance(held, bytes):
        return int.from_bytes(held[:2], "little")
    return held if isinstance(held, int) else 0


def _count(texts: tuple[str, ...]) -> int:
    return int(texts[0]) if texts and texts[0].isdecimal() and len(texts[0]) < _DIGITS else 0


def _normal(texts: tuple[str, ...]) -> Numbers:
    try:
        numbers = tuple(float(text) for text in texts)
    except ValueError:
        return ()
    return numbers if len(numbers) == 3 and all(map(math.isfinite, numbers)) else ()
