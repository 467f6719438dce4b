"""How kernels get ready: compiled once with our options, kept on disk, loaded by one thread at a time."""

import os
import stat
import threading
from pathlib import Path

import pytest

from gpuprep.kernels import compiler, loader
from kernels.test_compile import need_nvrtc

KNOWN = [75, 80, 86, 90, 100, 120]


@pytest.mark.parametrize(
    ("capability", "target"),
    [(75, "sm_75"), (86, "sm_86"), (89, "sm_86"), (121, "sm_120"), (110, "compute_100")],
)
def test_a_device_gets_a_binary_of_its_generation_or_ptx(capability: int, target: str) -> None:
    assert compiler.target_for(capability, KNOWN) == target


def test_an_old_device_is_refused_with_both_numbers() -> None:
    with pytest.raises(RuntimeError, match=r"7\.5 and later, and the device has 6\.0"):
        compiler.target_for(60, KNOWN)


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An empty folder for binaries; the names of files that were compiled."""
    need_nvrtc()
    monkeypatch.setenv("GPUPREP_CACHE_DIR", str(tmp_path / "cache"))
    names, own = [], compiler.compile_text

    def counted(text: str, file: str, target: str) -> tuple[bytes, str]:
        names.append(file)
        return own(text, file, target)

    monkeypatch.setattr(compiler, "compile_text", counted)
    return names


def test_a_binary_is_compiled_once(compiled: list[str], tmp_path: Path) -> None:
    first, second = compiler.binary_of("scatter", 90), compiler.binary_of("scatter", 90)
    assert first == second
    assert first[:4] == b"\x7fELF"
    assert compiled == ["scatter.cu"]
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert compiler.binary_of("scatter", 80) != first
    assert len(list((tmp_path / "cache").iterdir())) == len(compiled) == 2


@pytest.mark.parametrize("damage", ["cut", "empty", "changed"])
def test_a_damaged_binary_is_compiled_again(
    compiled: list[str], tmp_path: Path, damage: str
) -> None:
    whole = compiler.binary_of("scatter", 90)
    (kept,) = (tmp_path / "cache").iterdir()
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes({"cut": content[:-9], "empty": b"", "changed": content}[damage])
    assert compiler.binary_of("scatter", 90) == whole
    assert compiled == ["scatter.cu"] * 2
    assert compiler.binary_of("scatter", 90) == whole
    assert len(compiled) == 2


def test_another_source_option_or_compiler_is_another_binary(
    compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler.binary_of("scatter", 90)
    monkeypatch.setattr(compiler, "OPTIONS", (*compiler.OPTIONS, "--ftz=false"))
    compiler.binary_of("scatter", 90)
    own = compiler.read_source
    monkeypatch.setattr(compiler, "read_source", lambda name: own(name) + "\n")
    compiler.binary_of("scatter", 90)
    monkeypatch.setattr("cupy.cuda.nvrtc.getVersion", lambda: (99, 0))
    compiler.binary_of("scatter", 90)
    assert len(compiled) == 4


def test_a_folder_that_cannot_be_had_costs_time_alone(
    compiled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GPUPREP_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert compiler.binary_of("scatter", 90) == compiler.binary_of("scatter", 90)
    assert len(compiled) == 2


def test_a_home_that_is_not_there_costs_time_alone(
    compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GPUPREP_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert compiler.binary_of("scatter", 90)[:4] == b"\x7fELF"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_binary_of_another_user_is_not_loaded(compiled: list[str], tmp_path: Path) -> None:
    compiler.binary_of("scatter", 90)
    (kept,) = (tmp_path / "cache").iterdir()
    os.chown(kept, 12345, 12345)
    compiler.binary_of("scatter", 90)
    assert compiled == ["scatter.cu"] * 2


def test_a_source_that_does_not_compile_says_where() -> None:
    need_nvrtc()
    with pytest.raises(RuntimeError, match=r"odd.cu does not compile for sm_90(.|\n)*odd.cu\(1\)"):
        compiler.compile_text('extern "C" __global__ void k() { nothing; }', "odd.cu", "sm_90")


def test_threads_that_begin_together_load_a_module_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, inside = [], threading.Semaphore(1)
    start = threading.Barrier(4)

    class Slow:
        def __init__(self, name: str, device: int) -> None:
            assert inside.acquire(blocking=False), "two threads compile at once"
            loaded.append((name, device))
            inside.release()

    monkeypatch.setattr(loader, "_CudaModule", Slow)
    monkeypatch.setattr(loader, "_modules", {})

    def begin() -> None:
        start.wait(10)
        for name in loader.SOURCES:
            loader._module(name, 0)

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert loaded == [(name, 0) for name in loader.SOURCES]
