"""How often a file is opened for its header: on a network disk each time is a journey."""

import gzip
from pathlib import Path
from unittest import mock

import nibabel
import numpy as np
import pytest

from gpuprep.io import hashed
from gpuprep.io.reader import peek
from gpuprep.io.rules import ReadRules
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError


def opens(path: Path) -> int:
    with mock.patch.object(hashed, "_open_raw", wraps=hashed._open_raw) as opened:
        assert peek(Source(str(path)), ReadRules()).geometry.shape == (4, 5, 6)
    return opened.call_count


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((6, 5, 4), np.int16), np.eye(4)), path)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_a_nifti_file_is_opened_to_know_it_and_to_read_its_header(
    plain: Path, packed: bool
) -> None:
    if packed:
        plain.with_suffix(".nii.gz").write_bytes(gzip.compress(plain.read_bytes()))
        plain = plain.with_suffix(".nii.gz")
    assert opens(plain) == 2


def test_one_with_a_long_name_inside_is_known_as_well(plain: Path) -> None:
    path = plain.with_suffix(".nii.gz")
    with path.open("wb") as raw, gzip.GzipFile("n" * 400, "wb", fileobj=raw) as file:
        file.write(plain.read_bytes())
    assert opens(path) == 3


def test_gzip_that_is_none_is_refused_as_before(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"\x1f\x8b\x08\0\0\0\0\0\0\0" + bytes(300))
    with pytest.raises(InputError, match="E_"):
        peek(Source(str(path)), ReadRules())
