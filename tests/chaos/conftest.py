"""Shared: a small cohort, and what a run that nothing disturbs makes of it."""

from pathlib import Path

import pytest
from conftest import write_pair
from runs import finish
from test_run import contents


@pytest.fixture(scope="session")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six cases."""
    folder = tmp_path_factory.mktemp("some")
    for number in range(6):
        write_pair(folder, number)
    return folder


@pytest.fixture(scope="session")
def clean(some: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of their cohort."""
    output = tmp_path_factory.mktemp("clean") / "out"
    assert finish(some, output).returncode == 0
    return contents(output)
