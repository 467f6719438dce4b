"""Damaged files by the thousand; ``GPUPREP_MUTANTS`` says how many, ``GPUPREP_SEED`` which."""

from __future__ import annotations

import os

import pytest
from chaos.fuzz import fuzz

COUNT = int(os.environ.get("GPUPREP_MUTANTS", "5000"))
SEED = int(os.environ.get("GPUPREP_SEED", "0"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_no_damaged_file_crashes_hangs_escapes_or_lies(tmp_path):
    campaign = fuzz(COUNT, SEED, tmp_path)
    assert campaign.outcomes.total() == COUNT
    assert not campaign.faults, campaign.describe()
    assert len(campaign.outcomes) > 8, "the mutations reach few of the checks"
