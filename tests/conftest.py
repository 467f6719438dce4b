"""Shared: where the real scans lie, small volumes on disk, and Hypothesis without deadlines."""

import os
from pathlib import Path

import pytest
from device.cpucuda import machine
from hypothesis import settings
from support.cohorts import contents, write_pair

settings.register_profile("gpuprep", deadline=None, max_examples=60, derandomize="CI" in os.environ)
settings.load_profile("gpuprep")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """``-n auto``: the cores that are this process may use, eight at most for the memory they take."""
    from gpuprep.host.resources import available_cores

    return min(available_cores(), 8)


@pytest.fixture(scope="session")
def scans() -> Path:
    """The folder of real and hostile scans; tests that need it are skipped without it."""
    default = Path(__file__).parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("GPUPREP_TEST_DATA") or default)
    if not folder.is_dir():
        pytest.skip(f"no real scans at {folder}; set GPUPREP_TEST_DATA")
    return folder


@pytest.fixture(scope="module")
def reads_here():
    """For a whole file of tests: readers without a child, which would take half a second to start."""
    from support.reading import reading_here

    with reading_here():
        yield


@pytest.fixture
def cohort_folder(tmp_path: Path) -> Path:
    """Four CT-like LiTS pairs (volume-N, segmentation-N) with different sizes and orientations."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(4):
        write_pair(folder, number)
    return folder


@pytest.fixture(scope="session")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six such pairs."""
    folder = tmp_path_factory.mktemp("some")
    for number in range(6):
        write_pair(folder, number)
    return folder


@pytest.fixture(scope="session")
def clean(some: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run that nothing disturbs makes of them: the files of their cohort."""
    from support.runs import finish

    output = tmp_path_factory.mktemp("clean") / "out"
    assert finish(some, output).returncode == 0
    return contents(output)


@pytest.fixture(scope="module")
def proxy():
    """An S3 service on loopback, reached through a proxy that counts, fails and delays requests."""
    pytest.importorskip("obstore")
    pytest.importorskip("moto.server")
    from support.s3_server import s3_behind_proxy

    with s3_behind_proxy() as running:
        yield running


@pytest.fixture
def url(proxy, monkeypatch):
    """The URL of an empty cohort on the service."""
    from support.s3_server import fresh_prefix

    return fresh_prefix(proxy, monkeypatch)


@pytest.fixture(scope="module")
def serving():
    """The chunk routes of the service under uvicorn on loopback."""
    pytest.importorskip("uvicorn")
    from support.chunk_server import chunk_server

    with chunk_server() as running:
        yield running


@pytest.fixture
def chunks(serving):
    """That server as it began: nothing shared, no token, nothing seen."""
    serving.reset()
    return serving


@pytest.fixture
def cpucuda():
    """The CUDA stand-in as a process finds it that has just begun; a complaint of its fails the test."""
    if not machine.armed():
        pytest.skip(f"runs over the CUDA stand-in: {machine.COMMAND}")
    from device.cpucuda.fresh import fresh_process

    with fresh_process() as own:
        yield own
        complaints = own.complaints()
        assert not complaints, "\n".join(complaints[:20])


@pytest.fixture(autouse=True)
def _marked_cpucuda(request):
    if request.node.get_closest_marker("cpucuda"):
        request.getfixturevalue("cpucuda")
