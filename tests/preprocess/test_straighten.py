"""Policy ``fix`` for tilted, sheared and uneven files: from the file to the stored case."""

import io
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from rich.console import Console
from scipy import ndimage
from scipy.interpolate import interp1d
from support.dicom_series import write_series

import gpuprep
from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.export import export_case
from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.planning.preview import preview_cohort
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError
from gpuprep.values.geometry import Geometry
from gpuprep.viewing import inspect_path
from gpuprep.viewing.page import page

pytestmark = pytest.mark.usefixtures("reads_here")

FIX = {"E_SHEAR": "fix", "E_TILT": "fix", "E_SLICE_GAP": "fix"}
RULES = ReadRules(policy=FIX)
SHAPE = (9, 20, 18)
AFFINE_RAS = np.array(
    [[-0.7, 0, 0, 31], [0, -0.8, 0.9, -12], [0, 0.0, 2.5, 205], [0, 0, 0, 1.0]]
)  # slices lean over y by 0.9 mm each, as dcm2niix writes a tilted series


def config(**image) -> Config:
    return parse_config(
        {
            "input": {"policy": FIX},
            "image": {"resample": {"interpolation": "linear"}, **image},
            "store": {"dtype": "float32", "fsync": "never"},
        }
    )


def run(folder: Path, output: Path, rules: Config):
    report = gpuprep.run(folder, output, config=rules, scheduler="serial")
    assert report.exit_code == 0, report.failures
    (case,) = gpuprep.open(output).values()
    return case


def values_at(points: np.ndarray) -> np.ndarray:
    return points @ [1.0, -0.7, 0.4]


def positions(grid: Geometry) -> np.ndarray:
    return grid.index_to_physical(np.stack(np.indices(grid.shape), -1))


def write_sheared(folder: Path) -> Geometry:
    """An image whose voxels say where they lie, and a label that is 1 where x is above its middle."""
    folder.mkdir()
    grid = Geometry.from_affine_ras(AFFINE_RAS, SHAPE)
    ramp = values_at(positions(grid)).astype(np.float32)
    label = (positions(grid)[..., 0] > grid.index_to_physical([4, 10, 8.5])[0]).astype(np.uint8)
    for name, voxels in (("a_image", ramp), ("a_label", label)):
        image = nibabel.Nifti2Image(voxels.T, AFFINE_RAS)
        image.set_qform(None, code=0)
        nibabel.save(image, folder / f"{name}.nii.gz")
    return grid


def well_inside(case, grid: Geometry, margin: float) -> np.ndarray:
    index = grid.physical_to_index(positions(case.geometry))
    return ((index >= margin) & (index <= np.array(grid.shape) - 1 - margin)).all(-1)


@pytest.mark.parametrize("orientation", ["LPS", "SAL", "keep"])
def test_a_sheared_nifti_stays_where_it_is(tmp_path, orientation):
    grid = write_sheared(tmp_path / "in")
    case = run(tmp_path / "in", tmp_path / "out", config(orientation=orientation))
    assert not case.geometry.sheared
    where = well_inside(case, grid, -1e-6)
    assert where.mean() > 0.5
    stored = np.asarray(case.image)
    expected = values_at(positions(case.geometry))
    np.testing.assert_allclose(stored[where], expected[where], atol=1e-4)
    middle = grid.index_to_physical([4, 10, 8.5])[0]
    label = np.asarray(case.labels["segmentation"])
    np.testing.assert_array_equal(
        label[where], (positions(case.geometry)[where][:, 0] > middle).astype(np.uint8)
    )
    outside = ~well_inside(case, grid, -0.5 - 1e-6)
    assert (stored[outside] == stored.min()).all()
    assert (label[outside] == 0).all()


def test_the_record_keeps_the_sheared_source_and_the_angle(tmp_path):
    grid = write_sheared(tmp_path / "in")
    case = run(tmp_path / "in", tmp_path / "out", config())
    told = case.record["geometry"]
    assert Geometry.from_json(told["source"]).distance(grid) < 1e-9
    assert Geometry.from_json(told["source"]).sheared
    assert not Geometry.from_json(told["straight"]).sheared
    finding = next(item for item in case.findings if item.code == "E_SHEAR")
    assert finding.severity == "fix"
    assert finding.values["degrees"] == pytest.approx(np.degrees(np.arctan2(0.9, 2.5)))


