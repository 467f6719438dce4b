"""Exported files: the right voxels on the right grid, for readers that are not ours."""

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from support.exported import config, dice, read_nibabel, read_sitk, write_foreign

from gpuprep.export import export_case, to_native, write_volume
from gpuprep.running.coordinator import run
from gpuprep.store.reader import open_cohort
from gpuprep.values.errors import CorruptStoreError
from gpuprep.values.geometry import Geometry
from gpuprep.values.grids import map_spacing
from gpuprep.values.volume import Volume

pytestmark = pytest.mark.usefixtures("reads_here")

CODES = ["LPS", "RAS", "PIR", "SLA", "ARI"]


TILT = Rotation.from_euler("xyz", [9, -14, 21], degrees=True).as_matrix()


@dataclass
class Scene:
    """A source on disk: a ramp in world coordinates and a ball as label."""

    folder: Path
    geometry: Geometry
    ramp: np.ndarray
    ball: np.ndarray


def source_grid(code: str, *, tilted: bool) -> Geometry:
    base = Geometry((44, 50, 54), (1.1, 0.9, 1.3), (-31.25, 17.5, -203.125))
    turned, _ = base.reorient(code)
    if not tilted:
        return turned
    matrix = TILT @ turned.matrix
    return Geometry(turned.shape, turned.spacing, turned.origin, tuple(matrix.ravel().tolist()))


def make_scene(folder: Path, geometry: Geometry, suffix: str) -> Scene:
    index = np.stack(np.indices(geometry.shape), -1)
    world = geometry.index_to_physical(index)
    middle = geometry.index_to_physical((np.array(geometry.shape) - 1) / 2 + [1.3, -2.1, 0.4])
    ramp = (300 + world @ [1.0, 2.0, -1.5]).astype(np.float32)
    ball = (np.linalg.norm(world - middle, axis=-1) < 15).astype(np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    write_foreign(folder / f"case_image{suffix}", ramp, geometry)
    write_foreign(folder / f"case_label{suffix}", ball, geometry)
    return Scene(folder, geometry, ramp, ball)


@pytest.mark.parametrize("tilted", [False, True], ids=["straight", "oblique"])
@pytest.mark.parametrize("code", CODES)
def test_native_returns_to_the_source(tmp_path: Path, code: str, tilted: bool) -> None:
    scene = make_scene(tmp_path / "in", source_grid(code, tilted=tilted), ".mha")
    rules = config(
        crop={"to": "label", "margin": 4.0},
        resample={"spacing": [0.8, 0.7, 0.9], "interpolation": "linear"},
    )
    report = run(scene.folder, tmp_path / "out", config=rules, scheduler="serial")
    assert report.exit_code == 0, report.failures
    record = open_cohort(tmp_path / "out")["case"].record
    export_case(tmp_path / "out", "case", tmp_path / "i.mha", native=True)
    export_case(tmp_path / "out", "case", tmp_path / "l.mha", label="segmentation", native=True)
    image, on = read_sitk(tmp_path / "i.mha")
    label, label_on = read_sitk(tmp_path / "l.mha")
    assert on.distance(scene.geometry) <= 1e-9
    assert label_on.distance(scene.geometry) <= 1e-9
    assert label.dtype == np.uint8
    assert dice(label == 1, scene.ball == 1) >= 0.99
    inside = np.zeros(record["geometry"]["oriented"]["shape"], bool)
    inside[tuple(slice(a + 1, b - 1) for a, b in record["geometry"]["crop"])] = True
    _, turn = scene.geometry.reorient("LPS")
    inside = turn.inverse.view(inside)
    assert 0.1 < inside.mean() < 0.9
    assert np.abs(image[inside] - scene.ramp[inside]).max() <= 1e-5 * np.ptp(scene.ramp)


def test_outside_the_crop_is_background(tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "in", source_grid("RAS", tilted=False), ".nii.gz")
    rules = config(crop={"to": "label"})
    assert run(scene.folder, tmp_path / "out", config=rules, scheduler="serial").exit_code == 0
    stored = np.asarray(open_cohort(tmp_path / "out")["case"].image)
    export_case(tmp_path / "out", "case", tmp_path / "i.nii", native=True)
    export_case(tmp_path / "out", "case", tmp_path / "l.nii", label="segmentation", native=True)
    image, _ = read_nibabel(tmp_path / "i.nii")
    label, _ = read_nibabel(tmp_path / "l.nii")
    assert np.array_equal(label, scene.ball)
    box = tuple(slice(axis.min(), axis.max() + 1) for axis in np.nonzero(scene.ball))
    outside = np.ones(image.shape, bool)
    outside[box] = False
    assert np.array_equal(image[box], scene.ramp[box])
    assert outside.any()
    assert (image[outside] == stored.min()).all()


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha"])
@pytest.mark.parametrize("tilted", [False, True], ids=["straight", "oblique"])
def test_readers_agree_on_an_exported_file(tmp_path: Path, suffix: str, tilted: bool) -> None:
    random = np.random.default_rng(5)
    geometry = source_grid("PIR", tilted=tilted)
    voxels = random.normal(size=geometry.shape).astype(np.float16)
    file = tmp_path / f"x{suffix}"
    write_volume(Volume(voxels, geometry), file)
    array, on = read_sitk(file)
    assert array.dtype == np.float32
    assert np.array_equal(array, voxels.astype(np.float32))
    if suffix == ".mha":
        assert on.distance(geometry) <= 1e-9
        return
    again, nibabel_on = read_nibabel(file)
    header = nibabel.load(file).header
    assert np.array_equal(again, array)
    assert on.distance(geometry) <= 5e-5  # float32 in the header
    assert nibabel_on.distance(geometry) <= 5e-5
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert np.abs(header.get_qform() - header.get_sform()).max() <= 5e-5


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32])
@pytest.mark.parametrize("suffix", [".nii.gz", ".mha"])
def test_integers_stay_integers(tmp_path: Path, dtype: type, suffix: str) -> None:
    limits = np.iinfo(dtype)
    voxels = np.array([limits.min, 0, 1, limits.max], dtype).reshape(1, 2, 2)
    write_volume(Volume(voxels, Geometry(voxels.shape)), tmp_path / f"x{suffix}")
    array, _ = read_sitk(tmp_path / f"x{suffix}")
    assert array.dtype == dtype
    assert np.array_equal(array, voxels)


