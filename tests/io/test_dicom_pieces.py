"""Compressed frames that lie in several pieces, and what tells where each begins."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless
from support.dicom_series import dataset, enhanced

from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

CODECS = (JPEG2000Lossless, JPEGLSLossless, RLELossless)
PIXELS = np.random.default_rng(8).integers(0, 4000, (3, 32, 32), np.uint16)


def compressed(path: Path, codec: str) -> tuple[Dataset, list[bytes]]:
    """A file of three frames with lines of their own, and their streams."""
    enhanced(
        path, [0, 1, 2], lines=[(1, 0), (2, 5), (1, -7)],
        top={"Rows": 32, "Columns": 32, "PixelData": PIXELS.tobytes()},
    )  # fmt: skip
    one = pydicom.dcmread(path)
    one["PixelData"].VR = "OW"
    one.compress(codec)
    return one, list(generate_frames(one.PixelData, number_of_frames=3))


def saved(one: Dataset, held: bytes, path: Path) -> Path:
    one.PixelData = held
    one["PixelData"].is_undefined_length = True
    one.save_as(path)
    return path


def load(path: Path, **rules: object) -> np.ndarray:
    rules = ReadRules(policy={"E_MIXED_RESCALE": "fix"}, **rules)
    return read(Source(str(path)), rules).volumes[0].array


def check(path: Path, *, witnessed: bool = True) -> None:
    """Both what was compressed, and what pydicom's own decoders find."""
    wanted = [PIXELS[0], PIXELS[1] * 2.0 + 5, PIXELS[2] - 7.0]
    np.testing.assert_array_equal(load(path), wanted)
    if witnessed:
        np.testing.assert_array_equal(pydicom.dcmread(path).pixel_array, PIXELS)


def refused(path: Path, words: str) -> None:
    for action in (peek, read):
        with pytest.raises(InputError, match=f"E_UNREADABLE.*{words}"):
            action(Source(str(path)), ReadRules())


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("table", [True, False])
def test_frames_of_several_pieces_are_put_together(tmp_path: Path, codec: str, table: bool) -> None:
    one, frames = compressed(tmp_path / "a.dcm", codec)
    held = encapsulate(frames, fragments_per_frame=3, has_bot=table)
    witnessed = table or codec != RLELossless  # pydicom looks for ends of JPEG streams alone
    check(saved(one, held, tmp_path / "a.dcm"), witnessed=witnessed)


@pytest.mark.parametrize("codec", CODECS)
def test_an_extended_table_of_offsets_is_followed(tmp_path: Path, codec: str) -> None:
    one, frames = compressed(tmp_path / "a.dcm", codec)
    held, one.ExtendedOffsetTable, one.ExtendedOffsetTableLengths = encapsulate_extended(frames)
    check(saved(one, held, tmp_path / "a.dcm"))
    with pytest.raises(InputError, match=r"E_ITK.*extended table"):
        load(tmp_path / "a.dcm", reader="itk")


def test_pieces_of_unequal_number_are_told_apart_by_their_streams(tmp_path: Path) -> None:
    one, (first, second, third) = compressed(tmp_path / "a.dcm", JPEG2000Lossless)
    pieces = [first, second[:100], second[100:300], second[300:], third[:50], third[50:]]
    check(saved(one, encapsulate(pieces, has_bot=False), tmp_path / "a.dcm"))


def test_a_table_that_fits_nothing_costs_no_file_of_one_piece_a_frame(tmp_path: Path) -> None:
    """Some writers fill it with zeros; pydicom gives no frame then, GDCM and dcmtk do."""
    one, frames = compressed(tmp_path / "a.dcm", JPEG2000Lossless)
    held = encapsulate(frames)
    path = saved(one, held[:8] + bytes(12) + held[20:], tmp_path / "a.dcm")
    np.testing.assert_array_equal(load(path)[0], PIXELS[0])


def with_table(one: Dataset, frames: list[bytes], offsets: list[int], path: Path) -> Path:
    pieces = encapsulate(frames, fragments_per_frame=2, has_bot=False)
    table = struct.pack(f"<{len(offsets)}I", *offsets)
    return saved(one, pieces[:4] + struct.pack("<I", len(table)) + table + pieces[8:], path)


