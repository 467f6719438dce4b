"""The way to CuPy: every name of it that is used is there, and whole runs over the CUDA stand-in."""

import re
from pathlib import Path

import numpy as np
import pytest
from device.cpucuda.machine import Machine

import gpuprep
from gpuprep.cli.doctor import examine
from gpuprep.config.file import parse_config
from gpuprep.device.cuda import CudaDriver, open_link
from gpuprep.host.backend import choose_backend
from gpuprep.kernels.loader import SOURCES

PACKAGE = Path(gpuprep.__file__).parent
CONFIG = {
    "image": {"resample": {"spacing": [1.6, 1.6, 2.0]}, "intensity": [{"zscore": {}}]},
    "store": {"dtype": "float32", "fsync": "never"},
}


def names_used() -> set[str]:
    """Every ``cupy.…`` in the sources, the aliases of cuda.py included."""
    found: set[str] = set()
    rooms = (PACKAGE / "device", PACKAGE / "kernels")
    for path in (
        *(file for room in rooms for file in room.glob("*.py")),
        PACKAGE / "host" / "backend.py",
    ):
        text = re.sub(r"\bself\._cupy\b", "cupy", path.read_text("utf-8"))
        text = re.sub(r"(?<![\w.])cuda\.(?=[A-Z]|runtime|driver)", "cupy.cuda.", text)
        found |= set(re.findall(r"\bcupy\.([A-Za-z_][\w.]*\w)", text))
    return {name for name in found if not name.startswith(("cuda12", "cuda13"))}


def test_every_name_of_cupy_that_is_used_is_there():
    cupy = pytest.importorskip("cupy")
    used = names_used()
    assert {"cuda.Stream", "cuda.runtime.memGetInfo", "cuda.function.Module"} <= used
    for name in used:
        value = cupy
        for part in name.split("."):
            value = getattr(value, part)


@pytest.mark.cpucuda
@pytest.mark.parametrize("slots", [1, 3])
def test_a_run_over_cupy_equals_one_over_numpy(cohort_folder, tmp_path, slots):
    config = parse_config(CONFIG | {"cuda": {"voxels": 0, "slots": slots}})
    where = {"config": config, "scheduler": "serial"}
    host = gpuprep.run(cohort_folder, tmp_path / "host", backend="numpy", **where)
    report = gpuprep.run(cohort_folder, tmp_path / "device", backend="cupy", **where)
    assert host.exit_code == report.exit_code == 0
    assert report.finished.fallbacks == {}
    wanted, made = (gpuprep.open(tmp_path / name) for name in ("host", "device"))
    for case in wanted:
        image, other = np.asarray(wanted[case].image), np.asarray(made[case].image)
        assert np.abs(image - other).max() <= 2e-6 * np.ptp(image)
        label, turned = (np.asarray(each[case].labels["segmentation"]) for each in (wanted, made))
        np.testing.assert_array_equal(label, turned)
        engine = made[case].record["engine"]
        assert engine == {"backend": "cupy", "device": "Imaginary", "fallbacks": []}
    again = gpuprep.run(cohort_folder, tmp_path / "device", **where)
    assert again.finished.skipped == 4  # the backend is not part of what makes a case current


@pytest.mark.cpucuda
def test_workers_have_a_device_each(cohort_folder, tmp_path):
    config = parse_config(CONFIG | {"cuda": {"voxels": 0, "slots": 2}})
    report = gpuprep.run(cohort_folder, tmp_path / "out", config=config, scheduler="local")
    assert report.exit_code == 0
    assert report.finished.fallbacks == {}
    cases = gpuprep.open(tmp_path / "out").values()
    assert {case.record["engine"]["device"] for case in cases} == {"Imaginary", "Imaginary 1"}


@pytest.mark.cpucuda
def test_devices_are_those_that_are_visible(cpucuda: Machine, monkeypatch):
    cpucuda.set(devices=4)
    assert choose_backend("auto").devices == ("0", "1", "2", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 3")
    assert choose_backend("cupy").devices == ("2", "3")
    cpucuda.set(devices=1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,9")
    cut = choose_backend("auto")
    assert cut.devices == ("0",)
    assert cut.note == "CUDA_VISIBLE_DEVICES=0,9 names 2 devices, CUDA sees 1 of them"


@pytest.mark.cpucuda
@pytest.mark.parametrize(
    "status", ["cudaErrorNoDevice", "cudaErrorInsufficientDriver", "cudaErrorUnknown"]
)
def test_without_a_device_auto_takes_numpy_and_says_why(cpucuda: Machine, status):
    cpucuda.fail("cudaGetDeviceCount", status, times=0)
    chosen = choose_backend("auto")
    assert chosen.name == "numpy"
    assert chosen.note.startswith("using NumPy: ")  # CuPy's versions say it in different words
    assert "CUDA" in chosen.note


@pytest.mark.cpucuda
def test_the_doctor_says_what_the_device_is_and_that_it_agrees():
    (check,) = (check for check in examine() if check.name == "GPU")
    assert check.state == "ok"
    assert re.fullmatch(r"Imaginary, 1\.1 GB free; differs from NumPy by \d\.\de-0\d", check.text)


@pytest.mark.cpucuda
def test_slots_of_a_process_share_one_gate_and_one_driver(cpucuda: Machine):
    first, second = open_link(0.5), open_link(0.5)
    assert first._gate is second._gate
    assert first._driver is second._driver
    assert first.capacity <= 1 << 29
    assert cpucuda.counts()["cuModuleLoadData"] == len(SOURCES)


@pytest.mark.cpucuda
@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("cudaErrorIllegalAddress", "device"),
        ("cudaErrorDevicesUnavailable", "device"),
        ("cudaErrorUnknown", "device"),
        ("cudaErrorInvalidValue", "step"),
        ("cudaErrorNotSupported", "step"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_errors_of_cuda_are_told_apart(cpucuda: Machine, status, meaning):
    driver = CudaDriver()
    cpucuda.fail("cudaMemGetInfo", status)
    with pytest.raises(RuntimeError, match=status) as caught:
        driver.free_memory()
    assert driver.failure(caught.value) == meaning
    assert driver.failure(ValueError()) == ""
    assert driver.failure(MemoryError()) == ""
