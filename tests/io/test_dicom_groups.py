"""Rescale lines in functional groups, of every class of images: GDCM looks there in some classes alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from support.dicom_series import enhanced

from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.values.case import Source

CLASSES = (
    uid.EnhancedCTImageStorage,
    uid.EnhancedMRImageStorage,
    uid.EnhancedPETImageStorage,
    uid.EnhancedXAImageStorage,
    uid.LegacyConvertedEnhancedCTImageStorage,
    uid.LegacyConvertedEnhancedMRImageStorage,
    uid.MRImageStorage,
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uid.OphthalmicTomographyImageStorage,
    uid.XRay3DAngiographicImageStorage,
    uid.XRay3DCraniofacialImageStorage,
)
PIXELS = np.random.default_rng(0).integers(0, 4096, (3, 32, 32), np.uint16)
FIRST, SECOND = (2.0, 5.0), (3.0, 7.0)
Line = tuple[float, float] | None


def transformation(line: tuple[float, float]) -> list[Dataset]:
    item = Dataset()
    item.RescaleSlope, item.RescaleIntercept, item.RescaleType = *line, "US"
    return [item]


def write(path: Path, sop_class: str, own: list[Line], shared: Line, top: Line) -> Path:
    one = pydicom.dcmread(enhanced(path, [0.0, 9.0, 18.0]))
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = sop_class
    one.Rows = one.Columns = 32
    one.PixelData = PIXELS.tobytes()
    groups = [*one.PerFrameFunctionalGroupsSequence, *one.SharedFunctionalGroupsSequence]
    for group, line in zip(groups, [*own, shared], strict=True):
        if line:
            group.PixelValueTransformationSequence = transformation(line)
    if top:
        one.RescaleSlope, one.RescaleIntercept = top
    one.compress(uid.JPEG2000Lossless)
    one.save_as(path)
    return path


@pytest.mark.parametrize("sop_class", CLASSES, ids=lambda each: each.name)
@pytest.mark.parametrize(
    ("own", "shared", "top"),
    [
        ([FIRST] * 3, None, None),
        ([None] * 3, FIRST, None),
        ([None] * 3, None, FIRST),
        ([FIRST] * 3, SECOND, None),
        ([FIRST] * 3, None, SECOND),
        ([None] * 3, SECOND, FIRST),
        ([FIRST, None, FIRST], None, None),
        ([None, FIRST, FIRST], SECOND, (0.5, 1.0)),
    ],
)  # fmt: skip
def test_compressed_frames_are_rescaled_by_their_own_line_in_every_class(
    tmp_path: Path, sop_class: str, own: list[Line], shared: Line, top: Line
) -> None:
    path = write(tmp_path / "e.dcm", sop_class, own, shared, top)
    lines = [line or shared or top or (1.0, 0.0) for line in own]
    expected = np.stack(
        [plane * slope + at for plane, (slope, at) in zip(PIXELS, lines, strict=True)]
    )
    for reader in ("checked", "itk"):
        rules = ReadRules(policy={"E_MIXED_RESCALE": "fix", "E_ITK": "fix"}, reader=reader)
        array = read(Source(str(path)), rules).volumes[0].array
        np.testing.assert_array_equal(array, expected)
