"""What ITK reads otherwise than the file says: told as E_ITK, or given as the checked reader gives it."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from support.dicom_series import dataset
from support.scans import assert_equal_scans

from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

ITK = ReadRules(reader="itk")


def load(path: Path, rules: ReadRules = ITK) -> Scan:
    return read(Source(str(path)), rules)


@pytest.mark.parametrize("line", [(1e-17, 0), (1e-17, 5), (1, 1e-20), (-1e-30, 0)])
def test_a_slope_that_itk_takes_for_none_is_not_left_to_it(tmp_path, line):
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    image.header.set_slope_inter(*line)
    path = tmp_path / "v.nii"
    nibabel.save(image, path)
    checked = read(Source(str(path)), ReadRules()).volumes[0].array
    with pytest.raises(InputError, match=r"E_ITK.*as small as these for none"):
        read(Source(str(path)), ReadRules(reader="itk"))
    other = read(Source(str(path)), ReadRules(reader="itk", policy={"E_ITK": "fix"}))
    np.testing.assert_array_equal(other.volumes[0].array, checked)


@pytest.mark.parametrize("told", [None, 20, 10**6])
@pytest.mark.parametrize("name", ["v.mha", "v.mhd"])
def test_a_metaimage_that_itk_would_inflate_in_part_is_not_left_to_it(tmp_path, name, told):
    """ITK gives what lies in memory, and says so on standard error alone."""
    array = np.random.default_rng(0).integers(-99, 99, (6, 7, 8), np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(array), tmp_path / name, useCompression=True)
    content = (tmp_path / name).read_bytes()
    line = b"" if told is None else f"CompressedDataSize = {told}\n".encode()
    (tmp_path / name).write_bytes(re.sub(rb"CompressedDataSize = \d+\n", line, content))
    source = Source(str(tmp_path / name))
    if told == 10**6:
        with pytest.raises(InputError, match="E_TRUNCATED"):
            read(source, ITK)
        return
    if told is None and name == "v.mhd":  # all of a file of its own is the stream
        np.testing.assert_array_equal(read(source, ITK).volumes[0].array, array)
        return
    for way in (peek, read):
        with pytest.raises(InputError, match=r"E_ITK.*CompressedDataSize"):
            way(source, ITK)
    fixed = read(source, ReadRules(reader="itk", policy={"E_ITK": "fix"}))
    np.testing.assert_array_equal(fixed.volumes[0].array, array)


@pytest.mark.parametrize("slope", ["1e30", "1e308", "2147483648", "-1e18"])
def test_slopes_beyond_all_whole_numbers_give_both_readers_one_voxel(tmp_path, slope):
    one = dataset(RescaleSlope=slope, RescaleIntercept=-1024)
    one.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert_equal_scans(load(tmp_path / "a.dcm"), load(tmp_path / "a.dcm", ReadRules()))


@pytest.mark.parametrize("word", ["T", "t", "1", "TRUE", "true", "F", "f", "0", "FALSE"])
@pytest.mark.parametrize("key", ["BinaryDataByteOrderMSB", "CompressedData", "BinaryData"])
def test_true_and_false_of_a_metaimage_are_what_itk_takes_them_for(tmp_path, key, word):
    """By their first letter alone: a 1 that was no True gave voxels with their bytes swapped."""
    array = np.random.default_rng(0).integers(-99, 99, (6, 7, 8), np.int16)
    packed = key == "CompressedData" and word[0] in "Tt1"
    path = tmp_path / "v.mha"
    sitk.WriteImage(sitk.GetImageFromArray(array), path, useCompression=packed)
    line = f"{key} = {word}\n".encode()
    path.write_bytes(re.sub(rb"\b" + key.encode() + rb" = \w+\n", line, path.read_bytes()))
    if key == "BinaryData" and word[0] in "Ff0":
        with pytest.raises(InputError):  # its bytes are no text
            load(path, ReadRules())
        return
    expected = sitk.GetArrayFromImage(sitk.ReadImage(path))
    assert np.array_equal(expected, array) == (key != "BinaryDataByteOrderMSB" or word[0] in "Ff0")
    np.testing.assert_array_equal(load(path, ReadRules()).volumes[0].array, expected)


def test_a_flag_that_is_neither_is_refused(tmp_path):
    path = tmp_path / "v.mha"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5), np.int16)), path)
    path.write_bytes(path.read_bytes().replace(b"OrderMSB = False", b"OrderMSB = little"))
    with pytest.raises(InputError, match=r"E_UNREADABLE.*'little', neither True nor False"):
        load(path, ReadRules())


def test_voxels_of_no_offset_are_not_left_to_itk(tmp_path):
    """It takes the four bytes of extensions behind the header for voxels."""
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "v.nii")
    content = bytearray((tmp_path / "v.nii").read_bytes())
    content[108:112] = bytes(4)
    (tmp_path / "v.nii").write_bytes(content)
    np.testing.assert_array_equal(load(tmp_path / "v.nii", ReadRules()).volumes[0].array, array.T)
    with pytest.raises(InputError, match=r"E_ITK.*no vox_offset"):
        load(tmp_path / "v.nii")
