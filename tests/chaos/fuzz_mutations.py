"""Ways to damage a sample, and what may come of it."""

from __future__ import annotations

import gzip
import io
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pydicom
from fuzz_samples import Sample

_INTEGERS = (
    0,
    1,
    2,
    -1,
    -2,
    0x7F,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
)
_WORDS = (
    "", "0", "-1", "1e308", "-1e-308", "nan", "inf", "65535", "4294967296", "9" * 40, "0 0 0", "7 7 7 7",
    "65535 65535 65535", "99999 99999 1", "True", "False", "LIST", "%03d.raw 1 9 1", "LOCAL", "/dev/zero",
    "A" * 5000, "gzip", "bzip2", "hex", "ascii", "raw", "float", "MET_DOUBLE", "left-anterior-superior",
    "(nan,0,0) (0,1,0) (0,0,1)", "none", "\0", "é\u2028",
)  # fmt: skip
_LINES = (
    "HeaderSize = -1", "HeaderSize = 99", "CompressedDataSize = 1", "CompressedData = True",
    "BinaryDataByteOrderMSB = True", "ElementNumberOfChannels = 3", "BinaryData = False",
    "NDims = 4", "byte skip: -1", "byte skip: 8", "line skip: 1", "encoding: hex", "kinds: vector",
    "endian: big", "sizes: 1 1 1", "data file: LIST", "ElementDataFile = LIST", "space units: mm",
)  # fmt: skip
_TAGS = (
    "Rows", "Columns", "NumberOfFrames", "BitsAllocated", "BitsStored", "SamplesPerPixel", "PixelSpacing",
    "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept", "ImageType",
    "PhotometricInterpretation", "PixelRepresentation", "HighBit", "SOPClassUID", "SeriesInstanceUID",
    "SliceThickness", "PixelPaddingValue", "PerFrameFunctionalGroupsSequence", "InstanceNumber",
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A damaged sample.

    Attributes:
        kind: Which damage.
        told: What it was, in words.
        sample: The sample with its files changed; those in ``links`` became links to there.
        must_refuse: No voxels may come of it …
        must_equal: … or none but the original's.
    """

    kind: str
    told: str
    sample: Sample
    links: dict[str, Path] = field(default_factory=dict)
    must_refuse: bool = False
    must_equal: bool = False


Mutation = Callable[[Sample, random.Random], "Mutant | None"]


def _changed(sample: Sample, name: str, content: bytes) -> Sample:
    return replace(sample, files={**sample.files, name: content})


def _is_sealed(sample: Sample, name: str, at: int) -> bool:
    return sample.sealed and at >= sample.voxels_at.get(name, len(sample.files[name]) + 1)


def _is_voxel(sample: Sample, name: str, at: int) -> bool:
    return at >= sample.voxels_at.get(name, len(sample.files[name]) + 1)


def flip(sample: Sample, rng: random.Random) -> Mutant:
    name = rng.choice(list(sample.files))
    content = bytearray(sample.files[name])
    places = [rng.randrange(len(content)) for _ in range(rng.choice((1, 1, 2, 8)))]
    for at in places:
        content[at] ^= 1 << rng.randrange(8)
    sealed = all(_is_sealed(sample, name, at) for at in places)
    return Mutant(
        "flip", f"{name} at {places}", _changed(sample, name, bytes(content)), {}, must_equal=sealed
    )


def overwrite(sample: Sample, rng: random.Random) -> Mutant:
    """A hostile integer, in either byte order, mostly in the header."""
    name = rng.choice(list(sample.files))
    content = bytearray(sample.files[name])
    width = rng.choice((1, 2, 4, 8))
    end = min(len(content), rng.choice((400, 1200, len(content))))
    at = rng.randrange(max(1, end - width))
    number = rng.choice(_INTEGERS) % (1 << 8 * width)
    content[at : at + width] = number.to_bytes(width, rng.choice(("little", "big")))
    sealed = _is_sealed(sample, name, at)
    told = f"{name} at {at}: {number} in {width} bytes"
    return Mutant("overwrite", told, _changed(sample, name, bytes(content)), {}, must_equal=sealed)


def truncate(sample: Sample, rng: random.Random) -> Mutant:
    name = rng.choice(list(sample.files))
    length = len(sample.files[name])
    keep = rng.choice((0, length - 1, rng.randrange(length), rng.randrange(length)))
    told = f"{name} to {keep} of {length} bytes"
    return Mutant(
        "truncate", told, _changed(sample, name, sample.files[name][:keep]), must_equal=True
    )


def extend(sample: Sample, rng: random.Random) -> Mutant:
    name = rng.choice(list(sample.files))
    more = rng.choice((b"\0", bytes(1000), rng.randbytes(100), sample.files[name]))
    told = f"{name} by {len(more)} bytes"
    return Mutant(
        "extend",
        told,
        _changed(sample, name, sample.files[name] + more),
        must_equal=name in sample.voxels_at,
    )


def cut_out(sample: Sample, rng: random.Random) -> Mutant:
    """Bytes lost in the middle; the rest moves up."""
    name = rng.choice(list(sample.files))
    content = sample.files[name]
    at = rng.randrange(len(content))
    lost = min(rng.choice((1, 2, 4, 16, 100)), len(content) - at)
    told = f"{name}: {lost} bytes at {at}"
    changed = _changed(sample, name, content[:at] + content[at + lost :])
    return Mutant("cut out", told, changed, must_equal=_is_voxel(sample, name, at))


def edit_line(sample: Sample, rng: random.Random) -> Mutant | None:
    """Another value, a line twice, a line less, or a line more in a text header."""
    name = next(
        (name for name in sample.files if Path(name).suffix in (".mha", ".mhd", ".nrrd", ".nhdr")),
        None,
    )
    if name is None:
        return None
    end = sample.voxels_at.get(name, len(sample.files[name]))
    lines = sample.files[name][:end].split(b"\n")
    at = rng.randrange(len(lines))
    key = re.match(rb"[^=:]*[=:]? ?", lines[at])
    changes = {
        "value": [(key[0] if key else b"") + rng.choice(_WORDS).encode()],
        "twice": [lines[at], lines[at]],
        "less": [],
        "more": [rng.choice(_LINES).encode(), lines[at]],
    }
    what = rng.choice(list(changes))
    lines[at : at + 1] = changes[what]
    content = b"\n".join(lines) + sample.files[name][end:]
    return Mutant(
        "line", f"{name}, line {at}: {what} {changes[what]}"[:200], _changed(sample, name, content)
    )


def edit_tag(sample: Sample, rng: random.Random) -> Mutant | None:
    """Another value for a DICOM tag that matters, as large or as odd as its type allows."""
    if not sample.is_dicom:
        return None
    name, tag = rng.choice(list(sample.files)), rng.choice(_TAGS)
    dataset = pydicom.dcmread(io.BytesIO(sample.files[name]))
    values = [
        None,
        "",
        0,
        1,
        3,
        65535,
        -1,
        2**31,
        "nan",
        "1e308",
        ["0", "0", "0"],
        [1e9] * 6,
        "MOSAIC",
        "1.2.840.10008.1.2.4.50",
    ]
    value = rng.choice(values)
    target = rng.choice((dataset, dataset.file_meta))
    written = io.BytesIO()
    try:
        if value is None:
            del dataset[tag]
        elif target is dataset.file_meta:
            target.TransferSyntaxUID = rng.choice(
                (
                    "1.2.840.10008.1.2",
                    "1.2.840.10008.1.2.2",
                    "1.2.840.10008.1.2.4.70",
                    "1.2.840.10008.1.2.4.100",
                    "1.2.3",
                    "",
                )
            )
        else:
            setattr(dataset, tag, value)
        dataset.save_as(written, enforce_file_format=False)
    except Exception:  # a value that no writer can write
        return None
    return Mutant("tag", f"{name}: {tag} = {value!r}", _changed(sample, name, written.getvalue()))


def bomb(sample: Sample, rng: random.Random) -> Mutant:
    """Dimensions of gigabytes in whatever header there is."""
    name = sample.source or rng.choice(list(sample.files))
    content = sample.files[name]
    if sample.is_nifti:
        content = _nifti_bomb(content, rng)
    elif sample.is_dicom:
        content = _dicom_bomb(content, rng)
    else:
        size = rng.choice((b"2048 2048 2048", b"60000 60000 4", b"65535 65535 65535"))
        content = re.sub(rb"(DimSize = |sizes: )\d+ \d+ \d+", rb"\g<1>" + size, content)
    return Mutant("bomb", name, _changed(sample, name, content), must_refuse=True)


def _nifti_bomb(content: bytes, rng: random.Random) -> bytes:
    packed = content[:2] == b"\x1f\x8b"
    header = bytearray(gzip.decompress(content) if packed else content)
    start, width = (16, 8) if header[:2] == b"\x1c\x02" else (40, 2)
    lengths = rng.choice(((3, 32767, 32767, 16), (4, 1000, 1000, 1000, 8), (3, 2000, 2000, 2000)))
    for index, number in enumerate(lengths):
        at = start + width * index
        header[at : at + width] = number.to_bytes(width, "little")
    return gzip.compress(header) if packed else bytes(header)


def _dicom_bomb(content: bytes, rng: random.Random) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(content))
    dataset.Rows = dataset.Columns = rng.choice((4096, 65535))
    dataset.NumberOfFrames = rng.choice((1, 100, 10**9))
    written = io.BytesIO()
    dataset.save_as(written)
    return written.getvalue()


def trailer(sample: Sample, rng: random.Random) -> Mutant | None:
    """The checksum or the length at the end of a deflate stream."""
    name = next(iter(sample.voxels_at))
    if not sample.sealed:
        return None
    content = bytearray(sample.files[name])
    at = len(content) - 1 - rng.randrange(4 if content[sample.voxels_at[name]] == 0x78 else 8)
    content[at] = (content[at] + rng.randrange(1, 256)) % 256
    return Mutant(
        "trailer", f"{name} at {at}", _changed(sample, name, bytes(content)), must_refuse=True
    )


def lost_file(sample: Sample, rng: random.Random) -> Mutant:
    """One of the files is gone, or all but one of a series."""
    name = rng.choice(list(sample.files))
    files = {other: content for other, content in sample.files.items() if other != name}
    return Mutant("lost", name, replace(sample, files=files), must_refuse=not sample.is_dicom)


def escape(outside: Path) -> Mutation:
    """A header, a link or a link in the place of voxels that leads to a file outside the input folder."""

    def mutate(sample: Sample, rng: random.Random) -> Mutant:
        voxels = rng.choice(list(sample.voxels_at))
        header = sample.source
        if header in sample.voxels_at or sample.is_dicom or sample.is_nifti or rng.random() < 0.3:
            links = {voxels: outside / rng.choice((voxels, voxels, "pipe"))}
            files = {name: content for name, content in sample.files.items() if name != voxels}
            return Mutant(
                "escape",
                f"{voxels} is a link",
                replace(sample, files=files),
                links,
                must_refuse=True,
            )
        target = rng.choice(
            (
                str(outside / voxels),
                f"../{outside.name}/{voxels}",
                f"./../{outside.name}/{voxels}",
                f"{outside.name}\\..\\..\\{voxels}",
            )
        )
        content = re.sub(
            rb"(ElementDataFile = |data file: )[^\n]*",
            rb"\g<1>" + target.encode(),
            sample.files[header],
        )
        return Mutant(
            "escape",
            f"{header} names {target}",
            _changed(sample, header, content),
            must_refuse=True,
        )

    return mutate


def mutations(outside: Path) -> tuple[Mutation, ...]:
    """All of them, the most fruitful ones twice."""
    return (
        flip, flip, overwrite, overwrite, truncate, truncate, extend, cut_out, edit_line, edit_tag, bomb,
        trailer, lost_file, escape(outside),
    )  # fmt: skip
