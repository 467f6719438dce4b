"""Predictions on a case's grid: back on the grid of the source, whatever file they come in."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import binary_dilation, binary_erosion
from support.cohorts import write_pairs
from typer.testing import CliRunner

from gpuprep.cli.app import app
from gpuprep.config.file import parse_config
from gpuprep.export import export_prediction, prediction_to_native
from gpuprep.inference import GridPatches, stitch_into
from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.running.coordinator import run
from gpuprep.store.reader import open_cohort
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.case import Source
from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Geometry

pytestmark = pytest.mark.usefixtures("reads_here")

SOURCE, _ = Geometry((30, 34, 26), (1.2, 0.9, 2.0), (-31.25, 17.5, -203.125)).reorient("RAI")
BOX = (slice(6, 25), slice(8, 27), slice(4, 22))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A turned source, cropped to its label and resampled: every step has to be undone."""
    folder = tmp_path_factory.mktemp("cohort")
    ball = np.zeros(SOURCE.shape, np.uint8)
    ball[BOX] = 1
    for name, array in (("image", ball.astype(np.int16) * 100), ("label", ball)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(SOURCE.spacing)
        image.SetOrigin(SOURCE.origin)
        image.SetDirection(SOURCE.direction)
        (folder / "in").mkdir(exist_ok=True)
        sitk.WriteImage(image, str(folder / "in" / f"kim_{name}.mha"))
    rules = parse_config(
        {
            "image": {"crop": {"to": "label", "margin": 3}, "resample": {"spacing": [1, 1, 1.3]}},
            "store": {"fsync": "never"},
        }
    )
    assert run(folder / "in", folder / "out", config=rules, scheduler="serial").exit_code == 0
    return folder / "out"


@pytest.fixture
def case(cohort: Path) -> StoredCase:
    return open_cohort(cohort)["kim"]


def world_ramp(geometry: Geometry, direction: list[float]) -> np.ndarray:
    world = geometry.index_to_physical(np.stack(np.indices(geometry.shape), -1))
    return np.asarray(world @ direction)


def cropped(case: StoredCase) -> np.ndarray:
    """Which voxels of the source lie well inside the crop."""
    oriented, turn = SOURCE.reorient("LPS")
    inside = np.zeros(oriented.shape, bool)
    crop = case.record["geometry"]["crop"]
    inside[tuple(slice(start + 2, stop - 2) for start, stop in crop)] = True
    return turn.inverse.view(inside)


def test_channels_return_to_the_source(case: StoredCase) -> None:
    directions = [[1.0, 0.0, 0.0], [0.2, -1.0, 0.5]]
    maps = np.stack([world_ramp(case.geometry, way) for way in directions])
    back, geometry = prediction_to_native(case, maps, outside=-1000)
    inside = cropped(case)
    assert geometry.distance(SOURCE) <= 1e-9
    assert back.shape == (2, *SOURCE.shape)
    for channel, way in zip(back, directions, strict=True):
        np.testing.assert_allclose(channel[inside], world_ramp(SOURCE, way)[inside], atol=1e-3)
        assert (channel == -1000).any()


@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.bool_])
def test_labels_return_to_the_source(case: StoredCase, dtype: type, interpolation) -> None:
    label = np.asarray(case.labels["segmentation"]).astype(dtype)
    back, _ = prediction_to_native(case, label, interpolation=interpolation)
    truth = np.zeros(SOURCE.shape, bool)
    truth[BOX] = True
    assert back.dtype.kind in "iu"
    assert set(np.unique(back)) == {0, 1}
    assert back[binary_erosion(truth)].all()  # nothing but the rim may move
    assert not back[~binary_dilation(truth)].any()
    other, _ = prediction_to_native(case, label, interpolation=interpolation, outside=1)
    assert other.sum() > back.sum()


