"""The first hour of a GPU: every operation is tried against NumPy, every kernel of it is timed."""

import io
import json
import re
import sys
from dataclasses import replace

import numcodecs.zstd
import numpy as np
import pytest
from kernels.cuda_on_cpu.cpu_module import missing
from kernels.kernel_engines import cpu_engine
from rich.console import Console
from support.numpy_driver import NumpyDriver
from typer.testing import CliRunner

from gpuprep.cli import gpu
from gpuprep.cli.app import app
from gpuprep.device.card import Card
from gpuprep.device.clock import WallClock
from gpuprep.kernels.compiler import read_source
from gpuprep.ops.device import trial

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "kernels run here")
runner = CliRunner()

SHAPE = (20, 44, 40)
CARD = Card("Imaginary [80]", "9.0", 80 << 30, 132, "13.0", "13.0", "14.2", "13.0", "", {})


@pytest.fixture(scope="module")
def found():
    return list(trial.trials(cpu_engine(), WallClock(), 1e9, SHAPE))


def test_every_operation_agrees_and_every_kernel_is_timed(found):
    assert [each.operation for each in found if not each.agrees] == []
    assert len({each.operation for each in found}) == len(found) == 13
    kernels = {kernel.kernel for each in found for kernel in each.kernels}
    assert kernels >= {"linear_int16_float16", "vote_uint8", "histogram_int16", "moments_float32"}
    assert any(name.startswith("last_pass") for name in kernels)
    for each in found:
        assert each.seconds == pytest.approx(sum(kernel.seconds for kernel in each.kernels))
        assert each.share == pytest.approx(each.bytes / 1e9 / each.seconds)
        assert all(kernel.seconds > 0 and kernel.bytes > 0 for kernel in each.kernels)


def test_a_wrong_kernel_is_seen():
    text = re.sub(r"fmaf\((\S+), far, \S+ \* near\)", "near", read_source("linear"))
    assert text != read_source("linear")
    engine = cpu_engine(changed={"linear": text})
    linear = next(
        each
        for each in trial.trials(engine, WallClock(), 1e9, SHAPE)
        if each.operation == "resample linear"
    )
    assert not linear.agrees
    assert linear.differs > 1e-3


class Zstd:
    def decode(self, encoded, frames, decoded, chunks):
        pieces = zip(frames.offsets, frames.sizes, chunks.offsets, chunks.sizes, strict=True)
        for source, length, target, size in pieces:
            frame = np.asarray(encoded)[source : source + length].tobytes()
            numcodecs.zstd.decompress(frame, np.asarray(decoded)[target : target + size])


class Wrong(Zstd):
    def decode(self, encoded, frames, decoded, chunks):
        super().decode(encoded, frames, decoded, chunks)
        decoded[3] ^= 1


def test_decoding_is_timed_where_it_is_there_and_checked(monkeypatch):
    monkeypatch.setattr(gpu, "_CHUNKS", 3)
    done = gpu.try_decoding(NumpyDriver(), WallClock(), Zstd)
    assert done["right"]
    assert done["bytes"] == 3 * 64**3 * 2
    assert not gpu.try_decoding(NumpyDriver(), WallClock(), Wrong)["right"]

    def absent():
        raise ImportError("No module named 'nvidia.nvcomp'")

    assert "nvidia.nvcomp" in gpu.try_decoding(NumpyDriver(), WallClock(), absent)["missing"]


def test_the_report_says_it_all(found):
    text = io.StringIO()
    console = Console(file=text, width=140)
    rates = {"device_copy": 2.9e12, "to_device": 55e9, "from_device": 50e9}
    worse = [replace(found[0], differs=1e-3), *found[1:]]
    decoded = {"right": True, "bytes_per_second": 7e9}
    for part in gpu.pages(CARD, 6.25, rates, worse, decoded):
        console.print(part)
    said = text.getvalue()
    for words in (
        *("Imaginary [80], compute capability 9.0", "kernels were ready after 6.2 s"),
        *("device copy 2900.0", "resample cubic", "last_pass_float16", "1.0e-03 more than 2e-06"),
        "nvCOMP decodes zstd at 7.0 GB/s, right",
    ):
        assert words in said


@pytest.mark.cpucuda
def test_the_doctor_tries_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "CT", SHAPE)
    monkeypatch.setattr(gpu, "_CHUNKS", 2)
    # Where it is installed, its own kernels do not run over the stand-in.
    monkeypatch.setitem(sys.modules, "nvidia.nvcomp", None)
    file = tmp_path / "results" / "gpu.json"
    done = runner.invoke(app, ["doctor", "--gpu", "--out", str(file)])
    assert done.exit_code == 0, done.output
    report = json.loads(file.read_text())
    assert report["ok"]
    assert report["card"]["name"] == "Imaginary"
    assert report["card"]["capability"] == "9.0"
    assert len(report["trials"]) == 13
    assert report["bytes_per_second"].keys() == {"device_copy", "to_device", "from_device"}
    assert "nvidia.nvcomp" in report["decode"]["missing"]
    printed = runner.invoke(app, ["doctor", "--gpu", "--json"])
    assert json.loads(printed.stdout)["ok"]