def test_the_plan_knows_the_straight_grid_and_counts_its_bytes(tmp_path):
    write_sheared(tmp_path / "in")
    (projection,) = preview_cohort(tmp_path / "in", config()).projections
    case = run(tmp_path / "in", tmp_path / "out", config())
    assert projection.output == case.geometry
    straight = peek(Source(str(tmp_path / "in/a_image.nii.gz")), RULES)
    voxels = np.prod(SHAPE) + straight.straight_geometry.voxels
    assert straight.straight_bytes == 4 * voxels


def test_a_way_back_leads_to_the_straight_grid(tmp_path):
    write_sheared(tmp_path / "in")
    resample = {"spacing": [1, 1, 1], "interpolation": "linear"}
    case = run(tmp_path / "in", tmp_path / "out", config(resample=resample))
    target = tmp_path / "back.mha"
    exported = export_case(tmp_path / "out", case.id, target, native=True)
    straight = Geometry.from_json(case.record["geometry"]["straight"])
    assert exported.geometry == straight
    assert sitk.ReadImage(str(target)).GetSize() == straight.size


def test_inspection_names_the_shear(tmp_path):
    write_sheared(tmp_path / "in")
    found = inspect_path(tmp_path / "in/a_image.nii.gz", config())
    assert found.geometry.sheared
    assert not found.grid.sheared
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(page(found))
    assert "sheared by 19.80°" in console.export_text()


def tilted_series(folder: Path, heights: list[float], lean: float = 0.25) -> Path:
    """Slices of 4×5 pixels of 0.25×0.5 mm shifted by ``lean`` mm in y per mm in z."""
    return write_series(folder, heights, ImagePositionPatient=lambda n: position(heights[n], lean))


def position(height: float, lean: float) -> list[float]:
    return [3.0, -2.0 + lean * height, height]


@pytest.mark.parametrize(
    ("heights", "lean"),
    [([0, 2, 4, 6, 8], 0.25), ([0, 2, 4, 5, 8], 0.25), ([0, 2, 4, 5, 8], 0.0)],
    ids=["tilted", "tilted and uneven", "uneven"],
)
def test_dicom_slices_come_onto_a_straight_grid(tmp_path, heights, lean):
    folder = tilted_series(tmp_path / "in", heights, lean)
    case = run(folder, tmp_path / "out", config())
    scan = read(Source(str(folder)), RULES)
    np.testing.assert_allclose(scan.heights, np.array(heights) * 4 / 8 if 5 in heights else [])
    grid = case.geometry
    assert (grid.matrix == np.eye(3)).all()
    steps = round(8 / min(np.diff(heights)))
    assert grid.spacing == pytest.approx((0.25, 0.5, 8 / steps))
    assert grid.origin == pytest.approx((3.0, -2.0, 0.0))
    stored = np.asarray(case.image)
    planes = scan.volumes[0].array.astype(float)
    moved = []  # every slice back along y; then what is between two of them
    for plane, height in zip(planes, heights, strict=True):
        rows = np.arange(stored.shape[1]) - lean * height / 0.5
        points = np.meshgrid(rows, np.arange(5.0), indexing="ij")
        moved.append(ndimage.map_coordinates(plane, points, order=1, mode="nearest"))
        moved[-1][(rows < -0.5) | (rows >= 3.5)] = planes.min()
    between = interp1d(heights, moved, axis=0)(np.arange(steps + 1) * 8 / steps)
    np.testing.assert_allclose(stored, between, atol=0.5)


def test_heights_cross_the_sandbox(tmp_path):
    source = Source(str(tilted_series(tmp_path / "in", [0, 2, 4, 5, 8])))
    with Sandbox(RULES) as sandbox:
        scan, preview = sandbox.read(source), sandbox.peek(source)
    here = read(source, RULES)
    assert scan.heights == preview.heights == here.heights
    assert scan.geometry == preview.geometry == here.geometry
    assert preview.straight_geometry == here.stack.geometry


def test_slices_on_no_straight_line_are_no_tilt(tmp_path):
    shift = [0, 3, -2, 4, 1]
    folder = write_series(
        tmp_path / "in", [0] * 5, ImagePositionPatient=lambda n: [0, shift[n], 4 * n]
    )
    with pytest.raises(InputError, match=r"E_TILT.*mm off a straight line"):
        peek(Source(str(folder)), RULES)


