"""GPUs as nvidia-smi tells of them: a stand-in on the path in its place."""

import stat

import pytest

from gpuprep.host.gpus import Gpu, parse_gpus, read_gpus

MIB = 1 << 20
TWO = "0, NVIDIA H100 80GB HBM3, 81559, 1024, 37\n1, NVIDIA A100, MIG, 40960, [N/A], [N/A]\n"


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Puts a program called nvidia-smi, and no other, on the path."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(script: str) -> None:
        file = tmp_path / "nvidia-smi"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    return put


def test_what_a_driver_does_not_tell_is_none() -> None:
    first, second = parse_gpus(TWO)
    assert first == Gpu(0, "NVIDIA H100 80GB HBM3", 81559 * MIB, 1024 * MIB, 0.37)
    assert second == Gpu(1, "NVIDIA A100, MIG", 40960 * MIB, None, None)


@pytest.mark.parametrize("text", ["", "No devices were found\n", "1, 2\n", "x, A, 1, 2, 3\n"])
def test_other_lines_are_no_gpus(text) -> None:
    assert parse_gpus(text) == ()


def test_the_driver_is_asked(driver) -> None:
    assert read_gpus() == ()  # there is none
    driver(f"printf '{TWO}'")
    assert [gpu.index for gpu in read_gpus()] == [0, 1]
    driver("echo broken >&2; exit 9")
    assert read_gpus() == ()


def test_a_driver_that_hangs_is_given_up(driver, monkeypatch) -> None:
    monkeypatch.setattr("gpuprep.host.gpus._SECONDS", 0.1)
    driver("while :; do :; done")
    assert read_gpus() == ()
