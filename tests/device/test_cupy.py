"""The way to CuPy: whole runs over a stand-in, and every name of CuPy's that is used, in the real one."""

import re
from pathlib import Path

import numpy as np
import pytest
from kernels.cuda_on_cpu.cpu_module import missing
from support import fake_cupy

import gpuprep
from gpuprep.cli.doctor import examine
from gpuprep.config.file import parse_config
from gpuprep.device.cuda import CudaDriver, open_link
from gpuprep.host.backend import choose_backend

PACKAGE = Path(gpuprep.__file__).parent
needs_kernels = pytest.mark.skipif(bool(missing()), reason=missing() or "kernels run here")
CONFIG = {
    "image": {"resample": {"spacing": [1.6, 1.6, 2.0]}, "intensity": [{"zscore": {}}]},
    "store": {"dtype": "float32", "fsync": "never"},
}


def names_used() -> set[str]:
    """Every ``cupy.…`` in the sources, the aliases of cuda.py included."""
    found: set[str] = set()
    for path in (
        PACKAGE / "device" / "cuda.py",
        PACKAGE / "device" / "decoder.py",
        PACKAGE / "kernels" / "loader.py",
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


@needs_kernels
@pytest.mark.parametrize("slots", [1, 3])
def test_a_run_over_cupy_equals_one_over_numpy(cohort_folder, tmp_path, slots):
    tree = CONFIG | {"cuda": {"voxels": 0, "slots": slots}}
    config = parse_config(tree)
    host = gpuprep.run(
        cohort_folder, tmp_path / "host", config=config, backend="numpy", scheduler="serial"
    )
    with fake_cupy.installed():
        report = gpuprep.run(
            cohort_folder, tmp_path / "device", config=config, backend="cupy", scheduler="serial"
        )
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
    with fake_cupy.installed():
        again = gpuprep.run(cohort_folder, tmp_path / "device", config=config, scheduler="serial")
    assert again.finished.skipped == 4  # the backend is not part of what makes a case current


def test_devices_are_those_that_are_visible(monkeypatch):
    with fake_cupy.installed(devices=4):
        assert choose_backend("auto").devices == ("0", "1", "2", "3")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8f1, 3")
        assert choose_backend("cupy").devices == ("GPU-8f1", "3")
    with fake_cupy.installed(devices=1):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,9")
        cut = choose_backend("auto")
        assert cut.devices == ("0",)
        assert cut.note == "CUDA_VISIBLE_DEVICES=0,9 names 2 devices, CUDA sees 1 of them"
    with fake_cupy.installed(devices=0):
        assert "no CUDA device" in choose_backend("auto").note


@needs_kernels
def test_the_doctor_says_what_the_device_is_and_that_it_agrees():
    with fake_cupy.installed():
        (check,) = (check for check in examine() if check.name == "GPU")
    assert check.state == "ok"
    assert re.fullmatch(r"Imaginary, 1\.1 GB free; differs from NumPy by \d\.\de-0\d", check.text)


@needs_kernels
def test_slots_of_a_process_share_one_gate_and_one_driver():
    with fake_cupy.installed():
        first, second = open_link(0.5), open_link(0.5)
        assert first._gate is second._gate
        assert first.capacity == 1 << 29


@needs_kernels
def test_errors_of_cuda_mean_the_device_and_others_do_not():
    with fake_cupy.installed():
        driver = CudaDriver()
        assert driver.failure(fake_cupy.CUDARuntimeError()) == "device"
        assert driver.failure(fake_cupy.CUDADriverError()) == "device"
        assert driver.failure(ValueError()) == ""
        assert driver.failure(MemoryError()) == ""
