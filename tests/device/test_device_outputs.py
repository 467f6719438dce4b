"""Several outputs of a case on a device (the kernels on the CPU): what NumPy makes, in the same memory."""

from pathlib import Path

import numpy as np
import pytest
from device.test_device_worker import SHAPE, link_over, read
from kernels.cuda_on_cpu.cpu_module import missing
from support.numpy_driver import NumpyDriver

from gpuprep.config.file import parse_config
from gpuprep.device.link import Link
from gpuprep.preprocess import writing
from gpuprep.preprocess.assemble import assemble
from gpuprep.preprocess.device_need import bytes_on_device
from gpuprep.preprocess.pipeline import run_case
from gpuprep.preprocess.task import CaseTask
from gpuprep.store.stored_case import StoredCase, open_case
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.errors import DeviceFailure
from gpuprep.values.findings import Findings

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "kernels run here")

OUTPUTS = {
    "fine": {"resample": {"spacing": [0.7, 0.7, 2]}},
    "coarse": {"resample": {"spacing": [1.5, 1.5, 4]}, "intensity": [{"zscore": {}}]},
    "bone": {
        "resample": {"spacing": [0.7, 0.7, 2]},
        "intensity": [{"clip": {"low": 0, "high": 9}}],
    },
}
CONFIG = parse_config(
    {
        "image": {"intensity": [{"zscore": {"over": "foreground"}}], "crop": {"to": "nonzero"}},
        "store": {"dtype": "float32", "fsync": "never", "chunk": 16},
        "cuda": {"voxels": 0},
        "outputs": OUTPUTS,
    }
)
CASE = Case("a", (Source("i2"), Source("f4")), (LabelSource((Source("label"),)),))


def make(folder: Path, link: Link | None) -> dict[str, StoredCase]:
    run_case(CaseTask(CASE, str(folder), "digest"), CONFIG, read, link=link)
    return {name: open_case(folder / "cases" / "a.zarr", output=name) for name in OUTPUTS}


def check_equal(made: dict[str, StoredCase], wanted: dict[str, StoredCase]) -> None:
    for name in OUTPUTS:
        image = np.asarray(wanted[name].image)
        limit = 2e-6 * np.ptp(image)
        np.testing.assert_allclose(np.asarray(made[name].image), image, rtol=0, atol=limit)
        label = np.asarray(wanted[name].labels["segmentation"])
        np.testing.assert_array_equal(np.asarray(made[name].labels["segmentation"]), label)
        for told in ("labels", "geometry", "mapping", "findings"):
            assert made[name].record[told] == wanted[name].record[told]


def test_every_output_is_as_numpy_makes_it(tmp_path):
    driver = NumpyDriver()
    link = link_over(driver)
    made = make(tmp_path / "device", link)
    check_equal(made, make(tmp_path / "host", None))
    assert made["bone"].record["engine"]["backend"] == "cupy"
    assert driver.arrays.live == driver.engine.tables.bytes


def test_results_lie_where_those_of_the_output_before_did(tmp_path):
    link = link_over(NumpyDriver())
    made = make(tmp_path / "device", link)
    sizes = {
        name: sum(np.asarray(array).nbytes for array in (case.image, *case.labels.values()))
        for name, case in made.items()
    }
    landing = sum(block.nbytes for block in link._landing._memory)
    assert landing < max(sizes.values()) + 8 * (1 << 20)
    taken = [link.empty((1000,), "f4") for _ in range(2)]
    with link.passing():
        first = link.empty((1000,), "f4")
    second = link.empty((1000,), "f4")
    assert np.may_share_memory(first, second)
    assert not any(np.may_share_memory(second, each) for each in taken)


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_device_that_fails_after_the_first_output_costs_only_time(
    tmp_path, monkeypatch, fails_at
):
    """What it wrote so far is taken away: NumPy makes every output anew."""
    own, written = writing.CaseWriter._write_output, []

    def failing(writer, output, folder):
        if len(written) == fails_at:
            written.append("failure")
            raise DeviceFailure("CUDA refused a step")
        written.append(output.name)
        return own(writer, output, folder)

    monkeypatch.setattr(writing.CaseWriter, "_write_output", failing)
    made = make(tmp_path / "device", link_over(NumpyDriver()))
    order = ["fine", "bone", "coarse"]  # those on one grid follow one another
    assert written == [*order[:fails_at], "failure", *order]
    monkeypatch.setattr(writing.CaseWriter, "_write_output", own)
    check_equal(made, make(tmp_path / "host", None))
    engine = made["fine"].record["engine"]
    assert (engine["backend"], engine["fallbacks"]) == ("numpy", ["CUDA refused a step"])


def test_the_device_is_asked_for_memory_of_the_largest_output():
    case = assemble(CASE, CONFIG, read, Findings())
    alone = [bytes_on_device(case, part) for part in CONFIG.parts().values()]
    assert bytes_on_device(case, CONFIG) == max(alone) > min(alone)
    assert case.geometry.shape == SHAPE
