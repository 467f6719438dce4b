"""A device that does not open, is shared, or lacks page-locked memory: cases are done, and it is told."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
from device.test_device_worker import check_equal, config_of, link_over, make
from kernels.cuda_on_cpu.cpu_module import missing
from support.numpy_driver import NumpyDriver, RefusedStep

import gpuprep
from gpuprep.device import cuda
from gpuprep.executors import task as tasks
from gpuprep.executors.clusters.cluster import _Preparation
from gpuprep.host import backend

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "kernels run here")


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy is there and a device answers, which another process has for itself."""

    def refuse(memory: float) -> None:
        raise RuntimeError("cudaErrorDevicesUnavailable: all CUDA devices are busy")

    monkeypatch.setattr(cuda, "open_link", refuse)
    for module in (backend, tasks):
        monkeypatch.setattr(module, "cupy_missing", lambda: "")
    monkeypatch.setattr(backend, "_visible_devices", lambda: (("0",), ""))


def test_on_auto_numpy_does_the_cases_of_a_device_that_does_not_open(
    cohort_folder, tmp_path, closed
):
    report = gpuprep.run(cohort_folder, tmp_path / "out", scheduler="serial")
    assert report.exit_code == 0
    ((reason, cases),) = report.finished.fallbacks.items()
    assert "cannot be used: cudaErrorDevicesUnavailable: all CUDA devices are busy" in reason
    assert cases == 4
    for case in gpuprep.open(tmp_path / "out").values():
        assert case.record["engine"] == {"backend": "numpy", "fallbacks": [reason]}


def test_who_asked_for_cupy_is_told_before_a_case_is_done(cohort_folder, tmp_path, closed):
    report = gpuprep.run(cohort_folder, tmp_path / "out", scheduler="serial", backend="cupy")
    assert report.exit_code != 0
    assert report.finished.done == 0
    assert not report.failures
    assert "devices are busy; --backend auto has NumPy" in report.finished.stopped


@pytest.mark.parametrize("limit", [0, 1 << 14, 50_000])
def test_page_locked_memory_that_runs_out_costs_time_and_nothing_else(tmp_path, limit):
    driver = NumpyDriver()
    driver.pinned_limit = limit
    link, config = link_over(driver), config_of("cubic")
    wanted = make(tmp_path / "host", config, None)
    for name in ("first", "second"):
        made = make(tmp_path / name, config, link)
        check_equal(made, wanted)
        assert made[0]["engine"]["backend"] == "cupy"
        (note,) = made[0]["engine"]["fallbacks"]
        assert "page-locked memory" in note
    assert not link.lost


@pytest.mark.parametrize("calls", [0, 3, 9])
def test_a_step_that_cuda_refuses_is_numpys_and_the_device_goes_on(tmp_path, calls):
    driver = NumpyDriver()
    link, config = link_over(driver), config_of("cubic")
    driver.error, driver.failing_after = RefusedStep, calls
    wanted = make(tmp_path / "host", config, None)
    refused = make(tmp_path / "refused", config, link)
    check_equal(refused, wanted)
    (note,) = refused[0]["engine"]["fallbacks"]
    assert "NumPy did not do a step" in note
    assert not link.lost
    driver.failing_after = None
    after = make(tmp_path / "after", config, link)
    assert after[0]["engine"] == {"backend": "cupy", "device": "NumPy", "fallbacks": []}


def test_a_device_that_is_lost_is_lost_to_every_slot_of_the_process(tmp_path):
    driver = NumpyDriver()
    config = config_of("cubic")
    driver.failing_after = 3
    made = make(tmp_path / "one", config, link_over(driver))
    other = make(tmp_path / "other", config, link_over(driver))
    assert other[0]["engine"]["fallbacks"] == made[0]["engine"]["fallbacks"]
    check_equal(other, make(tmp_path / "host", config, None))


@pytest.mark.parametrize("asked", ["moments", "order_statistics"])
def test_numbers_that_are_asked_for_when_the_device_is_full_come_from_the_host(
    tmp_path, monkeypatch, asked
):
    from gpuprep.ops.device.statistics import DeviceDistribution

    def full(*_):
        raise MemoryError("out of device memory")

    monkeypatch.setattr(DeviceDistribution, asked, full)
    config = config_of("foreground")
    made = make(tmp_path / "device", config, link_over(NumpyDriver()), ("f4",))
    check_equal(made, make(tmp_path / "host", config, None, ("f4",)))
    assert made[0]["engine"]["fallbacks"] == ["the device has no room for a step"]


def test_workers_of_one_device_divide_its_memory(monkeypatch):
    driver = NumpyDriver(room=1000)
    monkeypatch.setattr(cuda, "_opened", [driver])
    for sharers, capacity in (("", 800), ("1", 800), ("4", 200)):
        monkeypatch.setattr(cuda, "_gates", {})
        monkeypatch.setenv(cuda.SHARERS, sharers)
        assert cuda.open_link(0.8).capacity == capacity
    driver.arrays.live = 900  # of another process: less is free than its share
    monkeypatch.setattr(cuda, "_gates", {})
    assert cuda.open_link(0.8).capacity == 80


def test_a_worker_is_told_how_many_share_its_device(monkeypatch):
    for name in (cuda.SHARERS, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "")
    preparation = _Preparation({"a": "0", "b": "GPU-1", "c": "0"}, "")
    for worker, seen in (("a", ("0", "2")), ("b", ("GPU-1", "1"))):
        preparation.setup(SimpleNamespace(name=worker, local_directory=""))
        assert (os.environ["CUDA_VISIBLE_DEVICES"], os.environ[cuda.SHARERS]) == seen


def test_a_device_that_did_not_open_is_not_tried_again(monkeypatch):
    tried = []

    class Refusing:
        def __init__(self) -> None:
            tried.append(self)
            raise RuntimeError("no")

    monkeypatch.setattr(cuda, "_opened", [])
    monkeypatch.setattr(cuda, "CudaDriver", Refusing)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="no"):
            cuda.open_link(0.8)
    assert len(tried) == 1


def test_memory_of_a_landing_counts_as_the_case_s(tmp_path):
    from gpuprep.host.scratch import Scratch
    from gpuprep.ops.device.operations import DeviceOperations
    from gpuprep.ops.operations import HostOperations

    link = link_over(NumpyDriver())
    operations = DeviceOperations(link, HostOperations(1, Scratch(tmp_path, 30_000)))
    with link.session(0):
        first, second = (operations.empty(1, (20, 20, 20), np.float16, 0) for _ in range(2))
        assert link._landing.holds(first.reshape(-1).view(np.uint8))
        assert not link._landing.holds(second.reshape(-1).view(np.uint8))
