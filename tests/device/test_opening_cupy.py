"""A device that does not open, whatever CUDA refuses: a run on auto is done by NumPy, and told so."""

import numpy as np
import pytest
from device.cpucuda.machine import Machine

import gpuprep
from gpuprep.config.file import parse_config

pytestmark = [
    pytest.mark.cpucuda,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CONFIG = {
    "image": {"resample": {"spacing": [1.6, 1.6, 2.0]}},
    "cuda": {"voxels": 0},
    "store": {"dtype": "float32", "fsync": "never"},
}
CALLS = ("context", "cudaGetDeviceProperties", "cuModuleLoadData", "cudaMemGetInfo")
STATUSES = {  # and what CUDA says
    "cudaErrorDevicesUnavailable": "busy or unavailable",
    "cudaErrorMemoryAllocation": "out of memory",
    "cudaErrorUnknown": "unknown error",
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("call", CALLS)
def test_numpy_does_the_cases_of_a_device_that_does_not_open(
    cohort_folder, tmp_path, cpucuda: Machine, call, status
):
    where = {"config": parse_config(CONFIG), "scheduler": "serial"}
    cpucuda.fail(call, status, times=0)
    report = gpuprep.run(cohort_folder, tmp_path / "out", backend="auto", **where)
    assert report.exit_code == 0
    assert report.finished.done == 4
    cpucuda.complaints()
    cpucuda.forgive()
    for case in gpuprep.open(tmp_path / "out").values():
        engine = case.record["engine"]
        assert engine["backend"] == "numpy"
        assert STATUSES[status] in engine["fallbacks"][0]
        assert np.isfinite(np.asarray(case.image)).all()


def test_who_asked_for_cupy_is_told_what_cuda_said(cohort_folder, tmp_path, cpucuda: Machine):
    cpucuda.fail("context", "cudaErrorDevicesUnavailable", times=0)
    where = {"config": parse_config(CONFIG), "scheduler": "serial"}
    report = gpuprep.run(cohort_folder, tmp_path / "out", backend="cupy", **where)
    assert report.exit_code != 0
    assert report.finished.done == 0
    assert "busy or unavailable" in report.finished.stopped
