"""Coarser levels: means and votes of eight voxels, where they belong in space, for OME readers too."""

import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.preprocess.pyramid import coarser_levels
from gpuprep.running.coordinator import run
from gpuprep.store.case import write_case
from gpuprep.store.reader import open_cohort
from gpuprep.store.verify import verify_cohort
from gpuprep.values.geometry import Geometry
from gpuprep.values.volume import Chunked

pytestmark = pytest.mark.usefixtures("reads_here")

GRID = Geometry((21, 16, 9), (0.5, 0.75, 2.0), (-10.0, 20.0, 30.5))
SHAPES = st.tuples(*[st.integers(1, 9)] * 3)


def eights(array: np.ndarray) -> np.ndarray:
    """The voxels under each coarse voxel, ``(z, y, x, 8)``; beyond an odd end the last voxel again."""
    padded = np.pad(array, [(0, n % 2 if n > 1 else 1) for n in array.shape], mode="edge")
    z, y, x = (n // 2 for n in padded.shape)
    return padded.reshape(z, 2, y, 2, x, 2).transpose(0, 2, 4, 1, 3, 5).reshape(z, y, x, 8)


@given(SHAPES, st.integers(0, 2**32 - 1), st.sampled_from(["f4", "f2", "i2"]))
def test_images_are_means_of_eight(shape: tuple[int, int, int], seed: int, dtype: str) -> None:
    image = (np.random.default_rng(seed).normal(size=shape) * 100).astype(dtype)
    levels = coarser_levels(image, {}, Geometry(shape), count=1)
    if max(shape) == 1:
        assert not levels
        return
    (level,) = levels
    mean = eights(image.astype(float)).mean(-1)
    assert level.image.dtype == image.dtype
    np.testing.assert_allclose(level.image, mean, atol={"f4": 1e-4, "f2": 0.26, "i2": 0.501}[dtype])


@given(SHAPES.filter(lambda shape: max(shape) > 1), st.integers(0, 2**32 - 1))
def test_labels_are_the_most_frequent_of_eight(shape: tuple[int, int, int], seed: int) -> None:
    label = np.random.default_rng(seed).choice([0, 3, 7, 200], shape).astype(np.uint8)
    (level,) = coarser_levels(None, {"a": label}, Geometry(shape), count=1)
    chosen, voters = level.labels["a"], eights(label)
    votes = (voters == chosen[..., None]).sum(-1)
    most = np.max([(voters == value).sum(-1) for value in (0, 3, 7, 200)], axis=0)
    assert level.image is None
    np.testing.assert_array_equal(votes, most)


def test_levels_lie_over_one_another() -> None:
    """A ramp in world coordinates stays one, away from the ends that repeat their last voxel."""
    index = np.stack(np.indices(GRID.shape), -1)
    ramp = GRID.index_to_physical(index) @ [1.0, 2.0, -0.5]
    for level in coarser_levels(ramp.astype(np.float32), {}, GRID, count=2)[:1]:
        here = level.geometry.index_to_physical(np.stack(np.indices(level.geometry.shape), -1))
        inner = (slice(0, -1),) * 3
        np.testing.assert_allclose(
            level.image[inner], (here @ [1.0, 2.0, -0.5])[inner], atol=1e-4, rtol=0
        )


def test_an_image_in_chunks_gives_the_same_levels() -> None:
    random = np.random.default_rng(0)
    plain = random.normal(size=(2, 21, 18, 9)).astype(np.float16)
    chunked = Chunked(np.zeros((2, 2, 2, 1, 16, 16, 16), np.float16), plain.shape)
    for channel, voxels in enumerate(plain):
        chunked[channel].fill(voxels)
    grid = Geometry(plain.shape[1:])
    ours, theirs = (coarser_levels(image, {}, grid, count=2) for image in (chunked, plain))
    assert [level.image.shape for level in ours] == [(2, 11, 9, 5), (2, 6, 5, 3)]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.image, b.image)


@pytest.mark.parametrize("code", ["LPS", "RAS", "PIR"])
@pytest.mark.parametrize("channels", [(), (2,)])
def test_validators_accept_the_levels(tmp_path: Path, code: str, channels: tuple[int, ...]) -> None:
    models = pytest.importorskip("ome_zarr_models.v05")
    yaozarrs = pytest.importorskip("yaozarrs")
    grid, _ = GRID.reorient(code)
    random = np.random.default_rng(1)
    image = random.normal(size=(*channels, *grid.shape)).astype(np.float16)
    labels = {"organs": random.integers(0, 3, grid.shape).astype(np.uint8)}
    coarser = coarser_levels(image, labels, grid, count=2)
    write_case(
        tmp_path,
        image=image,
        labels=labels,
        geometry=grid,
        coarser=coarser,
        chunk=16,
        durable=False,
    )
    yaozarrs.validate_zarr_store(str(tmp_path))
    group = zarr.open_group(tmp_path, mode="r")
    (multiscale,) = models.Image.from_zarr(group).attributes.ome.multiscales
    assert [entry.path for entry in multiscale.datasets] == ["0", "1", "2"]
    assert models.ImageLabel.from_zarr(group["labels/organs"]).attributes.ome.multiscales
    for level, number in zip(coarser, "12", strict=True):
        np.testing.assert_array_equal(group[number][...], level.image)
        np.testing.assert_array_equal(group[f"labels/organs/{number}"][...], level.labels["organs"])


