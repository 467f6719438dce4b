"""RTSTRUCT on series that lie any way in the patient: each contour on the very slice it was drawn on."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from support.dicom_series import dataset
from support.structures import write_contours, write_segmentation

from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source

ROWS, COLUMNS, DOWN, RIGHT = 21, 17, 0.7, 0.9
ORIGIN = np.array([-31.3, 12.7, 55.1])
TILT = [0, np.sin(0.3), np.cos(0.3)]
EVEN, GAP, UNEVEN = [2] * 6, [2, 2, 4, 2, 2, 2], [1, 1, 1, 5, 5, 5]
OBLIQUE = ([0.8, 0.6, 0], [-0.48, 0.64, 0.6])
AXIAL = ([1, 0, 0], [0, 1, 0])
SERIES = {
    "axial": (*AXIAL, [0, 0, 1], EVEN, ""),
    "axial, from above": (*AXIAL, [0, 0, -1], EVEN, ""),
    "prone": ([-1, 0, 0], [0, -1, 0], [0, 0, 1], EVEN, ""),
    "mirrored rows": ([1, 0, 0], [0, -1, 0], [0, 0, 1], EVEN, ""),
    "sagittal": ([0, 1, 0], [0, 0, -1], [1, 0, 0], EVEN, ""),
    "coronal": ([1, 0, 0], [0, 0, -1], [0, 1, 0], EVEN, ""),
    "oblique": (*OBLIQUE, -np.cross(*OBLIQUE), EVEN, ""),
    "tilted, shifted back": (*AXIAL, TILT, EVEN, "fix"),
    "tilted, ignored": (*AXIAL, TILT, EVEN, "warn"),
    "a gap, filled": (*AXIAL, [0, 0, 1], GAP, "fix"),
    "a gap, ignored": (*AXIAL, [0, 0, 1], GAP, "warn"),
    "uneven, ignored": (*OBLIQUE, -np.cross(*OBLIQUE), UNEVEN, "warn"),
    "tilted and uneven": (*AXIAL, TILT, UNEVEN, "fix"),
    "tilted and uneven, ignored": (*AXIAL, TILT, UNEVEN, "warn"),
}


def write_slices(folder: Path, name: str) -> tuple[list[Dataset], NDArray[np.float64]]:
    """Slices whose voxels are all their own number, and where each begins."""
    row, column, along, gaps, _ = SERIES[name]
    heights = np.concatenate([[0], np.cumsum(gaps)])
    places = ORIGIN + heights[:, None] * np.asarray(along, float)
    folder.mkdir()
    found = []
    for number, place in enumerate(places):
        one = dataset(
            Rows=ROWS, Columns=COLUMNS, PixelSpacing=[DOWN, RIGHT], SliceThickness=1,
            ImageOrientationPatient=[*map(float, row), *map(float, column)],
            ImagePositionPatient=[float(f"{value:.9g}") for value in place],
            PixelData=np.full((ROWS, COLUMNS), number, "<u2").tobytes(), InstanceNumber=number + 1,
            FrameOfReferenceUID="1.2.9", PatientID="p", PatientName="p^", PatientBirthDate="",
            PatientSex="", StudyDate="", StudyTime="", StudyID="", AccessionNumber="",
            ReferringPhysicianName="", SeriesNumber=1, PositionReferenceIndicator="",
        )  # fmt: skip
        one.save_as(folder / f"{number}.dcm", enforce_file_format=True)
        found.append(dcmread(folder / f"{number}.dcm"))
    return found, places


def star(rng: np.random.Generator) -> NDArray[np.float64]:
    """A polygon in mm from the first voxel's centre, along rows and along columns."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(5, 40)))
    radii = rng.uniform(2, 6, len(angles))
    middle = np.array([COLUMNS * RIGHT, ROWS * DOWN]) / 2
    return middle + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def within(corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The voxels of a plane from which a ray to smaller x crosses an odd number of edges, one by one."""
    y, x = np.mgrid[:ROWS, :COLUMNS] * np.array([DOWN, RIGHT])[:, None, None]
    found = np.zeros((ROWS, COLUMNS), np.bool_)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        crossed = (ay <= y) != (by <= y)
        found ^= crossed & (x >= ax + (y - ay) * (bx - ax) / (by - ay))
    return found


def rules_of(name: str) -> ReadRules:
    policy = SERIES[name][-1]
    return ReadRules(policy={"E_TILT": policy, "E_SLICE_GAP": policy} if policy else {})


def check(label: Scan, image: Scan, masks: dict[int, NDArray[np.bool_]]) -> None:
    assert (label.geometry, label.heights) == (image.geometry, image.heights)
    assert [finding.code for finding in label.findings] == []
    for plane, pixels in zip(label.volumes[0].array, image.volumes[0].array, strict=True):
        (number,) = np.unique(pixels).tolist()
        empty = np.zeros((ROWS, COLUMNS), np.bool_)
        np.testing.assert_array_equal(plane != 0, masks.get(number, empty))


@pytest.mark.parametrize("name", SERIES)
def test_a_contour_is_on_the_slice_it_was_drawn_on(tmp_path: Path, name: str) -> None:
    _, places = write_slices(tmp_path / "ct", name)
    row, column = (np.asarray(part, float) for part in SERIES[name][:2])
    rng = np.random.default_rng(len(name))
    stars = {number: star(rng) for number in range(1, len(places) - 1)}
    contours = [
        places[number] + corners[:, :1] * row + corners[:, 1:] * column
        for number, corners in stars.items()
    ]
    file = write_contours(tmp_path / "rt.dcm", {"GTV": contours})
    image, rules = Source(str(tmp_path / "ct")), rules_of(name)
    label = read(Source(str(file), drawn_on=image), rules)
    check(label, read(image, rules), {number: within(each) for number, each in stars.items()})
    assert peek(Source(str(file), drawn_on=image), rules).geometry == label.geometry


@pytest.mark.parametrize(
    "name", ["oblique", "tilted, shifted back", "tilted, ignored", "a gap, ignored"]
)
def test_a_segmentation_is_on_the_slices_it_was_drawn_on(tmp_path: Path, name: str) -> None:
    images, _ = write_slices(tmp_path / "ct", name)
    masks = np.random.default_rng(3).integers(0, 2, (len(images), ROWS, COLUMNS), np.uint8)
    file = write_segmentation(
        tmp_path / "s.dcm", images, masks[..., None], ["A"],
        pixel_measures=hd.PixelMeasuresSequence((DOWN, RIGHT), 1),
    )  # fmt: skip
    image, rules = Source(str(tmp_path / "ct")), rules_of(name)
    label = read(Source(str(file), drawn_on=image), rules)
    check(label, read(image, rules), {number: mask != 0 for number, mask in enumerate(masks)})
