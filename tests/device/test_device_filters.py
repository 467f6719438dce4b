"""Filters of a case made on a device (the kernels on the CPU): what NumPy makes of the same voxels."""

from pathlib import Path

import numpy as np
import pytest
from device.test_device_worker import link_over, read
from kernels.cuda_on_cpu.cpu_module import missing
from support.numpy_driver import NumpyDriver

from gpuprep.config.file import parse_config
from gpuprep.device.link import Link
from gpuprep.preprocess.pipeline import run_case
from gpuprep.preprocess.task import CaseTask
from gpuprep.store.stored_case import StoredCase, open_case
from gpuprep.values.case import Case, LabelSource, Source

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "kernels run here")

CASE = Case("a", (Source("i2"), Source("f4")), (LabelSource((Source("label"),)),))
N4 = {"n4": {"iterations": [5, 5]}}


def made(folder: Path, filters: list, link: Link | None) -> StoredCase:
    image = {
        "filters": filters,
        "intensity": [{"zscore": {"over": "foreground"}}],
        "crop": {"to": "nonzero"},
        "resample": {"spacing": [0.7, 0.7, 2]},
    }
    config = parse_config(
        {
            "image": image,
            "store": {"dtype": "float32", "fsync": "never", "chunk": 16},
            "cuda": {"voxels": 0},
        }
    )
    run_case(CaseTask(CASE, str(folder), "digest"), config, read, link=link)
    return open_case(folder / "cases" / "a.zarr")


@pytest.mark.parametrize(
    "filters", [[{"median": {"size": 3}}, {"gaussian": {"sigma": 1.2}}], [N4]], ids=["rank", "n4"]
)
def test_filtered_voxels_are_those_of_the_host(tmp_path: Path, filters: list) -> None:
    driver = NumpyDriver()
    device = made(tmp_path / "device", filters, link_over(driver))
    host = made(tmp_path / "host", filters, None)
    image = np.asarray(host.image)
    limit = 2e-6 * np.ptp(image)
    np.testing.assert_allclose(np.asarray(device.image), image, rtol=0, atol=limit)
    assert device.record["engine"]["backend"] == "cupy"
    assert device.record["filters"] == host.record["filters"]
    plain = np.asarray(made(tmp_path / "plain", [], None).image)
    assert np.abs(plain - image).max() > 50 * limit
    assert driver.arrays.live == driver.engine.tables.bytes