@st.composite
def journeys(draw: st.DrawFn) -> tuple[Geometry, str, list[list[int]]]:
    shape = tuple(draw(st.integers(2, 9)) for _ in range(3))
    geometry = Geometry(shape, (0.7, 1.9, 2.3), (3.0, -8.0, 11.0))
    geometry, _ = geometry.reorient(draw(st.sampled_from(CODES)))
    target = draw(st.sampled_from(CODES))
    box = []
    for length in geometry.reorient(target)[0].shape:
        start = draw(st.integers(0, length - 1))
        box.append([start, draw(st.integers(start + 1, length))])
    return geometry, target, box


def record_of(source: Geometry, target: str, box: list[list[int]], mapping: object) -> dict:
    oriented, _ = source.reorient(target)
    return {
        "geometry": {"source": source.to_json(), "oriented": oriented.to_json(), "crop": box},
        "mapping": {"scale": list(mapping.scale), "offset": list(mapping.offset)},
    }


@given(journeys(), st.booleans())
def test_way_back_without_resampling_is_exact(
    journey: tuple[Geometry, str, list[list[int]]], label: bool
) -> None:
    source, target, box = journey
    voxels = np.arange(1, source.voxels + 1, dtype=np.int32).reshape(source.shape)
    oriented, turn = source.reorient(target)
    slices = tuple(slice(a, b) for a, b in box)
    cropped = oriented.crop(slices)
    mapping = map_spacing(cropped, cropped.spacing)
    stored = Volume(turn.view(voxels)[slices], cropped)
    back = to_native(stored, record_of(source, target, box, mapping), label=label)
    kept = np.zeros(oriented.shape, bool)
    kept[slices] = True
    kept = turn.inverse.view(kept)
    fill = 0 if label else stored.array.min()
    assert back.geometry == source
    assert np.array_equal(back.array, np.where(kept, voxels, fill))


@settings(max_examples=30)
@given(journeys(), st.tuples(*[st.floats(0.4, 3.0)] * 3))
def test_no_resampling_moves_a_label_far(
    journey: tuple[Geometry, str, list[list[int]]], spacing: tuple[float, float, float]
) -> None:
    """A voxel's label comes from at most ½ stored voxel away, ¾ at a rim that rounding left uncovered."""
    source, target, box = journey
    oriented, turn = source.reorient(target)
    slices = tuple(slice(a, b) for a, b in box)
    cropped = oriented.crop(slices)
    mapping = map_spacing(cropped, spacing)
    on = mapping.on(cropped)
    stored = Volume(np.arange(1, on.voxels + 1, dtype=np.int32).reshape(on.shape), on)
    back = to_native(stored, record_of(source, target, box, mapping), label=True)
    found = turn.view(back.array)[slices] - 1
    here = cropped.index_to_physical(np.stack(np.indices(cropped.shape), -1))
    there = on.index_to_physical(np.stack(np.unravel_index(found, on.shape), -1))
    reach = np.maximum(on.spacing, cropped.spacing) * 0.75 + 1e-6
    assert (np.abs(here - there) @ np.abs(on.matrix) <= reach).all()


def test_a_changed_record_is_noticed() -> None:
    source = source_grid("LPS", tilted=False)
    mapping = map_spacing(source, (2.0, 2.0, 2.0))
    on = mapping.on(source)
    record = record_of(source, "LPS", [[0, n] for n in source.shape], mapping)
    stored = Volume(np.zeros(on.shape, np.uint8), on)
    assert to_native(stored, record, label=True).geometry == source
    record["mapping"]["offset"][0] += 0.25
    with pytest.raises(CorruptStoreError, match="away from the stored grid"):
        to_native(stored, record, label=True)
    with pytest.raises(CorruptStoreError):
        to_native(stored, {"geometry": {}}, label=True)
