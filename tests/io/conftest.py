"""A reading child for all tests of a file, and a volume for it to read."""

import nibabel
import numpy as np
import pytest

from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.values.case import Source


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as shared:
        yield shared


@pytest.fixture
def volume(tmp_path) -> Source:
    """A compressed NIfTI file of 64×64×64 int16 voxels."""
    voxels = np.random.default_rng(0).integers(-1000, 1000, (64, 64, 64), np.int16)
    path = tmp_path / "体积 ü.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1, 2, 3, 1])), path)
    return Source(str(path))
