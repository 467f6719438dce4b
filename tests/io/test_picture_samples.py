"""Pictures are read as the values that they store, whatever a decoder makes of them for a screen."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from support.raw_pictures import write_png, write_tiff

from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source
from gpuprep.values.codes import Policy
from gpuprep.values.errors import InputError

ORDERS: list[Literal["<", ">"]] = ["<", ">"]


def grey(bits: int, dtype: str = "u1") -> NDArray[Any]:
    """Every value of so many bits, or some of them, in rows that end within a byte."""
    return (np.arange(45).reshape(5, 9) % min(1 << bits, 41)).astype(dtype)


def scanned(path: Path, **policy: Policy) -> Scan:
    source, rules = Source(str(path), spacing=(0.5, 0.5)), ReadRules(policy=policy)
    promised = peek(source, rules)
    scan = read(source, rules)
    assert np.dtype(promised.dtype) == scan.volumes[0].array.dtype
    assert promised.findings == scan.findings
    return scan


def values(path: Path, **policy: Policy) -> NDArray[Any]:
    found: NDArray[Any] = scanned(path, **policy).volumes[0].array[0]
    return found


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_of_a_png_is_what_it_stores(tmp_path: Path, bits: int) -> None:
    stored = grey(bits, "u2" if bits == 16 else "u1")
    path = write_png(tmp_path / "a.png", stored, bits)
    np.testing.assert_array_equal(values(path), stored)
    assert values(path).dtype == stored.dtype
    assert scanned(path).header["bits"] == bits


def test_the_decoder_would_have_made_other_classes_of_them(tmp_path: Path) -> None:
    for bits, step in ((2, 85), (4, 17)):
        path = write_png(tmp_path / f"{bits}.png", grey(bits), bits)
        np.testing.assert_array_equal(np.asarray(Image.open(path)), grey(bits) * step)


def test_a_value_that_is_declared_transparent_is_a_value(tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", grey(4), 4, gray_key=3)
    np.testing.assert_array_equal(values(path), grey(4))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_is_refused_or_its_indices_are_values(tmp_path: Path, bits: int) -> None:
    path = write_png(tmp_path / "a.png", grey(bits), bits, palette=True)
    with pytest.raises(InputError, match="E_COLOURS: the picture has a palette"):
        values(path)
    np.testing.assert_array_equal(values(path, E_COLOURS="fix"), grey(bits))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("white", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_of_a_tiff_is_what_it_stores(
    tmp_path: Path, bits: int, white: bool, order: Literal["<", ">"]
) -> None:
    pages = [grey(bits), grey(bits)[::-1]]
    path = write_tiff(tmp_path / "a.tif", *pages, bits=bits, white_is_zero=white, order=order)
    scan = read(Source(str(path), spacing=(0.5, 0.5, 2.0)), ReadRules())
    np.testing.assert_array_equal(scan.volumes[0].array, pages)
    told = {finding.code for finding in scan.findings}
    assert ("W_MONOCHROME1" in told) == white


@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("dtype", "kind"), [("i1", 2), ("u2", 1), ("i2", 2), ("u4", 1), ("i4", 2), ("f4", 3)]
)
def test_numbers_of_a_tiff_are_as_itk_reads_them(
    tmp_path: Path, dtype: str, kind: Literal[1, 2, 3], order: Literal["<", ">"], deflated: bool
) -> None:
    """Pillow turns deflated pixels of big-endian files round twice, all but those of u2."""
    stored = np.arange(90).reshape(2, 5, 9).astype(dtype)
    stored[0, 0, :2] = (-7, 100) if kind > 1 else (250, 100)
    bits = 8 * stored.dtype.itemsize
    path = write_tiff(
        tmp_path / "a.tif", *stored, bits=bits, kind=kind, order=order, deflated=deflated
    )
    truth = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).squeeze()
    np.testing.assert_array_equal(truth, stored)
    found = read(Source(str(path), spacing=(0.5, 0.5, 2.0)), ReadRules()).volumes[0].array
    np.testing.assert_array_equal(found, stored)
    assert found.dtype == dtype


@pytest.mark.parametrize("order", ORDERS)
def test_unsigned_numbers_of_32_bits_stay_unsigned(
    tmp_path: Path, order: Literal["<", ">"]
) -> None:
    stored = np.array([[0, 1, 1 << 31], [7, (1 << 32) - 1, 5]], "u4")
    path = write_tiff(tmp_path / "a.tif", stored, bits=32, order=order)
    found = values(path)
    np.testing.assert_array_equal(found, stored)
    assert found.dtype == "u4"
    if order == ">":
        with pytest.raises(UnidentifiedImageError):  # Pillow is as it was
            Image.open(path)


@pytest.mark.parametrize("bits", [1, 4, 8, 16])
def test_zero_as_white_is_told_kept_inverted_or_refused(tmp_path: Path, bits: int) -> None:
    stored = grey(bits, "u2" if bits == 16 else "u1")
    path = write_tiff(tmp_path / "a.tif", stored, bits=bits, white_is_zero=True)
    np.testing.assert_array_equal(values(path), stored)
    np.testing.assert_array_equal(values(path, W_MONOCHROME1="fix"), (1 << bits) - 1 - stored)
    with pytest.raises(InputError, match="W_MONOCHROME1: zero is white"):
        values(path, W_MONOCHROME1="error")


def test_pages_that_show_zero_otherwise_are_refused(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", grey(8), grey(8), bits=8, white_is_zero=(False, True))
    with pytest.raises(InputError, match="page 2 of 2 is of another size or kind"):
        read(Source(str(path), spacing=(1.0, 1.0, 1.0)), ReadRules())


def test_files_of_other_bits_are_no_stack(tmp_path: Path) -> None:
    files = [write_png(tmp_path / f"{bits}.png", grey(2), bits) for bits in (2, 4)]
    source = Source(str(tmp_path), tuple(map(str, files)), spacing=(1.0, 1.0, 1.0))
    with pytest.raises(InputError, match="9×5 L of 2 bits, then 9×5 L of 4 bits"):
        read(source, ReadRules())


@pytest.mark.parametrize(("unit", "told"), [(3, "0.02×0.01 mm"), (2, "0.0508×0.0254 mm"), (1, "")])
def test_a_resolution_is_told_where_a_spacing_lacks_and_never_taken(
    tmp_path: Path, unit: int, told: str
) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(grey(8)).save(path, resolution_unit=unit, x_resolution=500, y_resolution=1000)
    with pytest.raises(InputError, match="E_NO_GEOMETRY") as caught:
        read(Source(str(path)), ReadRules())
    assert told in caught.value.message
    assert ("printing" in caught.value.message) == bool(told)
    scan = read(Source(str(path), spacing=(0.5, 0.25)), ReadRules())
    assert scan.geometry.spacing == (0.5, 0.25, 1.0)


def test_kinds_that_are_not_known_are_refused_without_an_object_of_python(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", grey(8).astype("f8"), bits=64, kind=3)
    with pytest.raises(InputError, match="E_UNREADABLE") as caught:
        values(path)
    assert "BufferedReader" not in caught.value.message
    assert "pixels or compression" in caught.value.message