def save(array: np.ndarray, geometry: Geometry, kind: str, folder: Path) -> Path:
    """A prediction written by the tools people have."""
    path = folder / f"prediction{kind}"
    if kind == ".npy":
        np.save(path, array)
    elif kind == ".nii.gz":
        turned = array.T if array.ndim == 3 else array.transpose(3, 2, 1, 0)
        nibabel.save(nibabel.Nifti1Image(turned, geometry.affine_ras), path)
    elif kind == ".mha":
        last = array if array.ndim == 3 else np.moveaxis(array, 0, -1)
        image = sitk.GetImageFromArray(last, isVector=array.ndim == 4)
        image.SetSpacing(geometry.spacing)
        image.SetOrigin(geometry.origin)
        image.SetDirection(geometry.direction)
        sitk.WriteImage(image, str(path))
    else:
        patches = GridPatches(array, (12, 12, 12))
        pieces = ((patch.number, patch.voxels) for patch in patches)
        stitch_into(path, patches, pieces, geometry=geometry, dtype=np.float32)
    return path


@pytest.mark.parametrize("kind", [".npy", ".nii.gz", ".mha", ".zarr"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_file_lands_alike(
    cohort: Path, case: StoredCase, tmp_path: Path, kind: str, channels: int
) -> None:
    maps = np.random.default_rng(0).random((channels, *case.geometry.shape), np.float32)
    array = maps if channels > 1 else maps[0]
    expected, _ = prediction_to_native(case, array)
    path = save(array, case.geometry, kind, tmp_path)
    for suffix in (".mha", ".nii.gz"):
        done = export_prediction(cohort, "kim", tmp_path / f"x{suffix}", path, native=True)
        assert done.dtype == "float32"
        scan = read(Source(str(done.path)), ReadRules())
        assert scan.geometry.distance(SOURCE) <= (1e-9 if suffix == ".mha" else 5e-5)
        read_back = np.stack([volume.array for volume in scan.volumes])
        np.testing.assert_allclose(read_back, expected.reshape(read_back.shape), atol=1e-5)


def test_channels_are_the_fourth_axis_for_foreign_readers(
    cohort: Path, case: StoredCase, tmp_path: Path
) -> None:
    maps = np.random.default_rng(1).random((3, *case.geometry.shape), np.float32)
    path = save(maps, case.geometry, ".npy", tmp_path)
    export_prediction(cohort, "kim", tmp_path / "x.nii", path)
    export_prediction(cohort, "kim", tmp_path / "x.mha", path)
    nifti = np.asarray(nibabel.load(tmp_path / "x.nii").dataobj)
    np.testing.assert_array_equal(nifti.transpose(3, 2, 1, 0), maps)
    vector = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "x.mha")))
    np.testing.assert_array_equal(np.moveaxis(vector, -1, 0), maps)


def test_a_file_in_another_axis_order_is_turned(
    cohort: Path, case: StoredCase, tmp_path: Path
) -> None:
    label = np.asarray(case.labels["segmentation"])
    turned, turn = case.geometry.reorient("RPI")
    path = save(np.ascontiguousarray(turn.view(label)), turned, ".nii.gz", tmp_path)
    export_prediction(cohort, "kim", tmp_path / "x.mha", path)
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "x.mha")))
    np.testing.assert_array_equal(written, label)


def test_predictions_elsewhere_are_refused(cohort: Path, case: StoredCase, tmp_path: Path) -> None:
    shape, target = case.geometry.shape, tmp_path / "x.mha"
    moved = Geometry(shape, case.geometry.spacing, (0.0, 0.0, 0.0), case.geometry.direction)
    (tmp_path / "t.txt").touch()
    (tmp_path / "t.npy").write_bytes(b"none")
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    np.save(tmp_path / "s.npy", np.zeros((2, 3, 4)))
    np.save(tmp_path / "c.npy", np.zeros(shape, np.complex64))
    broken = np.zeros(shape, np.float32)
    broken[2, 3, 4:7] = np.nan, np.inf, -np.inf
    np.save(tmp_path / "nan.npy", broken)
    refused = {
        save(np.zeros(shape, np.float32), moved, ".mha", tmp_path): "lies on",
        save(np.zeros(shape, np.float32), moved, ".zarr", tmp_path): "lies on",
        tmp_path / "t.txt": "neither",
        tmp_path / "none.npy": "No such file",
        tmp_path / "t.npy": "t.npy",
        tmp_path / "o.npy": "Python objects",
        tmp_path / "s.npy": r"\(2, 3, 4\)",
        tmp_path / "c.npy": "complex64",
        tmp_path / "nan.npy": "kim is not finite in 3 of",
        tmp_path: "zarr.json",
    }
    for path, told in refused.items():
        with pytest.raises(UsageError, match=told):
            export_prediction(cohort, "kim", target, path, native=True)
    assert not target.exists()


