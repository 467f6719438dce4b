"""Targets of a resampling beyond three numbers: one number, isotropic, and the grid of a reference volume."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

import gpuprep
from gpuprep.config.file import load_config, parse_config
from gpuprep.config.model import Config
from gpuprep.export import export_case
from gpuprep.ops.resample import fill_beyond
from gpuprep.planning.preview import preview_cohort
from gpuprep.preprocess.grid import map_grid, separate_axis
from gpuprep.preprocess.reference import with_reference
from gpuprep.values.errors import ConfigError, InputError
from gpuprep.values.geometry import Geometry
from gpuprep.values.grids import GridMapping, map_onto

pytestmark = pytest.mark.usefixtures("reads_here")

SOURCE = Geometry((24, 30, 28), (0.9, 1.1, 2.0), (-12.0, 20.0, 105.0))
WIDER = Geometry(
    (70, 22, 33), (1.3, 1.3, 0.9), (-17.31, 24.23, 98.71)
)  # beyond it in z, inside in y


def oblique(grid: Geometry, degrees: float) -> Geometry:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return Geometry(grid.shape, grid.spacing, grid.origin, (c, -s, 0, s, c, 0, 0, 0, 1))


def write(path: Path, grid: Geometry, array: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    sitk.WriteImage(image, str(path))
    return image


def scene(folder: Path, grid: Geometry = SOURCE) -> tuple[sitk.Image, sitk.Image]:
    """An image of smooth noise above 100 with a label, in ``folder/in``; returned as ITK has them."""
    (folder / "in").mkdir()
    random = np.random.default_rng(5)
    array = random.normal(500, 100, grid.shape).clip(100).astype(np.float32)
    label = np.zeros(grid.shape, np.uint8)
    label[4:20, 6:22, 5:24] = 3
    image = write(folder / "in/a_image.nii.gz", grid, array)
    return image, write(folder / "in/a_label.nii.gz", grid, label)


def config(target: dict, **more) -> Config:
    tree = {
        "image": {"resample": {"interpolation": "linear", **target}, **more},
        "label": {"interpolation": "nearest"},
        "store": {"dtype": "float32", "fsync": "never"},
    }
    return parse_config(tree)


def run(folder: Path, rules: Config | Path, name: str = "out"):
    report = gpuprep.run(folder / "in", folder / name, config=rules, scheduler="serial")
    assert report.exit_code == 0, report.failures
    (case,) = gpuprep.open(folder / name).values()
    return case


# --- spacing ---------------------------------------------------------------------------------------


def test_one_number_is_that_spacing_on_every_axis():
    single, triple = config({"spacing": 1.5}), config({"spacing": [1.5, 1.5, 1.5]})
    assert single == triple
    assert single.digest == triple.digest


@pytest.mark.parametrize("value", [True, "isotopic", 0, -1.0, [1, 1], ".nan", {"x": 1}])
def test_no_other_word_or_number_is_a_spacing(value):
    with pytest.raises(ConfigError, match=r"image\.resample\.spacing"):
        config({"spacing": value})


@given(st.tuples(*[st.floats(0.3, 4.0)] * 3), st.tuples(*[st.integers(1, 60)] * 3))
def test_isotropic_takes_the_finest_spacing(spacing, shape):
    grid = Geometry(shape, spacing)
    rule = config({"spacing": "isotropic"}).image.resample
    found = map_grid(grid, rule).on(grid)
    finest = min(spacing)
    np.testing.assert_allclose(found.spacing, finest, rtol=2e-6)
    assert min(found.shape) >= 1
    kept = spacing.index(finest)
    assert found.size[kept] == grid.size[kept]  # the finest axis is not interpolated
    assert found == map_grid(grid, config({"spacing": finest}).image.resample).on(grid)


def test_isotropic_is_a_grid_of_each_case_and_separate_z_knows_it(tmp_path):
    thick = Geometry((8, 30, 28), (0.9, 1.1, 5.0))
    rule = config({"spacing": "isotropic", "separate_z": "auto"}).image.resample
    assert separate_axis(thick, rule) == 0
    scene(tmp_path)
    case = run(tmp_path, config({"spacing": "isotropic"}))
    assert case.geometry.spacing == pytest.approx((0.9, 0.9, 0.9))


# --- reference -------------------------------------------------------------------------------------


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("turn", [0.0, 17.0], ids=["straight", "oblique"])
def test_every_case_lies_on_the_reference_as_itk_has_it(tmp_path, interpolation, turn):
    source, wider = oblique(SOURCE, turn), oblique(WIDER, turn)
    image, label = scene(tmp_path, source)
    write(tmp_path / "ref.nii.gz", wider, np.zeros(wider.shape, np.uint8))
    target = {"reference": str(tmp_path / "ref.nii.gz"), "interpolation": interpolation}
    boundary = {"boundary": "mirror"} if interpolation == "cubic" else {}
    case = run(tmp_path, config(target | boundary))
    assert case.geometry.distance(wider) < 1e-3  # the files keep their grids in float32
    kind = {
        "nearest": sitk.sitkNearestNeighbor,
        "linear": sitk.sitkLinear,
        "cubic": sitk.sitkBSpline,
    }
    pixels = sitk.GetArrayViewFromImage(image)
    lowest = float(pixels.min())
    expected = on_grid(sitk.Cast(image, sitk.sitkFloat64), wider, kind[interpolation], lowest)
    expected = expected.clip(lowest, pixels.max())
    error = np.abs(np.asarray(case.image) - expected)
    # NIfTI keeps a grid in float32, which moves points by 1e-6 voxels
    differ = (error > 1e-4 * np.ptp(pixels)).mean()
    assert differ <= 0.001
    assert (expected == lowest).mean() > 0.2
    np.testing.assert_array_equal(np.asarray(case.image) == lowest, expected == lowest)
    found = on_grid(label, wider, sitk.sitkNearestNeighbor, 0)
    assert (np.asarray(case.labels["segmentation"]) != found).mean() < 1e-3


def on_grid(image: sitk.Image, grid: Geometry, kind: int, default: float) -> np.ndarray:
    size, direction = grid.size, grid.direction
    moved = sitk.Resample(
        image, size, sitk.Transform(), kind, grid.origin, grid.spacing, direction, default
    )
    return sitk.GetArrayFromImage(moved)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_exact_grids_agree_with_itk_to_a_millionth_of_the_range(tmp_path, interpolation):
    """MetaImage keeps every digit of a grid."""
    image, _ = scene(tmp_path)
    (tmp_path / "in/a_image.nii.gz").unlink()
    sitk.WriteImage(image, str(tmp_path / "in/a_image.mha"))
    (tmp_path / "in/a_label.nii.gz").unlink()
    write(tmp_path / "ref.mha", WIDER, np.zeros(WIDER.shape, np.uint8))
    target = {
        "reference": str(tmp_path / "ref.mha"),
        "interpolation": interpolation,
        "boundary": "mirror" if interpolation == "cubic" else "nearest",
    }
    case = run(tmp_path, config(target))
    assert case.geometry.distance(WIDER) < 1e-9
    pixels = sitk.GetArrayViewFromImage(image)
    low, high = float(pixels.min()), float(pixels.max())
    kind = sitk.sitkBSpline if interpolation == "cubic" else sitk.sitkLinear
    expected = on_grid(sitk.Cast(image, sitk.sitkFloat64), WIDER, kind, low).clip(low, high)
    assert np.abs(np.asarray(case.image) - expected).max() <= 1e-6 * (high - low)


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "SAL"])
def test_a_reference_of_any_axis_order_is_turned_to_the_config(tmp_path, orientation):
    scene(tmp_path)
    turned, _ = WIDER.reorient("ILP")
    write(tmp_path / "ref.mha", turned, np.zeros(turned.shape, np.uint8))
    target = {"reference": str(tmp_path / "ref.mha")}
    case = run(tmp_path, config(target, orientation=orientation))
    expected, _ = WIDER.reorient(orientation)
    assert case.geometry.distance(expected) < 1e-4


def test_beyond_the_source_lies_the_lowest_value_after_the_steps(tmp_path):
    scene(tmp_path)
    write(tmp_path / "ref.mha", WIDER, np.zeros(WIDER.shape, np.uint8))
    steps = [{"clip": {"low": 400, "high": 600}}, {"rescale": {"to": [2, 3]}}]
    target = {"reference": str(tmp_path / "ref.mha")}
    case = run(tmp_path, config(target, intensity=steps))
    corner = np.asarray(case.image)[0, 0, 0]
    assert corner == np.asarray(case.image).min() == 2.0
    masked = config(
        target, intensity=[{"zscore": {"over": "foreground"}}], foreground={"outside": "zero"}
    )
    assert np.asarray(run(tmp_path, masked, "masked").image)[0, 0, 0] == 0.0


def test_the_path_is_relative_to_the_config_and_not_in_the_digest(tmp_path, monkeypatch):
    scene(tmp_path)
    digests = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "ref.mha", WIDER, np.zeros(WIDER.shape, np.uint8))
        file = tmp_path / name / "config.yaml"
        file.write_text("image: {resample: {reference: ref.mha}}\nstore: {fsync: never}")
        monkeypatch.chdir(tmp_path)
        parsed = load_config(file)
        assert parsed.image.resample.reference.path == str(tmp_path / name / "ref.mha")
        digests.add(with_reference(parsed).digest)
    assert len(digests) == 1
    case = run(tmp_path, file)
    told = case.record["geometry"]["reference"]
    assert told["path"] == str(tmp_path / "two/ref.mha")
    assert Geometry.from_json(told["grid"]) == WIDER
    kept = json.loads((tmp_path / "out/gpuprep.json").read_text())["config"]
    again = parse_config(kept)
    assert with_reference(again) is again
    assert again.digest in digests
    write(tmp_path / "two/ref.mha", SOURCE, np.zeros(SOURCE.shape, np.uint8))
    assert with_reference(load_config(file)).digest not in digests


def test_an_overridden_path_is_relative_to_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parsed = load_config(None, ["image.resample.reference=ref.mha"])
    assert parsed.image.resample.reference.path == str(tmp_path / "ref.mha")
    nested = load_config(None, ["image.resample.reference.path=x/ref.mha"])
    assert nested.image.resample.reference.path == str(tmp_path / "x/ref.mha")


def test_the_plan_shows_the_reference_grid(tmp_path):
    scene(tmp_path)
    write(tmp_path / "ref.mha", WIDER, np.zeros(WIDER.shape, np.uint8))
    (row,) = preview_cohort(
        tmp_path / "in", config({"reference": str(tmp_path / "ref.mha")})
    ).projections
    assert row.output.distance(WIDER) < 1e-4


def test_the_way_back_invents_nothing_beyond_the_reference(tmp_path):
    image, label = scene(tmp_path)
    part = Geometry((10, 12, 14), SOURCE.spacing, tuple(SOURCE.index_to_physical([6, 8, 9])))
    write(tmp_path / "ref.mha", part, np.zeros(part.shape, np.uint8))
    strict = config({"reference": str(tmp_path / "ref.mha")})
    lax = strict.model_copy(update={"label": strict.label.model_copy(update={"loss": 1.0})})
    case = run(tmp_path, lax)
    box = (slice(6, 16), slice(8, 20), slice(9, 23))
    for name, source in ((None, image), ("segmentation", label)):
        target = tmp_path / f"back_{name}.mha"
        export_case(tmp_path / "out", case.id, target, label=name, native=True)
        back, pixels = (
            sitk.GetArrayFromImage(one) for one in (sitk.ReadImage(str(target)), source)
        )
        expected = np.full_like(pixels, 0 if name else pixels[box].min())
        expected[box] = pixels[box]
        np.testing.assert_allclose(back, expected, atol=1e-2)  # NIfTI moves the grid by 1e-6 mm


@pytest.mark.parametrize("content", [None, b"not a volume"])
def test_an_unusable_reference_is_a_config_error(tmp_path, content):
    path = tmp_path / "ref.nii"
    if content:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"image\.resample\.reference.*ref\.nii"):
        with_reference(config({"reference": str(path)}))


@pytest.mark.parametrize(
    ("grid", "reason"),
    [
        (oblique(WIDER, 5.0), "not parallel"),
        (Geometry(WIDER.shape, WIDER.spacing, (500.0, 0.0, 0.0)), "do not overlap"),
    ],
)
def test_a_reference_that_does_not_fit_names_both_grids(grid, reason):
    with pytest.raises(InputError, match=reason) as error:
        map_onto(SOURCE, grid)
    assert error.value.code == "E_REFERENCE"
    assert SOURCE.describe() in error.value.message
    assert grid.describe() in error.value.message


def test_a_case_on_the_reference_is_not_touched(tmp_path):
    image, label = scene(tmp_path)
    target = {"reference": str(tmp_path / "in/a_image.nii.gz"), "interpolation": "cubic"}
    case = run(tmp_path, config(target))
    np.testing.assert_array_equal(np.asarray(case.image), sitk.GetArrayFromImage(image))
    stored = np.asarray(case.labels["segmentation"])
    np.testing.assert_array_equal(stored, sitk.GetArrayFromImage(label))


def test_beyond_ends_half_a_voxel_outside():
    array = np.ones((1, 1, 9), np.int16)
    fill_beyond(array, (1, 1, 3), GridMapping((1, 1, 9), (1.0, 1.0, 0.5), (0.0, 0.0, -1.0)), 7.5)
    assert array.ravel().tolist() == [8, 1, 1, 1, 1, 1, 1, 8, 8]  # indices -1, -½, … 2, 2½, 3
