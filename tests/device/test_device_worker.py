"""Whole cases on a device (the kernels on the CPU): what NumPy makes, whatever the device does."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kernels.cuda_on_cpu.cpu_module import missing
from support.numpy_driver import NumpyDriver

from gpuprep.cli.doctor import compare_engines
from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.device.link import Gate, Link
from gpuprep.io.scan import Scan
from gpuprep.ops.device.slabs import COUNT_BYTES
from gpuprep.preprocess.pipeline import run_case
from gpuprep.preprocess.task import CaseTask
from gpuprep.store.stored_case import open_case
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.geometry import Geometry
from gpuprep.values.volume import Volume

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "kernels run here")

SHAPE = (14, 33, 30)
GEOMETRY = Geometry(SHAPE, (0.8, 0.9, 3.5), (5.0, -7.0, 11.0))
CONFIGS: dict[str, dict[str, Any]] = {
    "cubic": {"intensity": [{"clip": {"low": -900, "high": 400}}, {"rescale": {"to": [0, 1]}}]},
    "linear": {"resample": {"spacing": [1, 1, 1], "interpolation": "linear"}},
    "smooth": {"resample": {"spacing": [2, 2, 5], "interpolation": "linear", "antialias": True}},
    "nearest": {"resample": {"shape": [20, 22, 9], "interpolation": "nearest"}},
    "kept grid": {"resample": {}, "intensity": [{"zscore": {}}]},
    "separate": {"resample": {"spacing": [1, 1, 2], "separate_z": "auto"}},
    "turned": {"orientation": "RSA", "crop": {"to": "label", "margin": 2}},
    "reference": {
        "resample": {
            "reference": {
                "grid": {
                    "shape": [12, 20, 45],
                    "spacing": [1.1, 1.3, 2.5],
                    "origin": [-4.0, 2.0, 20.0],
                    "direction": [1, 0, 0, 0, 1, 0, 0, 0, 1],
                }
            }
        }
    },
    "foreground": {
        "crop": {"to": "body"},
        "foreground": {"where": "body", "threshold": -300, "fill_holes": True, "outside": "zero"},
        "intensity": [{"percentile_clip": {}}, {"zscore": {"over": "foreground"}}],
    },
    "nonzero": {
        "crop": {"to": "nonzero"},
        "foreground": {"outside": "zero"},
        "intensity": [{"zscore": {"over": "foreground"}}],
    },
    "outside": {
        "crop": {"to": "body"},
        "foreground": {"where": "body", "threshold": -300, "fill_holes": True},
        "channels": {"0": {"outside": "zero", "intensity": [{"zscore": {"over": "foreground"}}]}},
    },
    "labelled": {
        "foreground": {"where": "nonzero_or_label", "fill_holes": True},
        "channels": {
            "channel_0": {"intensity": [{"zscore": {"over": "foreground"}}], "outside": "zero"}
        },
    },
    "filtered": {
        "filters": [{"median": {}}, {"clahe": {"tile": 9}}, {"gaussian": {"sigma": 1.1}}],
        "crop": {"to": "label", "margin": 2},
        "foreground": {"where": "body", "threshold": -300, "outside": "zero"},
    },
    "constant": {
        "foreground": {"outside": "zero"},
        "intensity": [{"multiply": {"by": 0}}, {"offset": {"by": 3}}],
    },
}


def config_of(name: str, dtype: str = "float32") -> Config:
    image = {"resample": {"spacing": [1, 1, 2]}} | CONFIGS[name]
    cuda = {"voxels": 0}
    store = {"dtype": dtype, "fsync": "never", "chunk": 16}
    policy = {"E_LABEL_LOST": "warn"}  # the reference does not take in the whole label
    label = {"outside": -1} if name in ("outside", "labelled") else {}
    rest = {"store": store, "cuda": cuda, "input": {"policy": policy}}
    return parse_config({"image": image, "label": label, **rest})


def voxels_of(kind: str) -> np.ndarray:
    random = np.random.default_rng(5)
    z, y, x = np.indices(SHAPE) - (np.array(SHAPE) / 2).reshape(3, 1, 1, 1)
    body = (2 * z) ** 2 + y**2 + x**2 < 190
    voxels = np.where(body, random.normal(40, 120, SHAPE), -1000.0)
    if kind == "u4":
        voxels += 1000
    if kind == "wide":  # every value of 16 bits is counted
        voxels[0, 0, :2] = 0, 65535
        return np.maximum(voxels, 0).astype(np.uint16)
    if kind == "nan":
        voxels[~body & (x > 3)] = np.nan
        voxels[3, 4:6, 7] = np.nan, np.inf
        return voxels.astype(np.float32)
    return voxels.astype(kind)


def read(source: Source) -> Scan:
    if source.path == "label":
        label = (voxels_of("f4") > 0).astype(np.uint8)
        label[:, ::3] *= 2
        return Scan((Volume(label, GEOMETRY),), (), (), "made")
    return Scan((Volume(voxels_of(source.path), GEOMETRY),), (), (), "made")


def make(
    folder: Path, config: Config, link: Link | None, kinds: tuple[str, ...] = ("i2",)
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """One case's record, image and label."""
    case = Case("a", tuple(map(Source, kinds)), (LabelSource((Source("label"),)),))
    record = run_case(CaseTask(case, str(folder), "digest"), config, read, link=link)
    stored = open_case(folder / "cases" / "a.zarr")
    return record, np.asarray(stored.image), np.asarray(stored.labels["segmentation"])


