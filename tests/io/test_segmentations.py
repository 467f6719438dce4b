"""DICOM SEG as highdicom writes it, against the masks that went in."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless
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
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

RULES = ReadRules()


@pytest.fixture
def masks() -> np.ndarray:
    return two_masks()


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
@pytest.mark.parametrize("whole", [True, False])
def test_every_kind_of_segmentation_lies_on_its_image(
    tmp_path: Path, masks: np.ndarray, kind: str, whole: bool
) -> None:
    images = write_image(tmp_path / "ct")
    given = numbered(masks) if kind == "LABELMAP" else masks
    if kind == "FRACTIONAL":
        given = masks.astype(np.float32) * 0.5
    file = write_segmentation(
        tmp_path / "s.dcm", images, given, ["Liver", "Spleen"], kind, omit_empty_frames=whole
    )
    source = Source(str(file), drawn_on=image_of(tmp_path / "ct"))
    scan = read(source, RULES)
    assert np.array_equal(scan.volumes[0].array, numbered(masks))
    assert scan.geometry == read(image_of(tmp_path / "ct"), RULES).geometry
    assert scan.header["structures"] == {"1": "Liver", "2": "Spleen"}
    codes = [finding.code for finding in scan.findings]
    assert codes == (["W_LABEL_FRACTIONAL"] if kind == "FRACTIONAL" else [])
    told = peek(source, RULES)
    assert (told.geometry, told.dtype) == (scan.geometry, str(scan.volumes[0].array.dtype))


@pytest.mark.parametrize(
    ("kind", "syntax"),
    [("BINARY", RLELossless), ("FRACTIONAL", RLELossless), ("LABELMAP", RLELossless)],
)
def test_compressed_frames(tmp_path: Path, masks: np.ndarray, kind: str, syntax: str) -> None:
    images = write_image(tmp_path / "ct")
    given = numbered(masks) if kind == "LABELMAP" else masks
    made = write_segmentation(tmp_path / "plain.dcm", images, given, ["A", "B"], kind)
    try:
        file = write_segmentation(
            tmp_path / "s.dcm", images, given, ["A", "B"], kind, transfer_syntax_uid=syntax
        )
    except ValueError:
        file = made
    scan = read(Source(str(file), drawn_on=image_of(tmp_path / "ct")), RULES)
    assert np.array_equal(scan.volumes[0].array, numbered(masks))


def test_without_an_image_it_has_a_grid_of_its_own(tmp_path: Path, masks: np.ndarray) -> None:
    images = write_image(tmp_path / "ct")
    masks[3:5] = 0
    masks[5, 0, 0, 1] = 1  # slices 3 and 4 are empty, and have no frames
    file = write_segmentation(tmp_path / "s.dcm", images, masks, ["A", "B"])
    scan = read(Source(str(file)), RULES)
    assert np.array_equal(scan.volumes[0].array, numbered(masks)[1:])
    assert scan.geometry.spacing_zyx == pytest.approx(SPACING)
    assert scan.geometry.origin == pytest.approx((ORIGIN[0], ORIGIN[1], ORIGIN[2] + SPACING[0]))


def test_frames_count_where_they_lie_and_not_as_they_come(
    tmp_path: Path, masks: np.ndarray
) -> None:
    """Turned frames, in disorder, on the image's grid: pixels go where their positions say."""
    images = write_image(tmp_path / "ct")
    file = write_segmentation(tmp_path / "s.dcm", images, masks, ["A", "B"], "FRACTIONAL")
    changed = dcmread(file)
    frames = changed.pixel_array[::-1, :, ::-1]  # the last first, and columns from right to left
    groups = list(changed.PerFrameFunctionalGroupsSequence)[::-1]
    for group in groups:
        place = group.PlanePositionSequence[0]
        x, y, z = place.ImagePositionPatient
        place.ImagePositionPatient = [x + SPACING[2] * (SHAPE[2] - 1), y, z]
    changed.PerFrameFunctionalGroupsSequence = groups
    plane = changed.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    plane.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
    changed.PixelData = np.ascontiguousarray(frames).tobytes()
    changed.save_as(file)
    scan = read(Source(str(file), drawn_on=image_of(tmp_path / "ct")), RULES)
    assert np.array_equal(scan.volumes[0].array, numbered(masks))


def test_overlap_is_refused_with_names_and_voxels_or_the_later_wins(
    tmp_path: Path, masks: np.ndarray
) -> None:
    images = write_image(tmp_path / "ct")
    masks[2, 3:5, 4:7, 1] = 1
    file = write_segmentation(tmp_path / "s.dcm", images, masks, ["Liver", "Tumour"])
    source = Source(str(file), drawn_on=image_of(tmp_path / "ct"))
    with pytest.raises(InputError, match="Liver and Tumour share 6 voxels") as caught:
        read(source, RULES)
    assert caught.value.code == "E_LABEL_OVERLAP"
    scan = read(source, ReadRules(policy={"E_LABEL_OVERLAP": "warn"}))
    assert np.array_equal(scan.volumes[0].array, numbered(masks))
    alone = read(Source(str(file), volume="1", drawn_on=image_of(tmp_path / "ct")), RULES)
    assert np.array_equal(alone.volumes[0].array, masks[..., 0])
    both = read(Source(str(file), volume="1+2", drawn_on=image_of(tmp_path / "ct")), RULES)
    assert np.array_equal(both.volumes[0].array, masks.max(-1))