def test_a_straight_grid_beyond_the_limits_is_refused(tmp_path):
    affine = AFFINE_RAS.copy()
    affine[1, 2] = 900.0  # degenerate, but not yet flat
    image = nibabel.Nifti2Image(np.zeros((4, 4, 200), np.uint8), affine)
    image.set_qform(None, code=0)
    nibabel.save(image, tmp_path / "a.nii")
    with pytest.raises(InputError, match=r"E_LIMIT.*straight grid.*65,535"):
        peek(Source(str(tmp_path / "a.nii")), RULES)


def test_an_affine_without_slices_is_refused(tmp_path):
    affine = AFFINE_RAS.copy()
    affine[0, 1], affine[0, 2] = 0.2, 0.5
    image = nibabel.Nifti2Image(np.zeros((4, 4, 4), np.uint8), affine)
    image.set_qform(None, code=0)
    nibabel.save(image, tmp_path / "a.nii")
    with pytest.raises(InputError, match=r"E_SHEAR.*no two of the three axes"):
        peek(Source(str(tmp_path / "a.nii")), RULES)


def test_a_real_tilted_uneven_ct_lies_where_its_slices_say(scans, tmp_path):
    """Every stored voxel against the pixels of the two DICOM slices that it lies between."""
    folder = scans / "ge_tilt_varspacing_ct"
    case = run(folder, tmp_path / "out", config(orientation="keep"))
    headers = sorted(
        (pydicom.dcmread(path) for path in folder.glob("*.dcm")),
        key=lambda one: float(one.ImagePositionPatient[2]),
    )
    cosines = np.reshape(headers[0].ImageOrientationPatient, (2, 3)).astype(float)
    row, column = cosines / np.linalg.norm(cosines, axis=1, keepdims=True)
    normal = np.cross(row, column)
    origins = np.array([one.ImagePositionPatient for one in headers], float)
    step = (origins[-1] - origins[0]) / ((origins[-1] - origins[0]) @ normal)
    pixels = [
        one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in headers
    ]
    stored = np.asarray(case.image)
    checked = 0
    for k in range(0, len(stored), 19):
        points = positions(case.geometry.crop((slice(k, k + 1), slice(None), slice(None))))[0]
        height = float((points[0, 0] - origins[0]) @ normal)
        heights = (origins - origins[0]) @ normal
        number = np.interp(height, heights, range(len(origins)))
        inside, parts = np.ones(points.shape[:2], bool), []
        for n in (int(number), min(len(pixels) - 1, int(number) + 1)):
            base = origins[0] + heights[n] * step
            rows = (points - base) @ column / float(headers[0].PixelSpacing[0])
            columns = (points - base) @ row / float(headers[0].PixelSpacing[1])
            inside &= (rows > 0) & (rows < 511) & (columns > 0) & (columns < 511)
            places = [rows, columns]
            parts.append(ndimage.map_coordinates(pixels[n], places, order=1, mode="nearest"))
        expected = (1 - number % 1) * parts[0] + number % 1 * parts[1]
        assert np.abs(stored[k] - expected)[inside].max() <= 0.51  # whole numbers are stored
        checked += np.count_nonzero(inside)
    assert checked > 1_000_000


def test_a_real_sheared_nifti_agrees_with_itk(scans, tmp_path):
    """ITK holds no shear, so it goes into a transform of the plain index grid."""
    path = scans / "nasty_nifti/real/shear.nii.gz"
    case = run(path, tmp_path / "out", config(orientation="keep"))
    image = nibabel.load(path)
    grid = Geometry.from_affine_ras(image.affine, image.shape[::-1])
    plain = sitk.GetImageFromArray(read(Source(str(path)), RULES).volumes[0].array)
    to_index = np.linalg.inv(grid.affine) @ case.geometry.affine
    found = sitk.Resample(
        sitk.Cast(plain, sitk.sitkFloat64),
        case.geometry.size,
        sitk.AffineTransform(to_index[:3, :3].ravel().tolist(), to_index[:3, 3].tolist()),
        sitk.sitkLinear,
        (0, 0, 0),
        (1, 1, 1),
        np.eye(3).ravel().tolist(),
        float(np.asarray(case.image).min()),
    )
    expected = sitk.GetArrayFromImage(found)
    where = well_inside(case, grid, 1e-3)
    assert where.mean() > 0.5
    assert np.abs(np.asarray(case.image) - expected)[where].max() <= 0.51
