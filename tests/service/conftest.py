"""What the tests of the service share: a small input, and what an undisturbed run makes of it."""

from pathlib import Path

import pytest
from support.cohorts import contents, run, write_pair


@pytest.fixture(scope="session")
def three(tmp_path_factory) -> Path:
    """Three pairs of a volume and a segmentation."""
    folder = tmp_path_factory.mktemp("three")
    for number in range(3):
        write_pair(folder, number)
    return folder


@pytest.fixture(scope="session")
def undisturbed(three, tmp_path_factory) -> dict[str, bytes]:
    """Every byte of what the command makes of ``three``."""
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    run(three, output)
    return contents(output)
