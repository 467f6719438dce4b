"""Reading without a child, as other rooms' tests do, gives what a child gives."""

import numpy as np
import pytest
from support.reading import reading_here

from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.values.case import Source
from gpuprep.values.errors import GpuprepError


def test_scans_and_previews_are_those_of_a_child(sandbox: Sandbox, volume: Source) -> None:
    read, seen = sandbox.read(volume), sandbox.peek(volume)
    with reading_here(), Sandbox() as here:
        scan, preview = here.read(volume), here.peek(volume)
        assert here.pid is None
    np.testing.assert_array_equal(scan.volumes[0].array, read.volumes[0].array)
    assert scan.to_json() == read.to_json()
    assert preview == seen


def test_errors_are_those_of_a_child(sandbox: Sandbox, tmp_path) -> None:
    (tmp_path / "bad.nii").write_bytes(b"junk")
    for path in (tmp_path / "bad.nii", tmp_path / "absent.nii"):
        with pytest.raises((GpuprepError, OSError)) as apart:
            sandbox.read(Source(str(path)))
        with reading_here(), Sandbox() as own, pytest.raises((GpuprepError, OSError)) as here:
            own.read(Source(str(path)))
        assert (here.type, str(here.value)) == (apart.type, str(apart.value))
