"""The cohort that tests decode on a device."""

from pathlib import Path

import pytest
from support.stored import store_cohort


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_cohort(tmp_path_factory.mktemp("out"), codec="gpu")