def link_over(driver: NumpyDriver) -> Link:
    return Link(driver, Gate(driver.free_memory()), piece_bytes=1 << 14)


def check_equal(made: Any, wanted: Any) -> None:
    """Images within 2e-6 of their range; labels, and what was decided, equal."""
    limit = 2e-6 * np.ptp(wanted[1].astype(np.float64))
    assert np.abs(made[1].astype(np.float64) - wanted[1]).max() <= limit
    np.testing.assert_array_equal(made[2], wanted[2])
    for name in ("labels", "geometry", "mapping", "findings", "outside"):
        assert made[0].get(name) == wanted[0].get(name)
    for own, other in zip(made[0]["intensity"], wanted[0]["intensity"], strict=True):
        assert own["clip"] == other["clip"]
        np.testing.assert_allclose(own["scale"], other["scale"], rtol=1e-12)
        np.testing.assert_allclose(own["offset"], other["offset"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("kinds", [("i2",), ("f4", "u1"), ("nan",), ("f8",), ("u4",)], ids=str)
def test_a_case_is_the_same_as_numpy_makes_it(tmp_path, name, kinds):
    driver = NumpyDriver()
    config = config_of(name)
    made = make(tmp_path / "device", config, link_over(driver), kinds)
    check_equal(made, make(tmp_path / "host", config, None, kinds))
    assert made[0]["engine"]["backend"] == "cupy"
    assert bool(made[0]["engine"]["fallbacks"]) == (kinds == ("u4",))
    assert driver.arrays.live == driver.engine.tables.bytes


def test_small_cases_stay_on_the_host(tmp_path):
    config = config_of("cubic").model_copy(update={"cuda": Config().cuda})
    assert make(tmp_path, config, link_over(NumpyDriver()))[0]["engine"] == {"backend": "numpy"}


@pytest.mark.parametrize("room", [0, 20_000, 60_000, 90_000, 150_000, 400_000])
def test_a_device_too_small_gives_the_same_case(tmp_path, room):
    config = config_of("cubic")
    driver = NumpyDriver(room)
    made = make(tmp_path / "device", config, link_over(driver))
    check_equal(made, make(tmp_path / "host", config, None))
    assert driver.arrays.peak <= room
    assert bool(made[0]["engine"]["fallbacks"]) == (room < 400_000)
    assert bool(driver.releases) == (room < 400_000)


@pytest.mark.parametrize("calls", [0, 1, 5, 12])
def test_a_lost_device_costs_time_and_nothing_else(tmp_path, calls):
    driver = NumpyDriver()
    link = link_over(driver)
    driver.failing_after = calls
    config = config_of("cubic")
    made = make(tmp_path / "device", config, link)
    check_equal(made, make(tmp_path / "host", config, None))
    assert made[0]["engine"]["backend"] == "numpy"
    assert "illegal memory access" in made[0]["engine"]["fallbacks"][0]
    assert link.lost
    again = make(tmp_path / "again", config, link)
    assert again[0]["engine"]["fallbacks"] == made[0]["engine"]["fallbacks"]


def test_slots_share_a_device_and_make_what_one_makes(tmp_path):
    driver = NumpyDriver()
    config = config_of("cubic")
    wanted = make(tmp_path / "host", config, None)
    made: dict[int, Any] = {}

    def slot(number: int) -> None:
        link = Link(driver, gate, piece_bytes=1 << 14)
        for turn in range(4):
            made[4 * number + turn] = make(tmp_path / f"{number}-{turn}", config, link)

    gate = Gate(1 << 20)
    threads = [threading.Thread(target=slot, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(made) == 12
    for each in made.values():
        check_equal(each, wanted)


def test_the_doctor_compares_the_engines():
    assert 0 < compare_engines(link_over(NumpyDriver())) < 2e-6


@pytest.mark.parametrize("name", CONFIGS)
def test_a_case_takes_no_more_of_the_device_than_it_asked_for(tmp_path, name):
    for kinds in (("f4", "u1"), ("nan", "nan")):
        check_memory(tmp_path / kinds[0], config_of(name), kinds)


@pytest.mark.parametrize("name", ["kept grid", "foreground"])
def test_a_tiny_case_asks_for_the_counts_of_all_its_values(tmp_path, name):
    check_memory(tmp_path, config_of(name), ("wide",), COUNT_BYTES)


@pytest.mark.parametrize("kind", ["f4", "f8", "wide"])
def test_a_tiny_case_asks_for_the_knots_of_its_curve(tmp_path, kind):
    image = {"intensity": [{"gamma": {"value": 0.05}}]}
    config = parse_config(
        {"image": image, "store": {"dtype": "float32", "fsync": "never"}, "cuda": {"voxels": 0}}
    )
    check_memory(tmp_path, config, (kind,), COUNT_BYTES)


def check_memory(
    folder: Path, config: Config, kinds: tuple[str, ...], beside: int = 1 << 16
) -> None:
    """What is asked for must do with ``beside`` bytes of those that do not grow with the volume."""
    driver = NumpyDriver()
    asked = []

    class Watched(Link):
        def session(self, needed):
            asked.append(needed)
            return super().session(needed)

    link = Watched(driver, Gate(1 << 40), piece_bytes=1 << 14)
    make(folder, config, link, kinds)
    assert driver.arrays.peak <= asked[0] - COUNT_BYTES + beside
