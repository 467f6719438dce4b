"""A folder as the examples find it: scans, a config, a cohort, and the command on the path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.cohorts import write_pair

import gpuprep
from guide.pages import ROOT, blocks

_COMMAND = """\
#!/bin/sh
exec {python} -m gpuprep.cli.app "$@"
"""

Shell = Callable[[str, Path], subprocess.CompletedProcess[str]]


def example(page: str, language: str) -> str:
    """The first block of a page in a language, which the folder holds as a file."""
    return next(block.text for block in blocks(page) if block.language == language)


@pytest.fixture(scope="session")
def example_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages take as given: ``scans``, ``ct.yaml``, ``several.yaml``, ``cases.csv`` and ``out``."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "scans").mkdir()
    for number in range(2):
        write_pair(folder / "scans", number)
    (folder / "ct.yaml").write_text(example("start", "yaml"), "utf-8")
    (folder / "several.yaml").write_text(example("outputs", "yaml"), "utf-8")
    (folder / "cases.csv").write_text(example("inputs", "csv"), "utf-8")
    report = gpuprep.run(
        folder / "scans", folder / "out", config=folder / "ct.yaml", scheduler="serial"
    )
    assert report.exit_code == 0
    return folder


@pytest.fixture
def workplace(
    request: pytest.FixtureRequest, example_files: Path, tmp_path: Path, page: str
) -> Path:
    """A folder for one page; where the page makes ``out`` itself, it is not there yet."""
    if page == "README":
        pytest.importorskip("nilearn", reason="the demo's volumes come with nilearn")
        from gpuprep.cli.demo import build_input

        build_input(tmp_path / "demo-out")
        (tmp_path / ".venv/bin").mkdir(parents=True)
        (tmp_path / ".venv/bin/activate").touch()
        return tmp_path
    shutil.copytree(example_files, tmp_path, dirs_exist_ok=True)
    if page == "start":
        shutil.rmtree(tmp_path / "out")
    return tmp_path


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Runs one line of a page in bash, where ``gpuprep`` is this package."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "gpuprep").write_text(_COMMAND.format(python=sys.executable))
    (folder / "gpuprep").chmod(0o755)

    def run(line: str, where: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            capture_output=True,
            text=True,
            check=False,
            cwd=where,
            timeout=120,
            env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        )

    return run
