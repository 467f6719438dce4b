"""A ramp of world coordinates comes back as world coordinates: every format, axis order, grid and crop.

The voxels of each test volume hold ``a·x + b·y + c·z`` of their own LPS position in mm. Whatever is done to
the grid, a stored voxel must still hold the value of its own position.
"""

import itertools
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import gpuprep
from gpuprep.config.file import parse_config
from gpuprep.values.geometry import Geometry

pytestmark = pytest.mark.usefixtures("reads_here")

SLOPES = np.array([1.0, -0.7, 0.4])
ORDERS = [
    "".join(letters)
    for axes in itertools.permutations(("LR", "PA", "SI"))
    for letters in itertools.product(*axes)
]


def ramp(geometry: Geometry) -> np.ndarray:
    points = geometry.index_to_physical(np.stack(np.indices(geometry.shape), -1))
    return points @ SLOPES


def write(geometry: Geometry, path: Path) -> None:
    image = sitk.GetImageFromArray(ramp(geometry).astype(np.float32))
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    sitk.WriteImage(image, str(path))


def source(shape=(21, 24, 27), turn=0.0) -> Geometry:
    c, s = np.cos(turn), np.sin(turn)
    matrix = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return Geometry(shape, (0.9, 1.1, 2.3), (-31.7, 12.4, 205.6), tuple(matrix.ravel()))


def check(output: Path, margin: int = 0, atol: float = 2e-4) -> int:
    """Every stored voxel (but a margin where a boundary rule had to invent) holds its position's value."""
    cohort = gpuprep.open(output)
    for case in cohort.values():
        expected = ramp(case.geometry)
        inner = tuple(slice(margin, length - margin) for length in expected.shape)
        stored = np.asarray(case.image, np.float64)
        np.testing.assert_allclose(stored[inner], expected[inner], atol=atol, err_msg=case.id)
    return len(cohort)


def run(folder: Path, output: Path, image: dict | None = None) -> None:
    config = parse_config({"image": image or {}, "store": {"dtype": "float32", "fsync": "never"}})
    report = gpuprep.run(folder, output, config=config, scheduler="serial")
    assert report.exit_code == 0, report.failures


@pytest.fixture(scope="module")
def all_orders(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("orders")
    for code in ORDERS:
        turned, _ = source(turn=0.2).reorient(code)
        write(turned, folder / f"{code}.nii")
    return folder


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "SAL", "keep"])
def test_all_48_axis_orders(all_orders, tmp_path, orientation):
    run(all_orders, tmp_path / "out", {"orientation": orientation})
    assert check(tmp_path / "out") == 48
    for case in gpuprep.open(tmp_path / "out").values():
        expected = case.id if orientation == "keep" else orientation
        assert case.geometry.orientation == expected


@pytest.mark.parametrize("grid", ["centered", "nnunet", "monai", "torchio", "itk"])
@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_every_grid_convention_keeps_positions(all_orders, tmp_path, grid, interpolation):
    if grid != "centered":
        few = tmp_path / "few"
        few.mkdir()
        write(source(turn=0.2), few / "a.nii")
        all_orders = few
    rule = {"spacing": [1.3, 0.8, 1.7], "grid": grid, "interpolation": interpolation}
    run(all_orders, tmp_path / "out", {"resample": rule})
    # a ramp bends at the edge of a clamped cubic line, and its bend dies off within a few voxels
    check(tmp_path / "out", margin=2 if interpolation == "linear" else 9, atol=1e-3)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr"])
def test_every_format(tmp_path, suffix):
    folder = tmp_path / "in"
    folder.mkdir()
    write(source(turn=0.3), folder / f"a{suffix}")
    run(folder, tmp_path / "out", {"resample": {"spacing": [1, 1, 1], "interpolation": "linear"}})
    assert check(tmp_path / "out", margin=2) == 1


def test_crop_to_a_label_keeps_positions(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    geometry = source(turn=0.1)
    write(geometry, folder / "a_image.nii.gz")
    label = np.zeros(geometry.shape, np.uint8)
    label[5:17, 4:20, 8:22] = 1
    image = sitk.GetImageFromArray(label)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    sitk.WriteImage(image, str(folder / "a_label.nii.gz"))
    rule = {"spacing": [1.0, 0.6, 1.2], "interpolation": "linear"}
    run(folder, tmp_path / "out", {"crop": {"to": "label", "margin": 3}, "resample": rule})
    assert check(tmp_path / "out", margin=3) == 1
    (case,) = gpuprep.open(tmp_path / "out").values()
    stored = np.asarray(case.labels["segmentation"])
    middle = geometry.index_to_physical([10.5, 11.5, 14.5])
    index = np.rint(case.geometry.physical_to_index(middle)).astype(int)
    assert stored[tuple(index)] == 1
    extent = np.array(stored.shape) * case.geometry.spacing_zyx
    whole_voxels = 2 * np.array(
        geometry.spacing_zyx
    )  # a margin is rounded up to whole source voxels
    most = np.array([12, 16, 14]) * geometry.spacing_zyx + 2 * 3 + whole_voxels + 1.2
    assert (extent < most).all()


@pytest.mark.parametrize("length", [1, 2, 3, 17, 48, 255])
def test_same_spacing_gives_the_same_grid_and_the_same_voxels(tmp_path, length):
    folder = tmp_path / "in"
    folder.mkdir()
    geometry = Geometry((length, 4, 5), (0.7, 1.1, 0.3), (3.0, -2.0, 11.0))
    write(geometry, folder / "a.nii")
    for grid in ("centered", "nnunet", "monai", "torchio", "itk"):
        rule = {"spacing": [0.7, 1.1, 0.3], "grid": grid}
        run(folder, tmp_path / grid, {"resample": rule})
        (case,) = gpuprep.open(tmp_path / grid).values()
        assert case.geometry.shape == (length, 4, 5)
        np.testing.assert_array_equal(np.asarray(case.image), ramp(geometry).astype(np.float32))
