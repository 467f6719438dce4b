"""Statistics of fractions take no more memory than the plan of the case says."""

import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest

from gpuprep.config.file import parse_config
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.preprocess.pipeline import measure_case, run_case
from gpuprep.preprocess.projection import project_case
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.case import Case, Source

pytestmark = pytest.mark.usefixtures("reads_here")

CLIP = {"percentile_clip": {"low": 1, "high": 99, "over": "foreground"}}


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize(("shape", "spread"), [((100, 160, 400), 300.0), ((60, 80, 90), 1e-3)])
def test_noise_is_counted_within_the_plan(tmp_path: Path, shape, spread, threads) -> None:
    """Nearly all voxels differ, as do two thirds of their bins."""
    voxels = np.random.default_rng(0).normal(0, spread, shape).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii")
    case = Case("a", (Source(str(tmp_path / "a.nii")),))
    for over in ("cohort", "foreground"):
        steps = [CLIP, {"zscore": {"over": over}}]
        config = parse_config({"image": {"intensity": steps}, "store": {"fsync": "never"}})
        task = CaseTask(case, str(tmp_path / over), config.digest, threads=threads)
        reader = Sandbox(ReadRules.of(config, memory=0, scratch=str(tmp_path)))
        allowed = project_case(case, config, reader.peek).peak_bytes - voxels.nbytes
        tracemalloc.start()  # what is decoded is shared memory, which it does not see
        try:
            cohort, _ = measure_case(task, config, reader.read)
            assert tracemalloc.get_traced_memory()[1] < allowed
            tracemalloc.reset_peak()
            run_case(task, config, reader.read, cohort)
            assert tracemalloc.get_traced_memory()[1] < allowed
        finally:
            tracemalloc.stop()
