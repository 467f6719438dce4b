"""Damage to what a header says: lines, tags, sizes, and the names of other files."""

from __future__ import annotations

import gzip
import io
import random
import re
from dataclasses import replace
from pathlib import Path

import pydicom
from chaos.fuzz_mutations import Mutant, Mutation
from chaos.fuzz_samples import Sample

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
        "line", f"{name}, line {at}: {what} {changes[what]}"[:200], sample.with_file(name, content)
    )


def edit_tag(sample: Sample, rng: random.Random) -> Mutant | None:
    """Another value for a DICOM tag that matters, as large or as odd as its type allows."""
    if not sample.is_dicom:
        return None
    name, tag = sample.any_file(rng), rng.choice(_TAGS)
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
    return Mutant("tag", f"{name}: {tag} = {value!r}", sample.with_file(name, written.getvalue()))


def bomb(sample: Sample, rng: random.Random) -> Mutant | None:
    """Dimensions of gigabytes in whatever header there is; contours have none."""
    name = sample.source or rng.choice(list(sample.files))
    content = sample.files[name]
    if sample.is_picture or (sample.is_dicom and not sample.voxels_at):
        return None
    if sample.is_nifti:
        content = _nifti_bomb(content, rng)
    elif sample.is_dicom:
        content = _dicom_bomb(content, rng)
    else:
        size = rng.choice((b"2048 2048 2048", b"60000 60000 4", b"65535 65535 65535"))
        content = re.sub(rb"(DimSize = |sizes: )\d+ \d+ \d+", rb"\g<1>" + size, content)
    return Mutant("bomb", name, sample.with_file(name, content), must_refuse=True)


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


def escape(outside: Path) -> Mutation:
    """A header, a link or a link in the place of voxels that leads to a file outside the input folder."""

    def mutate(sample: Sample, rng: random.Random) -> Mutant | None:
        if not sample.voxels_at:
            return None
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
            sample.with_file(header, content),
            must_refuse=True,
        )

    return mutate
