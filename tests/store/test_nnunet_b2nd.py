"""Files of blosc2: it reads them, and would have written the same bytes."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.nnunet_arrays import IMAGES, LABELS, goldens, image, label_map

from gpuprep.store.nnunet.b2nd import IMAGE_SEARCH, LABEL_SEARCH, encode_b2nd
from gpuprep.store.nnunet.chunks import chunk_and_block
from gpuprep.store.nnunet.turned import Turned
from gpuprep.values.errors import StoreError
from gpuprep.values.volume import Chunked

blosc2 = pytest.importorskip("blosc2")
PATCH = (64, 96, 96)


def encoded(array: Any, **words: Any) -> bytes:
    chunk, block = chunk_and_block(array.shape, PATCH, array.dtype.itemsize)
    settings = {"chunk": chunk, "block": block, "search": IMAGE_SEARCH} | words
    return b"".join(encode_b2nd(array, **settings))


def by_blosc2(array: np.ndarray, like: Any, file: Path) -> bytes:
    """What blosc2 itself writes with the settings of a file."""
    used = [each for each in like.schunk.cparams.filters if each.value]
    blosc2.asarray(
        array,
        urlpath=str(file),
        mode="w",
        chunks=like.chunks,
        blocks=like.blocks,
        cparams={
            "codec": blosc2.Codec.LZ4,
            "clevel": 9,
            "splitmode": blosc2.SplitMode.NEVER_SPLIT,
            "filters": used or [blosc2.Filter.NOFILTER],
            "nthreads": 1,
        },
        dparams={"nthreads": 1},
    )
    return file.read_bytes()


@cache
def arrays() -> dict[str, np.ndarray]:
    random = np.random.RandomState(0)
    zeros = np.zeros((2, 70, 200, 130), np.float32)
    holes = zeros.copy()
    holes[0, :30] = np.nan
    holes[1, 40:, 90:, :50] = random.standard_normal((30, 110, 50))
    seven = np.full((1, 50, 300, 70), 7, np.int16)
    bytes_ = random.randint(0, 3, (1, 90, 91, 92)).astype(np.uint8)
    named = {name: image(name) for name in IMAGES} | {n: label_map(n)[None] for n in LABELS}
    return named | {"zeros": zeros, "holes": holes, "one value": seven, "bytes": bytes_}


@pytest.mark.parametrize("name", arrays())
def test_a_file_is_the_one_blosc2_writes(name: str, tmp_path: Path) -> None:
    array = arrays()[name]
    file = tmp_path / "ours.b2nd"
    file.write_bytes(encoded(array))
    ours = blosc2.open(str(file), mode="r")
    np.testing.assert_array_equal(ours[:], array)
    assert ours.dtype == array.dtype
    assert file.read_bytes() == by_blosc2(array, ours, tmp_path / "theirs.b2nd")


def test_thousands_of_chunks(tmp_path: Path) -> None:
    array = np.random.RandomState(0).randint(0, 9, (1, 40, 240, 120)).astype(np.int16)
    array[:, 10:20] = 0
    file = tmp_path / "ours.b2nd"
    file.write_bytes(encoded(array, chunk=(1, 4, 8, 16), block=(1, 2, 4, 8)))
    ours = blosc2.open(str(file), mode="r")
    np.testing.assert_array_equal(ours[0, 5:33, 17:], array[0, 5:33, 17:])
    assert file.read_bytes() == by_blosc2(array, ours, tmp_path / "theirs.b2nd")


def test_threads_and_order_of_the_work_do_not_show() -> None:
    array = image("smooth")
    assert encoded(array, threads=3) == encoded(array)


@pytest.mark.parametrize("name", [*IMAGES, *LABELS])
def test_filters_are_chosen_as_nnunet_chooses_them(name: str, tmp_path: Path) -> None:
    array = image(name) if name in IMAGES else label_map(name)[None]
    file = tmp_path / "a.b2nd"
    file.write_bytes(encoded(array, search=IMAGE_SEARCH if name in IMAGES else LABEL_SEARCH))
    used = [each.name for each in blosc2.open(str(file)).schunk.cparams.filters if each.value]
    assert (used or ["NOFILTER"]) == [goldens()["filters"][name]]


@pytest.mark.parametrize("forward", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("channels", [None, 2])
def test_an_array_in_cubes_is_the_same_file(
    forward: tuple[int, int, int], channels: int | None
) -> None:
    shape = (45, 70, 133)
    lead = (channels,) if channels else ()
    plain = np.random.RandomState(1).randint(0, 40, (*lead, *shape)).astype(np.float32)
    cubes = Chunked(np.zeros((*lead, 2, 3, 5, 32, 32, 32), np.float32), plain.shape)
    if channels:
        for number in range(channels):
            cubes[number].fill(plain[number])
    else:
        cubes.fill(plain)
    dtype = np.dtype("<f4")
    four = plain.reshape(-1, *shape).transpose(0, *(1 + axis for axis in forward))
    expected = encoded(np.ascontiguousarray(four))
    assert encoded(Turned(plain, forward, dtype)) == expected
    assert encoded(Turned(cubes, forward, dtype)) == expected


def test_a_format_that_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from gpuprep.store.nnunet import frame

    with pytest.raises(StoreError, match="not known"):
        frame.frame(blosc2, b"\x9e\xa8b3frame\0" + bytes(200), [])