def transforms(folder: Path) -> list[dict[str, list[float]]]:
    ome = json.loads((folder / "zarr.json").read_text())["attributes"]["ome"]
    return [
        {entry["type"]: entry[entry["type"]] for entry in level["coordinateTransformations"]}
        for level in ome["multiscales"][0]["datasets"]
    ]


def axes(folder: Path) -> list[str | None]:
    ome = json.loads((folder / "zarr.json").read_text())["attributes"]["ome"]
    return [axis.get("orientation", {}).get("value") for axis in ome["multiscales"][0]["axes"]]


@pytest.mark.parametrize(
    ("code", "first", "second", "words"),
    [
        ("LPS", [30.5, 20.0, -10.0], [31.5, 20.375, -9.75], "inferior anterior right"),
        ("RAI", None, [1.0, 0.375, 0.25], "superior posterior left"),
    ],
)
def test_where_levels_are_said_to_lie(tmp_path: Path, code, first, second, words) -> None:
    grid, _ = GRID.reorient(code)
    image = np.ones(grid.shape, np.float32)
    coarser = coarser_levels(image, {}, grid, count=1)
    write_case(tmp_path, image=image, labels={}, geometry=grid, coarser=coarser, durable=False)
    full, half = transforms(tmp_path)
    assert full["scale"] == [2.0, 0.75, 0.5]
    assert half["scale"] == [4.0, 1.5, 1.0]
    assert full.get("translation") == first
    assert half["translation"] == pytest.approx(second)
    assert [value.split("-")[0] for value in axes(tmp_path)] == words.split()


def test_a_tilted_grid_claims_no_orientation(tmp_path: Path) -> None:
    angle = np.radians(10)
    c, s = np.cos(angle), np.sin(angle)
    grid = Geometry((4, 4, 4), direction=(c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0))
    image = np.ones(grid.shape, np.float32)
    write_case(tmp_path, image=image, labels={}, geometry=grid, durable=False)
    assert axes(tmp_path) == [None, None, None]


def test_a_run_stores_levels_and_zarr_lists_the_cohort(cohort_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rules = parse_config({"store": {"pyramid": 2, "fsync": "never", "chunk": 16}})
    assert run(cohort_folder, out, config=rules, scheduler="serial").exit_code == 0
    stamps = {
        path: path.stat().st_mtime_ns for path in (out / "zarr.json", out / "cases/zarr.json")
    }
    cases = zarr.open(out, mode="r")["cases"]
    assert sorted(cases.group_keys()) == [f"{case_id}.zarr" for case_id in open_cohort(out)]
    for case_id in open_cohort(out):
        shape = np.array(cases[f"{case_id}.zarr/0"].shape)
        for level in (1, 2):
            shape = (shape + 1) // 2
            for name in (f"{level}", f"labels/segmentation/{level}"):
                assert cases[f"{case_id}.zarr/{name}"].shape == tuple(shape)
    assert not verify_cohort(out, full=True)
    assert run(cohort_folder, out, config=rules, scheduler="serial").exit_code == 0
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


def test_validators_accept_every_case_of_a_run(cohort_folder: Path, tmp_path: Path) -> None:
    models = pytest.importorskip("ome_zarr_models.v05")
    yaozarrs = pytest.importorskip("yaozarrs")
    out = tmp_path / "out"
    rules = parse_config({"store": {"pyramid": 1, "fsync": "never"}})
    assert run(cohort_folder, out, config=rules, scheduler="serial").exit_code == 0
    for case in open_cohort(out).values():
        yaozarrs.validate_zarr_store(str(case.path))
        group = zarr.open_group(case.path, mode="r")
        assert len(models.Image.from_zarr(group).attributes.ome.multiscales[0].datasets) == 2
        assert models.Labels.from_zarr(group["labels"]).attributes.ome.labels == ["segmentation"]
        assert models.ImageLabel.from_zarr(group["labels/segmentation"])


def test_levels_are_part_of_the_digest_only_where_there_are_any() -> None:
    none, two = Config(), parse_config({"store": {"pyramid": 2}})
    assert none.digest != two.digest
    assert none.digest == parse_config({"store": {"pyramid": 0}}).digest
