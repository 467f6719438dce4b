"""DICOM SEG that contradicts itself, or would give other voxels than it means: refused, or told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless
from support.structures import (
    ORIGIN,
    SHAPE,
    SPACING,
    image_of,
    numbered,
    two_masks,
    write_image,
    write_segmentation,
)

from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

RULES = ReadRules()


@pytest.fixture
def masks() -> np.ndarray:
    return two_masks()


@pytest.mark.parametrize(
    ("tag", "value"), [("NumberOfFrames", 2**31 - 1), ("NumberOfFrames", 1), ("Rows", 0)]
)
def test_a_header_that_contradicts_its_frames_is_refused(
    tmp_path: Path, masks: np.ndarray, tag: str, value: int
) -> None:
    images = write_image(tmp_path / "ct")
    file = write_segmentation(tmp_path / "s.dcm", images, masks, ["Liver", "Spleen"], "BINARY")
    dataset = dcmread(file)
    setattr(dataset, tag, value)
    dataset.save_as(file)
    source = Source(str(file), drawn_on=image_of(tmp_path / "ct"))
    for look in (read, peek):
        with pytest.raises(InputError, match=r"E_UNREADABLE.* frames of .* and places \d+"):
            look(source, RULES)


def changed(file: Path, change: Callable[[Dataset], None]) -> Path:
    one = dcmread(file)
    change(one)
    one.save_as(file)
    return file


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda one: setattr(one, "BitsAllocated", 0), "0 bits each"),
        (lambda one: delattr(one, "SegmentSequence"), "does not describe"),
        (lambda one: setattr(one.SegmentSequence[1], "SegmentNumber", 1), "of segment 2"),
        (lambda one: setattr(one, "SegmentationType", "FRACTIONAL"), "have 1 bit each"),
        (lambda one: setattr(one, "SegmentationType", "OCCUPANCY"), "type is OCCUPANCY, none of"),
        (lambda one: setattr(one, "SamplesPerPixel", 3), "3 numbers each"),
    ],
)
def test_headers_that_would_give_other_voxels_are_refused(
    tmp_path: Path, masks: np.ndarray, change: Callable[[Dataset], None], text: str
) -> None:
    images = write_image(tmp_path / "ct")
    file = changed(write_segmentation(tmp_path / "s.dcm", images, masks, ["A", "B"]), change)
    for way in (peek, read):
        with pytest.raises(InputError, match=text) as refused:
            way(Source(str(file), drawn_on=image_of(tmp_path / "ct")), RULES)
        assert refused.value.code == "E_UNREADABLE"


def test_numbers_beyond_the_described_ones_are_refused(tmp_path: Path, masks: np.ndarray) -> None:
    images = write_image(tmp_path / "ct")
    made = write_segmentation(tmp_path / "s.dcm", images, numbered(masks), ["A", "B"], "LABELMAP")

    def widen(one: Dataset) -> None:
        stored = np.frombuffer(one.PixelData, np.uint8).astype("<u2")
        one.PixelData = np.where(stored == 2, 300, stored).astype("<u2").tobytes()
        one.BitsAllocated = one.BitsStored = 16
        one.HighBit = 15

    with pytest.raises(InputError, match="number 300") as refused:
        read(Source(str(changed(made, widen)), drawn_on=image_of(tmp_path / "ct")), RULES)
    assert refused.value.code == "E_UNREADABLE"


@pytest.mark.parametrize("beyond", [-1, SHAPE[0], SHAPE[0] + 7, 4e29])
def test_a_frame_beyond_the_slices_is_lost_and_told(
    tmp_path: Path, masks: np.ndarray, beyond: float
) -> None:
    images = write_image(tmp_path / "ct")
    made = write_segmentation(tmp_path / "s.dcm", images, masks, ["A", "B"])

    height = ORIGIN[2] + beyond * SPACING[0]

    def move(one: Dataset) -> None:
        place = one.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
        place.ImagePositionPatient = [ORIGIN[0], ORIGIN[1], height]

    scan = read(Source(str(changed(made, move)), drawn_on=image_of(tmp_path / "ct")), RULES)
    assert [finding.code for finding in scan.findings] == ["W_LABEL_LOST"]


@pytest.mark.parametrize("drawn_on", [True, False])
def test_a_frame_where_no_patient_can_be_is_refused(
    tmp_path: Path, masks: np.ndarray, drawn_on: bool
) -> None:
    images = write_image(tmp_path / "ct")
    made = write_segmentation(tmp_path / "s.dcm", images, masks, ["A", "B"])

    def move(one: Dataset) -> None:
        for frame, height in zip(one.PerFrameFunctionalGroupsSequence[:2], (1, -1), strict=True):
            frame.PlanePositionSequence[0].ImagePositionPatient = [0, 0, height * 1e308]

    file = str(changed(made, move))
    source = Source(file, drawn_on=image_of(tmp_path / "ct") if drawn_on else None)
    with pytest.raises(InputError, match=r"E_NO_GEOMETRY.*where no patient can"):
        read(source, RULES)


def test_numbers_have_no_sign_whatever_the_header_says(tmp_path: Path, masks: np.ndarray) -> None:
    images = write_image(tmp_path / "ct")
    names = [f"part {number}" for number in range(1, 256)]
    given = numbered(masks)
    given[given == 2] = 255
    made = write_segmentation(tmp_path / "s.dcm", images, given, names, "LABELMAP")
    for packed in (False, True):

        def sign(one: Dataset, packed: bool = packed) -> None:
            one.PixelRepresentation = 1
            if packed:
                one.compress(RLELossless)

        source = Source(str(changed(made, sign)), drawn_on=image_of(tmp_path / "ct"))
        assert np.array_equal(read(source, RULES).volumes[0].array, given)


@pytest.mark.parametrize(("tag", "kind"), [("PixelData", "FD"), ("MaximumFractionalValue", "US")])
def test_values_of_another_kind_are_refused_as_damage(
    tmp_path: Path, masks: np.ndarray, tag: str, kind: str
) -> None:
    images = write_image(tmp_path / "ct")
    made = write_segmentation(tmp_path / "s.dcm", images, masks * 0.5, ["A", "B"], "FRACTIONAL")

    def change(one: Dataset) -> None:
        one[tag].VR, one[tag].value = kind, [0] * 4

    source = Source(str(changed(made, change)), drawn_on=image_of(tmp_path / "ct"))
    with pytest.raises(InputError, match=r"E_UNREADABLE.*(no row of bytes|header is damaged)"):
        read(source, RULES)


@pytest.mark.parametrize("packed", [False, True])
def test_frames_that_no_file_of_its_size_can_hold_take_no_memory(
    tmp_path: Path, masks: np.ndarray, packed: bool
) -> None:
    """Labels of 3.6 GB, which would be made before a pixel of them is looked for."""
    images = write_image(tmp_path / "ct")
    made = write_segmentation(tmp_path / "s.dcm", images, numbered(masks), ["A", "B"], "LABELMAP")

    def claim(one: Dataset) -> None:
        if packed:
            one.compress(RLELossless)
        one.Rows = one.Columns = 30_000

    def never(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        raise AssertionError(f"{shape} {dtype} were asked for")

    source = Source(str(changed(made, claim)))
    with pytest.raises(InputError, match=r"E_TRUNCATED.*declares 3,600,000,000 bytes"):
        read(source, RULES, never)
    with pytest.raises(InputError, match="E_TRUNCATED"):
        peek(source, RULES)
