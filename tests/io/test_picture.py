"""PNG and TIFF as volumes, against ITK's own readers; colours, bombs and torn files are refused."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.io.scan import Voxels
from gpuprep.values.case import Source
from gpuprep.values.codes import Policy
from gpuprep.values.errors import InputError

RULES = ReadRules()


def pixels(dtype: str, shape: tuple[int, ...] = (7, 9), seed: int = 0) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    if dtype == "f4":
        return rng.normal(size=shape).astype("f4")
    return rng.integers(0, np.iinfo(dtype).max, shape).astype(dtype)


def tiff(path: Path, pages: NDArray[Any], **how: Any) -> Path:
    first, *others = [Image.fromarray(page) for page in pages]
    first.save(path, save_all=True, append_images=others, **how)
    return path


def png_that_claims(path: Path, width: int, height: int) -> Path:
    """A PNG with a header of that size and next to nothing in it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def never(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Voxels:
    raise AssertionError(f"memory was taken for {shape} of {dtype}")


def refused(source: Source, policy: dict[str, Policy] | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        read(source, ReadRules(policy=policy or {}))
    return caught.value


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_a_png_is_one_slice_as_itk_reads_it(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(pixels(dtype)).save(path)
    source = Source(str(path), spacing=(0.2, 0.3))
    scan = read(source, RULES)
    assert scan.volumes[0].array.shape == (1, 7, 9)
    assert scan.volumes[0].array.dtype == dtype
    truth = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    np.testing.assert_array_equal(scan.volumes[0].array[0], truth)
    assert scan.geometry.spacing == (0.2, 0.3, 1.0)
    assert {finding.code for finding in scan.findings} == {"W_FLAT", "W_FEW_SLICES", "W_NO_AFFINE"}
    promised = peek(source, RULES)
    assert (promised.geometry, np.dtype(promised.dtype)) == (scan.geometry, np.dtype(dtype))


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4"])
@pytest.mark.parametrize("compression", ["raw", "tiff_adobe_deflate", "tiff_lzw", "packbits"])
def test_pages_of_a_tiff_are_slices_as_itk_reads_them(
    tmp_path: Path, dtype: str, compression: str
) -> None:
    path = tiff(tmp_path / "a.tif", pixels(dtype, (6, 7, 9)), compression=compression)
    scan = read(Source(str(path), spacing=(0.5, 0.5, 2.0)), RULES)
    np.testing.assert_array_equal(
        scan.volumes[0].array, sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    )
    assert scan.geometry.spacing == (0.5, 0.5, 2.0)
    assert scan.volumes[0].array.dtype == dtype
    assert "W_FLAT" not in {finding.code for finding in scan.findings}


def test_files_of_a_folder_are_slices_in_their_order(tmp_path: Path) -> None:
    stack = pixels("u2", (3, 7, 9))
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for file, page in zip(files, stack, strict=True):
        Image.fromarray(page).save(file)
    scan = read(Source(str(tmp_path), tuple(map(str, files)), spacing=(1.0, 1.0, 3.0)), RULES)
    np.testing.assert_array_equal(scan.volumes[0].array, stack)
    assert [entry.path for entry in scan.identity] == list(map(str, files))


def test_the_sandbox_reads_what_this_process_reads(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tiff", pixels("f4", (5, 7, 9)))
    source = Source(str(path), spacing=(0.5, 0.6, 2.0))
    with Sandbox(RULES) as sandbox:
        there, promised = sandbox.read(source), sandbox.peek(source)
    here = read(source, RULES)
    np.testing.assert_array_equal(there.volumes[0].array, here.volumes[0].array)
    assert there.geometry == here.geometry == promised.geometry


@pytest.mark.parametrize("spacing", [(), (0.5, 0.5)])
def test_a_stack_without_its_spacing_is_refused_or_taken_at_one_mm(
    tmp_path: Path, spacing: tuple[float, ...]
) -> None:
    source = Source(str(tiff(tmp_path / "a.tif", pixels("u1", (4, 7, 9)))), spacing=spacing)
    error = refused(source)
    assert (error.code, "column spacing" in (error.advice or "")) == ("E_NO_GEOMETRY", True)
    scan = read(source, ReadRules(policy={"E_NO_GEOMETRY": "warn"}))
    assert scan.geometry.spacing == ((*spacing, 1.0) if spacing else (1.0, 1.0, 1.0))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "CMYK"])
def test_colours_are_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.fromarray(pixels("u1", (7, 9, 3))).convert(mode).save(path)
    assert refused(Source(str(path), spacing=(1.0, 2.0))).code == "E_COLOURS"


def test_under_fix_equal_colours_are_grey_and_others_refused(tmp_path: Path) -> None:
    grey = pixels("u1")
    for mode in ("RGB", "RGBA", "LA"):
        path = tmp_path / f"{mode}.png"
        Image.fromarray(grey).convert(mode).save(path)
        scan = read(Source(str(path), spacing=(1.0, 2.0)), ReadRules(policy={"E_COLOURS": "fix"}))
        np.testing.assert_array_equal(scan.volumes[0].array[0], grey)
    path = tmp_path / "other.png"
    Image.fromarray(pixels("u1", (7, 9, 3))).save(path)
    error = refused(Source(str(path), spacing=(1.0, 2.0)), {"E_COLOURS": "fix"})
    assert (error.code, "differ" in error.message) == ("E_COLOURS", True)
    path = tmp_path / "clear.png"
    Image.merge("LA", [Image.fromarray(grey), Image.fromarray(grey)]).save(path)
    assert refused(Source(str(path), spacing=(1.0, 2.0)), {"E_COLOURS": "fix"}).code == "E_COLOURS"


def test_under_fix_a_palette_gives_its_indices(tmp_path: Path) -> None:
    picture = Image.fromarray(np.arange(6, dtype="u1").reshape(2, 3), mode="P")
    picture.putpalette([200, 10, 10, 0, 0, 90] * 128)
    picture.save(tmp_path / "a.png")
    source = Source(str(tmp_path / "a.png"), spacing=(1.0, 2.0))
    scan = read(source, ReadRules(policy={"E_COLOURS": "fix"}))
    assert scan.volumes[0].array.tolist() == [[[0, 1, 2], [3, 4, 5]]]


@pytest.mark.parametrize(
    ("width", "height", "code"),
    [(60_000, 60_000, "E_TRUNCATED"), (70_000, 10, "E_LIMIT"), (65_000, 65_000, "E_LIMIT")],
)
def test_a_bomb_is_refused_before_memory_is_taken(
    tmp_path: Path, width: int, height: int, code: str
) -> None:
    source = Source(str(png_that_claims(tmp_path / "a.png", width, height)), spacing=(1.0, 2.0))
    with pytest.raises(InputError) as caught:
        read(source, RULES, never)
    assert caught.value.code == code
    with pytest.raises(InputError):
        peek(source, RULES)


def test_a_picture_larger_than_pillow_likes_is_read(tmp_path: Path) -> None:
    most = Image.MAX_IMAGE_PIXELS
    path = tiff(tmp_path / "a.tif", np.zeros((1, 14_000, 14_000), "u1"), compression="tiff_lzw")
    assert peek(Source(str(path), spacing=(1.0, 2.0)), RULES).geometry.shape == (1, 14_000, 14_000)
    assert most == Image.MAX_IMAGE_PIXELS


def test_pages_that_differ_are_no_volume(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pages = [Image.fromarray(pixels("u1", shape)) for shape in ((7, 9), (7, 8))]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    assert refused(Source(str(path), spacing=(1.0, 1.0, 2.0))).code == "E_NOT_VOLUME"


def test_a_png_of_which_a_byte_was_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(pixels("u1")).save(path, compress_level=0)
    whole = path.read_bytes()
    for at in range(8, len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert refused(Source(str(path), spacing=(1.0, 2.0))).code in (
            "E_UNREADABLE",
            "E_TRUNCATED",
        )


@given(cut=st.integers(1, 600), hit=st.integers(8, 600), value=st.integers(0, 255))
def test_torn_files_give_an_error_of_ours_or_their_pixels(
    tmp_path_factory: pytest.TempPathFactory, cut: int, hit: int, value: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    for name in ("torn.png", "torn.tif"):
        path = folder / name
        Image.fromarray(pixels("u1", (16, 16))).save(path)
        whole = path.read_bytes()
        for damaged in (whole[:-cut], whole[:hit] + bytes([value]) + whole[hit + 1 :]):
            path.write_bytes(damaged)
            with suppress(InputError):  # anything else fails the test
                scan = read(Source(str(path), spacing=(1.0, 2.0)), RULES)
                assert scan.volumes[0].array.ndim == 3


def test_a_place_that_no_file_can_have_is_the_file_s_fault_and_not_the_disk_s(
    tmp_path: Path,
) -> None:
    """The first directory of a BigTIFF some exabytes on: seeking there is EINVAL."""
    path = tmp_path / "far.tif"
    path.write_bytes(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 2**63 - 2) + bytes(64))
    assert refused(Source(str(path), spacing=(1, 1))).code == "E_UNREADABLE"


def test_a_chunk_of_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    Image.fromarray(pixels("u1")).save(whole)
    start = whole.read_bytes()[:-12]
    path = tmp_path / "long.png"
    path.write_bytes(start + struct.pack(">I4s", 2**31 - 1, b"abCd") + bytes(100))
    with Sandbox(ReadRules(max_bytes=1 << 20)) as sandbox, pytest.raises(InputError) as told:
        sandbox.read(Source(str(path), spacing=(1, 1)))
    assert told.value.code == "E_TRUNCATED"
