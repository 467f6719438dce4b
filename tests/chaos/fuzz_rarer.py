"""Samples of what is rarer, for the fuzzer alone: labels that were drawn, tables, pictures, codecs."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from chaos.fuzz_samples import Sample, dicom_sample, pixel_start, voxel_planes, written
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    PositronEmissionTomographyImageStorage,
    RLELossless,
)
from support.dicom_series import dataset, enhanced
from support.mosaics import mosaic
from support.structures import (
    ORIGIN,
    SHAPE,
    SPACING,
    circle,
    write_contours,
    write_image,
    write_segmentation,
)

_MASKS = np.zeros((*SHAPE, 2), np.uint8)
_MASKS[1:3, 3:9, 4:12, 0] = 1
_MASKS[3:5, 8:15, 10:20, 1] = 1
_MAP = (_MASKS * np.array([1, 2], np.uint8)).max(-1)


def make_rarer_samples() -> list[Sample]:
    """One sample of each kind; their bytes are the same in every process but for DICOM UIDs."""
    return [*_tables(), *_codecs(), *_series(), *_structures(), *_named_layers(), *_pictures()]


def _tables() -> Iterator[Sample]:
    planes = (voxel_planes().astype(np.uint16) % 64)[:, :4, :5]
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [64, 0, 16], "US"
    table.add_new("LUTData", "OW", (np.arange(64, dtype="<u2") ** 2).tobytes())
    yield dicom_sample("dicom table", _stack(planes, ModalityLUTSequence=[table]))
    padded = {"PixelPaddingValue": 7, "PixelPaddingRangeLimit": 9, "BitsStored": 12, "HighBit": 11}
    yield dicom_sample(
        "dicom inverted", _stack(planes, PhotometricInterpretation="MONOCHROME1", **padded)
    )
    deflated = _stack(planes)
    for one in deflated:
        one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    yield dicom_sample("dicom deflated", deflated)


def _codecs() -> Iterator[Sample]:
    pixels = np.random.default_rng(3).integers(0, 4096, (32, 32), np.uint16)
    for syntax in (JPEGLSLossless, JPEG2000Lossless, RLELossless):
        one = dataset(
            Rows=32, Columns=32, BitsStored=12, HighBit=11, PixelData=pixels.tobytes(),
            PhotometricInterpretation="MONOCHROME1",
        )  # fmt: skip
        one.compress(syntax)
        yield dicom_sample(f"dicom inverted {syntax.name}", [one])


def _series() -> Iterator[Sample]:
    echoes = [
        one
        for echo in (4.92, 9.8)
        for one in _stack(
            voxel_planes()[:3, :4, :5].astype(np.uint16), Modality="MR", EchoTime=echo
        )
    ]
    for number, one in enumerate(echoes):
        one.InstanceNumber = number + 1
    yield replace(dicom_sample("dicom echoes", echoes), volume="TE 9.8")
    files = written(lambda folder: enhanced(folder / "e.dcm", [0, 9, 18, 0, 9, 18]))
    one = pydicom.dcmread(io.BytesIO(files["e.dcm"]))
    for number, frame in enumerate(one.PerFrameFunctionalGroupsSequence):
        item = Dataset()
        item.TemporalPositionIndex = number // 3 + 1
        frame.FrameContentSequence = [item]
    yield replace(dicom_sample("dicom enhanced times", [one]), volume="t1")
    yield dicom_sample("dicom mosaic of old", [mosaic("oblique", newer=False, count_tag=False)])
    yield dicom_sample("dicom uptake", _stack(voxel_planes()[:3, :4, :5].astype(np.uint16), **_PET))


def _stack(planes: np.ndarray, **tags: Any) -> list[Dataset]:
    rows, columns = planes.shape[1:]
    sop_class = {}
    if tags.get("Modality") == "PT":
        sop_class = {"sop_class": PositronEmissionTomographyImageStorage}
    return [
        dataset(
            **sop_class, Rows=rows, Columns=columns, PixelData=plane.tobytes(), InstanceNumber=z + 1,
            ImagePositionPatient=[0, 0, 3 * z], **tags,
        )
        for z, plane in enumerate(planes)
    ]  # fmt: skip


def _tracer() -> Dataset:
    item = Dataset()
    item.RadionuclideTotalDose, item.RadionuclideHalfLife = 3.7e8, 6586.2
    item.RadiopharmaceuticalStartDateTime = "20200102110000"
    return item


_PET = {
    "Modality": "PT", "Units": "BQML", "DecayCorrection": "START", "CorrectedImage": ["ATTN", "DECY"],
    "SeriesDate": "20200102", "SeriesTime": "120000", "AcquisitionDate": "20200102",
    "AcquisitionTime": "120000", "PatientWeight": 70, "PatientSize": 1.8, "PatientSex": "F",
    "RadiopharmaceuticalInformationSequence": [_tracer()],
}  # fmt: skip


def _structures() -> Iterator[Sample]:
    def drawn(
        name: str, write: Callable[[Path, list[Dataset]], object], volume: str = ""
    ) -> Sample:
        def write_all(folder: Path) -> None:
            write(folder / "drawn.dcm", write_image(folder / "ct"))

        files = written(write_all)
        voxels = {} if name == "RTSTRUCT" else {"drawn.dcm": pixel_start(files["drawn.dcm"])}
        return Sample(
            f"dicom {name}", files, "drawn.dcm", voxels, False, drawn_on="ct", volume=volume
        )

    names = ["Liver", "Spleen"]
    yield drawn("SEG", lambda path, images: write_segmentation(path, images, _MASKS, names), "2,1")
    for kind, pixels in (("LABELMAP", _MAP), ("FRACTIONAL", _MASKS.astype(np.float32) * 0.5)):
        yield drawn(
            f"SEG {kind}",
            lambda path, images, k=kind, p=pixels: write_segmentation(path, images, p, names, k),
        )

    def write_packed(path: Path, images: list[Dataset]) -> None:
        write_segmentation(path, images, _MAP, names, "LABELMAP", transfer_syntax_uid=RLELossless)

    yield drawn("SEG RLE", write_packed)

    def write_deflated(path: Path, images: list[Dataset]) -> None:
        one = pydicom.dcmread(write_segmentation(path, images, _MASKS, names))
        one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        one.save_as(path)

    yield drawn("SEG deflated", write_deflated)

    def write_lines(path: Path, images: list[Dataset]) -> None:
        heights = [ORIGIN[2] + z * SPACING[0] for z in (1, 2, 3)]
        rois = {
            "GTV": [circle(3.05, (-4.0, 13.0), height, 40) for height in heights],
            "ring": [
                circle(size, (-7.0, 9.0), height, 20) for height in heights for size in (1, 2)
            ],
        }
        write_contours(path, rois)

    yield drawn("RTSTRUCT", write_lines)


def _named_layers() -> Iterator[Sample]:
    layers = np.moveaxis(_MASKS, -1, 0)
    for name, order, kinds in (
        ("first", "2 24 20 6", "list domain domain domain"),
        ("last", "24 20 6 2", "domain domain domain list"),
    ):
        vectors = ["none", "(0.5,0,0)", "(0,0.8,0)", "(0,0,2.5)"]
        packed = np.ascontiguousarray(np.moveaxis(layers, 0, -1) if name == "first" else layers)
        header = (
            f"NRRD0004\ntype: unsigned char\ndimension: 4\nsizes: {order}\nspace: LPS\nkinds: {kinds}\n"
            f"space directions: {' '.join(vectors if name == 'first' else [*vectors[1:], 'none'])}\n"
            "space origin: (-10,5,40)\nencoding: raw\n"
            "Segment0_Name:=Leber\nSegment0_Layer:=0\nSegment0_LabelValue:=1\n"
            "Segment1_Name:=Milz ü\nSegment1_Layer:=1\nSegment1_LabelValue:=1\n\n"
        ).encode()
        files = {"v.seg.nrrd": header + packed.tobytes()}
        yield Sample(
            f".seg.nrrd {name}",
            files,
            "v.seg.nrrd",
            {"v.seg.nrrd": len(header)},
            False,
            volume="1:1,0:1",
        )


def _pictures() -> Iterator[Sample]:
    plane = voxel_planes()[0].astype(np.uint16)
    for suffix, mode, more in (
        ("png", "8", {}), ("png", "16", {}), ("tif", "16", {}),
        ("tif", "16 deflated", {"compression": "tiff_adobe_deflate"}),
    ):  # fmt: skip
        pixels = plane if mode.startswith("16") else plane.astype(np.uint8)

        def write(
            folder: Path, s: str = suffix, p: np.ndarray = pixels, m: dict[str, str] = more
        ) -> None:
            Image.fromarray(p).save(folder / f"v.{s}", **m)

        files, name = written(write), f"v.{suffix}"
        start = files[name].index(b"IDAT") + 4 if suffix == "png" else len(files[name]) - 1
        sealed = suffix == "png"
        at = {name: start} if sealed else {name: len(files[name])}
        yield Sample(f"picture {suffix} {mode}", files, name, at, sealed, spacing=(1.0, 2.0))
