"""b-values where vendors wrote them before there was a tag for them.

Siemens has a whole number in (0019,100C); GE the first of four in (0043,1039), in later years with 10⁹ on
top; Philips a float in (2001,1003). So dcm2niix reads them, too.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from pydicom.dataset import Dataset

from gpuprep.io.dicom.header import SIEMENS_B_VALUE, SIEMENS_OWNER

_GE = (0x00430010, 0x00431039, "GEMS_PARM_01")
_PHILIPS = (0x20010010, 0x20011003, "Philips Imaging DD 001")
BEHIND_TAGS: list[str | int] = [*_GE[:2], *_PHILIPS[:2], "ScanningSequence"]
_GE_LARGEST = 100_000


def siemens_b_value(dataset: Dataset) -> float | None:
    """The b-value of Siemens in s/mm², which lies before the rows and columns; None where there is none."""
    return _b_value(dataset, SIEMENS_OWNER, SIEMENS_B_VALUE, "SIEMENS MR HEADER")


def b_value_behind(dataset: Dataset) -> float | None:
    """That of GE or Philips, which lies behind them, where finding series does not look; None for none.

    GE's number means something else in images that are not echo-planar.
    """
    if (found := _b_value(dataset, *_PHILIPS)) is not None:
        return found
    sequence = dataset.get("ScanningSequence") or ()
    planar = "EP" in ([sequence] if isinstance(sequence, str) else sequence)
    found = _b_value(dataset, *_GE) if planar else None
    return None if found is None else found % _GE_LARGEST


def _b_value(dataset: Dataset, owner: int, tag: int, name: str) -> float | None:
    try:
        claimed, element = dataset.get(owner), dataset.get(tag)
    except Exception:  # of many kinds, by the tag's type; no more than a vendor's remark is lost
        return None
    if claimed is None or element is None or name not in str(claimed.value):
        return None
    return _number(element.value)


def _number(held: Any) -> float | None:
    """The first number of a value, which may lie there as bytes: text, or a float32."""
    if isinstance(held, bytes):
        text = held.split(b"\\")[0].strip(b" \0")
        if len(held) == 4 and not text.isdigit():
            held = struct.unpack("<f", held)[0]
        else:
            held = text.decode("ascii", "replace")
    elif not isinstance(held, str | int | float) and hasattr(held, "__len__"):
        held = held[0] if len(held) else ""
    try:
        number = float(held)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number >= 0 else None