def test_tables_that_contradict_the_pieces_are_refused_with_what_disagrees(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    one, frames = compressed(path, JPEG2000Lossless)
    whole = encapsulate(frames, fragments_per_frame=2)
    right = list(struct.unpack("<3I", whole[8:20]))
    check(with_table(one, frames, right, path))
    first_piece = struct.unpack("<I", whole[24:28])[0] + 8
    for offsets, words in (
        ([*range(1000)], "table of offsets has 1,000 entries for 3 frames in 6 pieces"),
        (right[:2], "table of offsets has 2 entries for 3 frames in 6 pieces"),
        ([0, right[1] + 2, right[2]], rf"frame 1 at byte {right[1] + 2:,}, where no piece is"),
        ([0, first_piece, right[2]], f"frame 1 at byte {first_piece:,}, in the midst of a stream"),
        ([0, right[2], right[1]], "frames in another order"),
        ([0, right[1], right[1]], "frames at 2 places, where 3 streams begin in the 6 pieces"),
    ):
        refused(with_table(one, frames, offsets, path), words)


def test_as_many_streams_as_frames_there_must_be(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    one, frames = compressed(path, JPEGLSLossless)
    refused(
        saved(one, encapsulate([*frames, frames[0]], has_bot=False), path),
        "4 pieces hold 4 streams for 3 frames, and no table of offsets tells them apart",
    )
    mixed = [frames[0][:99], frames[0][99:], frames[1] + frames[2], b"\0\0"]
    refused(saved(one, encapsulate(mixed, has_bot=False), path), "hold 2 streams for 3 frames")


@pytest.mark.parametrize("codec", CODECS)
def test_a_second_frame_of_which_the_header_does_not_know_is_no_piece_of_the_first(
    tmp_path: Path, codec: str
) -> None:
    """GDCM would decode the first, and leave the other."""
    one = dataset(Rows=32, Columns=32, PixelData=PIXELS[0].tobytes())
    one.compress(codec)
    (frame,) = generate_frames(one.PixelData, number_of_frames=1)
    path = saved(one, encapsulate([frame] * 2, has_bot=False), tmp_path / "a.dcm")
    refused(path, "2 pieces hold 2 streams for 1 frame,")
    path = saved(one, encapsulate([frame], fragments_per_frame=3), tmp_path / "a.dcm")
    np.testing.assert_array_equal(load(path)[0], PIXELS[0])


def test_an_extended_table_that_contradicts_the_pieces_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    one, frames = compressed(path, JPEG2000Lossless)
    held, starts, lengths = encapsulate_extended(frames)
    told = list(struct.unpack("<3Q", starts))
    sizes = list(struct.unpack("<3Q", lengths))
    for one.ExtendedOffsetTable, one.ExtendedOffsetTableLengths, words in (
        (
            struct.pack("<2Q", *told[:2]),
            lengths,
            "2 offsets and 3 lengths for 3 frames in 3 pieces",
        ),
        (struct.pack("<3Q", 0, told[2], told[1]), lengths, "where the piece there is of frame 2"),
        (struct.pack("<3Q", 0, 7, told[2]), lengths, "frame 1 at byte 7, where no piece is"),
        (starts, struct.pack("<3Q", *sizes[:2], 9), "frame 2 of 9 bytes, where its piece has"),
        (b"", lengths, "0 offsets and 3 lengths"),
    ):
        refused(saved(one, held, path), f"extended table of offsets.*{words}")


@pytest.mark.parametrize("keyword", ["EncapsulatedPixelDataValueTotalLength", "SelectorSVValue"])
def test_a_tag_of_64_bits_does_not_cost_a_compressed_file(tmp_path: Path, keyword: str) -> None:
    """GDCM knows no such kinds of values, and fails."""
    one, frames = compressed(tmp_path / "a.dcm", JPEG2000Lossless)
    setattr(one, keyword, 1000)
    check(saved(one, encapsulate(frames), tmp_path / "a.dcm"))
