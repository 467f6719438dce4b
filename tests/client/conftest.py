"""A service at work, for all tests of the client."""

from pathlib import Path

import pytest
from support.cohorts import CONFIG, write_pair
from support.serving import Served, serving

SETTINGS = {"limits": {"jobs": 1}, "profiles": {"ct": {"config": CONFIG, "slots": 1}}}


@pytest.fixture(scope="session")
def sources(tmp_path_factory) -> Path:
    """Three pairs in ``good``; in ``mixed`` a file that is damaged beside one pair."""
    folder = tmp_path_factory.mktemp("sources")
    for name, numbers in (("good", range(3)), ("mixed", range(1))):
        (folder / name).mkdir()
        for number in numbers:
            write_pair(folder / name, number)
    write_pair(folder / "mixed", 1)
    volume = folder / "mixed/volume-1.nii.gz"
    volume.write_bytes(volume.read_bytes()[:-2000])  # its header is right
    return folder


@pytest.fixture(scope="session")
def served(tmp_path_factory, sources) -> Served:
    with serving(tmp_path_factory.mktemp("service") / "folder", sources, SETTINGS) as found:
        yield found
