"""Headers are asked for many at once; what a file does to the process reading it costs its own case alone."""

from pathlib import Path

import pytest

from gpuprep.config.file import parse_config
from gpuprep.planning.preview import preview_cohort


@pytest.mark.timeout(120)
def test_files_that_end_their_reader_cost_their_own_cases_and_no_other(
    cohort_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = preview_cohort(cohort_folder, parse_config({}))
    armed = "in_header@/volume-1.=kill,in_header@segmentation-3.=stop,in_header@volume-0.=raise-EIO"
    monkeypatch.setenv("GPUPREP_FAILPOINTS", armed)
    told = preview_cohort(cohort_folder, parse_config({"input": {"limits": {"seconds": 2}}}))
    assert told.projections == (whole.projections[2],)
    assert [(row.case_id, row.kind, row.path) for row in told.refused] == [
        ("volume-0", "io", ""),
        ("volume-1", "crash", str(cohort_folder / "volume-1.nii.gz")),
        ("volume-3", "crash", str(cohort_folder / "segmentation-3.nii.gz")),
    ]
    assert "SIGKILL" in told.refused[1].message
    assert "exceeded 2 s" in told.refused[2].message