def test_the_command_brings_a_prediction_back(
    cohort: Path, case: StoredCase, tmp_path: Path
) -> None:
    path = save(np.asarray(case.labels["segmentation"]), case.geometry, ".npy", tmp_path)
    words = ["export", str(cohort), "kim", str(tmp_path / "x.nii.gz"), "--array", str(path)]
    done = CliRunner().invoke(app, [*words, "--native", "--interpolation", "nearest"])
    assert done.exit_code == 0, done.output
    assert nibabel.load(tmp_path / "x.nii.gz").shape == SOURCE.size
    both = CliRunner().invoke(app, [*words, "--overwrite", "--label", "segmentation"])
    assert isinstance(both.exception, UsageError) or both.exit_code == 2


@pytest.mark.parametrize(
    ("name", "factor", "least"),
    [
        ("totalseg/example_seg.nii.gz", 0.5, 0.99),
        ("totalseg/example_seg.nii.gz", 0.75, 0.99),
        ("elastix_lung_ct_mha/3DCT_lung_baseline_mask.mha", 0.5, 0.99),
        ("elastix_lung_ct_mha/3DCT_lung_baseline_mask.mha", 1.5, 0.99),
        ("elastix_lung_ct_mha/3DCT_lung_baseline_mask.mha", 2.0, 0.98),  # thin rims are gone
    ],
)
def test_real_masks_survive_the_round_trip(
    scans: Path, tmp_path: Path, name: str, factor: float, least: float
) -> None:
    truth = read(Source(str(scans / name)), ReadRules()).volumes[0]
    spacing = [factor * edge for edge in truth.geometry.spacing]
    (tmp_path / "c.csv").write_text(f"case_id,image\na,{scans / name}\n")
    tree = {"image": {"resample": {"spacing": spacing}}, "label": {"only": True}}
    rules = parse_config(tree | {"store": {"fsync": "never"}})
    report = run(tmp_path / "c.csv", tmp_path / "out", config=rules, scheduler="serial")
    assert report.exit_code == 0, report.failures
    case = open_cohort(tmp_path / "out")["a"]
    (label,) = case.labels.values()
    back, geometry = prediction_to_native(case, np.asarray(label))
    assert geometry.distance(truth.geometry) <= 1e-9
    ours, theirs = back > 0, truth.array > 0
    assert 2 * np.count_nonzero(ours & theirs) >= least * (
        np.count_nonzero(ours) + np.count_nonzero(theirs)
    )


def test_a_prediction_of_another_output_is_told_to_name_it(tmp_path: Path) -> None:
    resample = {"spacing": [3, 3, 3]}
    outputs = {"fine": {}, "coarse": {"resample": resample}}
    write_pairs(tmp_path / "in", 1)
    run(
        tmp_path / "in",
        tmp_path / "out",
        config=parse_config({"outputs": outputs}),
        scheduler="serial",
    )
    coarse = open_cohort(tmp_path / "out", output="coarse")["volume-0"]
    placed = save(np.zeros(coarse.geometry.shape, np.uint8), coarse.geometry, ".mha", tmp_path)
    with pytest.raises(UsageError, match="output fine of case volume-0 on") as caught:
        export_prediction(tmp_path / "out", "volume-0", tmp_path / "x.mha", placed)
    assert "name its output" in caught.value.advice
