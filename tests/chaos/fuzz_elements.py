"""Damage to what only some formats have: elements of DICOM files at any depth, chunks of a PNG."""

from __future__ import annotations

import io
import random
import struct
import warnings
import zlib
from collections.abc import Iterator

import pydicom
from chaos.fuzz_mutations import INTEGERS, Mutant
from chaos.fuzz_samples import Sample
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

_KINDS = ("DS", "IS", "LO", "UN", "OB", "OW", "US", "SS", "SL", "FD", "FL", "AT", "SQ")
_TEXTS = (
    b"", b"0", b"-1", b"1e308", b"-1e308", b"1e-320", b"nan", b"inf", b"9" * 40, b"9" * 5000, b"0\\0\\0",
    b"\\" * 40, b"1\\0\\0\\0\\1\\0", b"\0" * 12, b"\xff" * 12, b"MOSAIC", b"LABELMAP", b"\xc3\x28\n",
)  # fmt: skip


def edit_element(sample: Sample, rng: random.Random) -> Mutant | None:
    """Any element of a DICOM file, those in sequences and private ones too: lost, doubled or of other bytes.

    A deflated data set is deflated again, so that what is in it is reached.
    """
    if not sample.is_dicom:
        return None
    name = sample.any_file(rng)
    dataset = pydicom.dcmread(io.BytesIO(sample.files[name]))
    parent, element = rng.choice(list(_elements(dataset)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = io.BytesIO()
        try:
            told = _changed(parent, element, rng)
            dataset.save_as(written, enforce_file_format=False)
        except Exception:  # a value that pydicom cannot hold or write
            return None
    return Mutant("element", f"{name}: {told}", sample.with_file(name, written.getvalue()))


def _elements(dataset: Dataset) -> Iterator[tuple[Dataset, DataElement]]:
    for element in dataset:
        yield dataset, element
        if element.VR == "SQ":
            for item in element.value:
                yield from _elements(item)


def _changed(parent: Dataset, element: DataElement, rng: random.Random) -> str:
    """What was done to an element of a data set."""
    tag, where = element.tag, f"{element.tag} {element.keyword}"
    if rng.random() < 0.15:
        del parent[tag]
        return f"{where} lost"
    if element.VR == "SQ":
        items = list(element.value)
        rng.shuffle(items)
        parent[tag].value = Sequence(
            rng.choice((items[1:], [*items, *items[:1]], items, [Dataset()]))
        )
        return f"{where} of {len(parent[tag].value)} items, in another order"
    value, kind = _bytes_of(element), element.VR
    if len(value) > 4 and rng.random() < 0.6:
        damaged = bytearray(value)
        width = rng.choice((1, 2, 4))
        at = rng.randrange(len(damaged) - width + 1)
        damaged[at : at + width] = (rng.choice(INTEGERS) % (1 << 8 * width)).to_bytes(
            width, "little"
        )
        value = bytes(damaged)
    else:
        value = rng.choice(_TEXTS)
    if rng.random() < 0.1:
        kind = rng.choice(_KINDS)
    parent[tag] = _raw(tag, kind if kind != "SQ" else "UN", value)
    return f"{where} = {kind} {value[:40]!r}"


def _bytes_of(element: DataElement) -> bytes:
    value = element.value
    if isinstance(value, bytes):
        return value
    texts = value if element.VM > 1 else [value]
    return "\\".join(map(str, texts)).encode("utf-8", "replace")


def _raw(tag: pydicom.tag.BaseTag, kind: str, value: bytes) -> pydicom.dataelem.RawDataElement:
    """An element whose bytes are written as they are."""
    padded = value + b" " * (len(value) % 2)
    return pydicom.dataelem.RawDataElement(tag, kind, len(padded), padded, 0, False, True)


def edit_picture(sample: Sample, rng: random.Random) -> Mutant | None:
    """Another number in a chunk of a PNG whose checksum fits all the same, or in the tags of a TIFF."""
    if not sample.name.startswith("picture"):
        return None
    name, content = sample.source, bytearray(sample.files[sample.source])
    if name.endswith("png"):
        at = rng.choice((rng.randrange(16, 29), rng.randrange(16, len(content) - 4)))
        content[at] = rng.choice(INTEGERS) % 256
        content = bytearray(_resealed(bytes(content)))
    else:
        (tags,) = struct.unpack_from("<I", content, 4)
        at = min(tags + rng.randrange(200), len(content) - 4)
        content[at : at + 4] = (rng.choice(INTEGERS) % (1 << 32)).to_bytes(4, "little")
    return Mutant("picture", f"{name} at {at}", sample.with_file(name, bytes(content)))


def _resealed(content: bytes) -> bytes:
    """A PNG with the checksums of its chunks made to fit, as far as they are chunks."""
    out, at = [content[:8]], 8
    while at + 12 <= len(content):
        (size,) = struct.unpack_from(">I", content, at)
        body = content[at + 4 : at + 8 + size]
        out.append(content[at : at + 4] + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + size
    return b"".join(out)
