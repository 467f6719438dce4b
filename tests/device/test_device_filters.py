"""Filters of a case made on a device (the kernels on the CPU): what NumPy makes of the same voxels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device.test_device_worker import check_memory, link_over, read
from kernels.cuda_on_cpu.cpu_module import missing
from support.numpy_driver import NumpyDriver

from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.device.link import Link
from gpuprep.ops.device import clahe
from gpuprep.preprocess.pipeline import run_case
from gpuprep.preprocess.task import CaseTask
from gpuprep.store.stored_case import StoredCase, open_case
from gpuprep.values.case import Case, LabelSource, Source

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "kernels run here")

MEDIAN, GAUSSIAN = {"median": {}}, {"gaussian": {"sigma": [1.2, 0, 5]}}
CLAHE = {"clahe": {"tile": 9}}
TILED = {"clahe": {"tile": [7, 5, 20], "from": [-900, 300], "clip": 0.05, "bins": 40}}
FILTERS: dict[str, list[dict[str, Any]]] = {
    "gaussian": [GAUSSIAN],
    "median": [MEDIAN],
    "median of 5": [{"median": {"size": 5}}],
    "clahe": [CLAHE],
    "tiled": [TILED],
    "chain": [MEDIAN, TILED, GAUSSIAN, MEDIAN],
}
N4 = {"n4": {"iterations": [5, 5]}}
DIFFUSION = {"curvature_diffusion": {"iterations": 2}}


def slow(value: Any) -> Any:
    return pytest.param(value, marks=pytest.mark.slow)


def config_of(filters: list[dict[str, Any]], **image: Any) -> Config:
    rest = {
        "intensity": [{"zscore": {"over": "foreground"}}],
        "crop": {"to": "nonzero"},
        "resample": {"spacing": [0.7, 0.7, 2]},
    }
    store = {"dtype": "float32", "fsync": "never", "chunk": 16}
    image = {"filters": filters, **rest, **image}
    return parse_config({"image": image, "store": store, "cuda": {"voxels": 0}})


def made(
    folder: Path,
    config: Config,
    link: Link | None = None,
    kinds: tuple[str, ...] = ("i2",),
    memory: int = 0,
) -> StoredCase:
    case = Case("a", tuple(map(Source, kinds)), (LabelSource((Source("label"),)),))
    run_case(CaseTask(case, str(folder), "digest", memory=memory), config, read, link=link)
    return open_case(folder / "cases" / "a.zarr")


def check_equal(one: StoredCase, other: StoredCase) -> None:
    image = np.asarray(other.image)
    limit = 2e-6 * np.ptp(image)
    np.testing.assert_allclose(np.asarray(one.image), image, rtol=0, atol=limit)
    assert one.record["filters"] == other.record["filters"]


def engine_of(case: StoredCase) -> tuple[str, list[str]]:
    return case.record["engine"]["backend"], case.record["engine"]["fallbacks"]


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize(
    "kinds", [("i2", "f4"), ("nan",), *(slow(each) for each in (("f8",), ("u4", "u1")))], ids=str
)
def test_filtered_voxels_are_those_of_the_host(
    tmp_path: Path, name: str, kinds: tuple[str, ...]
) -> None:
    driver, config = NumpyDriver(), config_of(FILTERS[name])
    device = made(tmp_path / "device", config, link_over(driver), kinds)
    check_equal(device, made(tmp_path / "host", config, None, kinds))
    fallbacks = ["kernels do not read uint32"] if "u4" in kinds else []
    assert engine_of(device) == ("cupy", fallbacks)
    assert driver.arrays.live == driver.engine.tables.bytes


@pytest.mark.parametrize("name", ["gaussian", "median", "clahe"])
def test_a_filter_does_something(tmp_path: Path, name: str) -> None:
    filtered = made(tmp_path / "filtered", config_of(FILTERS[name]), link_over(NumpyDriver()))
    plain = np.asarray(made(tmp_path / "plain", config_of([])).image)
    assert np.abs(plain - np.asarray(filtered.image)).max() > 1e-3 * np.ptp(plain)


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        ([N4], "n4 is"),
        ([MEDIAN, DIFFUSION, GAUSSIAN], "curvature_diffusion is"),
        ([N4, DIFFUSION], "n4 and curvature_diffusion are"),
    ],
)
def test_a_chain_with_a_filter_of_the_host_is_the_hosts(
    tmp_path: Path, filters: list[dict[str, Any]], named: str
) -> None:
    config = config_of(filters, channels={"1": {"filters": [GAUSSIAN]}})
    kinds = "f4", "i2"
    device = made(tmp_path / "device", config, link_over(NumpyDriver()), kinds)
    check_equal(device, made(tmp_path / "host", config, None, kinds))
    told = f"{named} for the host, and so are all filters of the channel"
    assert engine_of(device) == ("cupy", [told])


def test_a_tile_of_more_voxels_than_kernels_count_is_the_hosts(tmp_path: Path, monkeypatch) -> None:
    config = config_of([MEDIAN, TILED, GAUSSIAN])
    monkeypatch.setattr(clahe, "MOST_VOXELS", 6 * 6 * 9 - 1)
    device = made(tmp_path / "device", config, link_over(NumpyDriver()))
    check_equal(device, made(tmp_path / "host", config))
    told = "a tile of 6 x 6 x 9 voxels is for the host, and so are all filters of the channel"
    assert engine_of(device) == ("cupy", [told])


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("room", [*map(slow, (0, 40_000, 160_000, 250_000)), 100_000, 400_000])
def test_a_device_too_small_gives_the_same_case(tmp_path: Path, name: str, room: int) -> None:
    """Filters see the whole volume, wherever they run; labels and filtered voxels go slab by slab."""
    driver, config = NumpyDriver(room), config_of(FILTERS[name])
    kinds = ("u1",) if "median" in name else ("f4",)  # bytes that are no mask
    device = made(tmp_path / "device", config, link_over(driver), kinds)
    check_equal(device, made(tmp_path / "host", config, None, kinds))
    assert driver.arrays.peak <= room
    backend, fallbacks = engine_of(device)
    assert backend == "cupy"
    if room == 400_000:  # the filter's result comes back from the device, to be resampled
        assert "slabs" in " ".join(fallbacks)
        assert "the device has no room for a step" not in fallbacks
    else:
        assert fallbacks


@pytest.mark.parametrize("name", FILTERS)
def test_what_goes_to_disk_is_the_same(tmp_path: Path, name: str) -> None:
    """A case that may take little memory: results of filters lie in files."""
    config = config_of(FILTERS[name])
    few = 34 << 20  # of which the engine's threads have 32
    small = made(tmp_path / "small", config, memory=few)
    roomy = made(tmp_path / "roomy", config)
    np.testing.assert_array_equal(np.asarray(small.image), np.asarray(roomy.image))


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("spacing", [{}, {"spacing": [1, 1, 2]}], ids=["kept grid", "finer"])
def test_no_more_of_the_device_is_taken_than_was_asked_for(
    tmp_path: Path, name: str, spacing: dict[str, Any]
) -> None:
    config = config_of(FILTERS[name], intensity=[], resample=spacing)
    for kinds in (("nan", "u1"), ("f8",)):
        check_memory(tmp_path / kinds[0], config, kinds)


def test_float32_sums_and_whole_numbers_are_those_of_filtered_voxels(tmp_path: Path) -> None:
    intensity = [{"zscore": {"precision": "float32"}}]
    config = config_of([MEDIAN], intensity=intensity)
    device = made(tmp_path / "device", config, link_over(NumpyDriver()), ("f4",))
    host = made(tmp_path / "host", config, None, ("f4",))
    check_equal(device, host)
    assert device.record["intensity"] == host.record["intensity"]


def test_a_filter_may_turn_a_voxel_over_to_the_next_bin_of_clahe_and_no_more(
    tmp_path: Path,
) -> None:
    """A last place of a Gaussian decides which of two bins a voxel on their border is in."""
    config = config_of([{"gaussian": {"sigma": 1}}, CLAHE], resample={}, intensity=[])
    device = np.asarray(made(tmp_path / "device", config, link_over(NumpyDriver())).image)
    host = np.asarray(made(tmp_path / "host", config).image)
    assert np.mean(np.abs(device - host) > 2e-6) < 1e-3
