"""The table that takes the place of the rescale line: the Modality LUT Sequence (PS3.3, C.11.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from gpuprep.io.dicom.header import DamagedValue, value

_MOST = 65_536
_BITS = range(8, 17)


@dataclass(frozen=True, slots=True)
class ModalityTable:
    """What stored pixels mean: an entry for each from ``first`` on; those beyond an end mean what it does.

    ``entries`` are unsigned, of 8 bits as bytes and else as little-endian words.
    """

    first: int
    bits: int
    entries: bytes

    @property
    def meanings(self) -> NDArray[Any]:
        """The entries, uint8 or uint16."""
        return np.frombuffer(self.entries, "u1" if self.bits == 8 else "<u2")

    def of(self, stored: NDArray[Any]) -> NDArray[Any]:
        """The meaning of each stored pixel."""
        meanings = self.meanings
        index = stored.astype(np.int64) - self.first
        return meanings[np.clip(index, 0, len(meanings) - 1, out=index)]


def table_of(dataset: Dataset, *, signed: bool, big_endian: bool) -> ModalityTable | None:
    """The table of a file; None where it has none. ``signed`` says whether pixels are.

    Raises:
        DamagedValue: there are several, it declares what cannot be, or it is not as long as it declares.
    """
    items = list(value(dataset, "ModalityLUTSequence", "a sequence") or [])
    if not items:
        return None
    if len(items) > 1:
        raise DamagedValue("ModalityLUTSequence", f"one table (it holds {len(items)})")
    count, first, bits = _descriptor(items[0], signed=signed, big_endian=big_endian)
    return ModalityTable(first, bits, _entries(items[0], count, bits, big_endian=big_endian))


def _descriptor(item: Dataset, *, signed: bool, big_endian: bool) -> tuple[int, int, int]:
    """Number of entries, first pixel with one, and bits of an entry.

    The number is unsigned, with 0 for 2¹⁶, and the first pixel has the sign of the pixels, whatever the file
    says of the sign of all three.
    """
    found = value(item, "LUTDescriptor", "three whole numbers")
    try:
        if isinstance(found, bytes):  # of a file without VRs, whose sign the reader did not know
            found = struct.unpack(f"{'>' if big_endian else '<'}3H", found)
        count, first, bits = (int(each) for each in found)
    except (TypeError, ValueError, struct.error) as error:
        raise DamagedValue("LUTDescriptor", "three whole numbers") from error
    count = count % _MOST or _MOST
    first %= _MOST
    if signed and first >= _MOST // 2:
        first -= _MOST
    if bits not in _BITS:
        raise DamagedValue("LUTDescriptor", f"one of entries of 8 to 16 bits (it says {bits})")
    return count, first, bits


def _entries(item: Dataset, count: int, bits: int, *, big_endian: bool) -> bytes:
    """The entries as ``ModalityTable`` has them; 8 bits may lie in words of their own, or two in one."""
    found = value(item, "LUTData", "a table")
    order = ">" if big_endian else "<"
    if isinstance(found, bytes):
        stored = found
    else:
        numbers = [] if found is None else [found] if isinstance(found, int) else list(found)
        stored = b"".join(
            (int(each) % _MOST).to_bytes(2, "big" if big_endian else "little") for each in numbers
        )
    words = np.frombuffer(stored[: len(stored) // 2 * 2], f"{order}u2").astype("<u2")
    if len(stored) == 2 * count:
        if int(words.max()) >> bits:
            raise DamagedValue(
                "LUTData", f"of entries of {bits} bits (they go up to {int(words.max())})"
            )
        return words.astype("u1" if bits == 8 else "<u2").tobytes()
    if bits == 8 and len(stored) == count + count % 2:
        return (words.tobytes() if big_endian else stored)[:count]
    raise DamagedValue(
        "LUTData", f"{count:,} entries of {bits} bits (it has {len(stored):,} bytes)"
    )