def test_voxels_outside_the_image_are_counted(tmp_path: Path, masks: np.ndarray) -> None:
    images = write_image(tmp_path / "ct")
    file = write_segmentation(tmp_path / "s.dcm", images, masks, ["A", "B"])
    for name in ("0.dcm", "1.dcm"):
        (tmp_path / "ct" / name).unlink()
    scan = read(Source(str(file), drawn_on=image_of(tmp_path / "ct")), RULES)
    assert np.array_equal(scan.volumes[0].array, numbered(masks)[2:])
    (finding,) = (each for each in scan.findings if each.code == "W_LABEL_LOST")
    assert finding.values["voxels"] == masks[:2].sum()


@pytest.mark.parametrize("cut", [1, 200])
def test_a_segmentation_that_was_cut_off_is_refused(
    tmp_path: Path, masks: np.ndarray, cut: int
) -> None:
    images = write_image(tmp_path / "ct")
    file = write_segmentation(tmp_path / "s.dcm", images, masks, ["A", "B"])
    changed = dcmread(file)
    changed.PixelData = changed.PixelData[: -cut - 1]
    changed.save_as(file)
    with pytest.raises(InputError, match="frames"):
        read(Source(str(file), drawn_on=image_of(tmp_path / "ct")), RULES)


def test_the_sandbox_reads_as_this_process_does(tmp_path: Path, masks: np.ndarray) -> None:
    images = write_image(tmp_path / "ct")
    file = write_segmentation(tmp_path / "s.dcm", images, masks, ["A", "B"])
    source = Source(str(file), drawn_on=image_of(tmp_path / "ct"))
    here = read(source, RULES)
    with Sandbox(RULES) as sandbox:
        there = sandbox.read(source)
        assert sandbox.peek(source) == peek(source, RULES)
    assert np.array_equal(here.volumes[0].array, there.volumes[0].array)
    assert (here.geometry, here.header) == (there.geometry, there.header)


def test_highdicom_is_a_foreign_oracle_of_what_its_file_holds(
    tmp_path: Path, masks: np.ndarray
) -> None:
    """Its own reading of the file, as one map of numbers, is what we read."""
    images = write_image(tmp_path / "ct")
    file = write_segmentation(tmp_path / "s.dcm", images, masks, ["A", "B"])
    theirs = hd.seg.segread(str(file)).get_volume(combine_segments=True).array
    ours = read(Source(str(file)), RULES).volumes[0].array
    rows = [np.asarray(plane) for plane in theirs]
    assert any(np.array_equal(np.stack(order), ours) for order in (rows, rows[::-1]))


def test_a_public_file_of_dcmqi_holds_what_its_maker_drew(scans: Path) -> None:
    """Beside it lies the label map that it was made of."""
    folder = scans / "nasty_dicom/ge_pad3024_ct3slice"
    image = Source(str(folder), tuple(str(folder / f"0{number}.dcm") for number in (1, 2, 3)))
    ours = read(Source(str(folder / "liver.dcm"), drawn_on=image), RULES)
    theirs = read(Source(str(folder / "liver_seg.nrrd")), RULES)
    assert ours.geometry.distance(theirs.geometry) < 1e-3
    assert np.array_equal(ours.volumes[0].array != 0, theirs.volumes[0].array != 0)
    assert int(ours.volumes[0].array.sum()) == 107_098


def test_native_syntax_is_what_the_tests_write(tmp_path: Path, masks: np.ndarray) -> None:
    file = write_segmentation(tmp_path / "s.dcm", write_image(tmp_path / "ct"), masks, ["A", "B"])
    assert dcmread(file).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_a_deflated_one_may_be_as_large_as_its_header_explains(
    tmp_path: Path, masks: np.ndarray
) -> None:
    """71 MB of pixels, more than all else of a deflated file may take."""
    images = write_image(tmp_path / "ct")
    file = write_segmentation(tmp_path / "s.dcm", images, numbered(masks), ["A", "B"], "LABELMAP")
    one = dcmread(file)
    frames = int(one.NumberOfFrames)
    one.Rows = one.Columns = 4200
    pixels = np.zeros((frames, 4200, 4200), np.uint8)
    pixels[-1, -1, -5:] = 2
    one.PixelData = pixels.tobytes()
    one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    one.save_as(file)
    assert file.stat().st_size < 1 << 20
    array = read(Source(str(file)), RULES).volumes[0].array
    assert array[:, -1, -6:].max(axis=0).tolist() == [0, 2, 2, 2, 2, 2]
    assert np.count_nonzero(array) == 5
