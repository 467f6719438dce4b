"""``store.keep_bits``: what is rounded is stored, told and recorded, alike by both engines."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from device.test_device_worker import link_over, make
from numcodecs.bitround import BitRound
from support.in_memory import Files, computed, config_of
from support.numpy_driver import NumpyDriver

from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.preprocess.rounding import round_image
from gpuprep.values.case import Case
from gpuprep.values.errors import InputError, UsageError, ValueRangeError
from gpuprep.values.findings import Findings
from gpuprep.values.volume import Chunked

KEEP = 5


def config(dtype: str = "float16", **more: object) -> Config:
    """A case resampled to other voxels, with one coarser level."""
    store = {"dtype": dtype, "fsync": "never", "chunk": 16, "pyramid": 1} | more
    image = {"resample": {"spacing": [1, 1, 2]}, "intensity": [{"zscore": {}}]}
    return parse_config({"image": image, "store": store, "cuda": {"voxels": 0}})


def bitround(voxels: np.ndarray, keep: int = KEEP) -> np.ndarray:
    return BitRound(keep).encode(voxels).view(voxels.dtype).reshape(voxels.shape)


@pytest.mark.parametrize("kinds", [("i2",), ("f4", "u1")])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("device", [False, True])
def test_a_case_is_rounded_as_bitround_rounds_it(tmp_path, dtype, kinds, device):
    links = [link_over(NumpyDriver()) if device else None for _ in range(2)]
    plain = make(tmp_path / "plain", config(dtype), links[0], kinds)
    record, image, label = make(
        tmp_path / "rounded", config(dtype, keep_bits=KEEP), links[1], kinds
    )
    assert record["engine"]["backend"] == ("cupy" if device else "numpy")
    assert np.array_equal(image, bitround(plain[1]))
    assert np.array_equal(label, plain[2])
    moved = (image.astype(np.float64) - plain[1]).reshape(len(kinds), -1)
    told = record["rounding"]
    assert told["keep_bits"] == KEEP
    for channel, error in zip(moved, told["channels"], strict=True):
        assert error["largest"] == np.abs(channel).max() > 0
        assert error["rms"] == pytest.approx(np.sqrt(np.mean(channel**2)), rel=1e-5)
    (finding,) = [each for each in record["findings"] if each["code"] == "W_ROUNDED"]
    assert finding["values"] == {
        "keep_bits": KEEP,
        "largest": max(error["largest"] for error in told["channels"]),
        "rms": max(error["rms"] for error in told["channels"]),
    }


def test_other_readers_see_the_bits_and_the_attribute_on_every_level(tmp_path):
    make(tmp_path, config(keep_bits=KEEP), None)
    group = zarr.open_group(tmp_path / "cases" / "a.zarr", mode="r")
    for level in ("0", "1"):
        array = group[level]
        assert dict(array.attrs) == {"gpuprep": {"keep_bits": KEEP}}
        assert np.array_equal(array[:], bitround(array[:]))
    label = tmp_path / "cases" / "a.zarr" / "labels" / "segmentation" / "0" / "zarr.json"
    assert json.loads(label.read_text())["attributes"] == {}


def test_files_shrink(tmp_path):
    sizes = []
    for number, more in enumerate(({}, {"keep_bits": KEEP})):
        record, *_ = make(tmp_path / str(number), config(**more), None)
        sizes.append(record["files"]["0/c.0.0.0"]["size"])
    assert sizes[1] < 0.8 * sizes[0]


def test_chunks_are_rounded_as_the_array_they_are_cut_from():
    plain = np.random.default_rng(0).normal(0, 1, (2, 5, 9, 10)).astype(np.float16)
    chunked = Chunked(np.ones((2, 1, 2, 2, 8, 8, 8), np.float16), plain.shape)
    for number, channel in enumerate(plain):
        chunked[number].fill(channel)
    findings = [Findings(), Findings()]
    told = [round_image(each, 4, own) for each, own in zip((plain, chunked), findings, strict=True)]
    assert told[0] == told[1]
    assert findings[0].items == findings[1].items
    assert np.array_equal(plain, np.asarray(chunked))


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ({"dtype": "int16", "keep_bits": 5}, "int16 has none"),
        ({"keep_bits": 10}, "choose 1 to 9"),
        ({"dtype": "float32", "keep_bits": 23}, "choose 1 to 22"),
        ({"keep_bits": 0}, "greater than or equal to 1"),
    ],
)
def test_what_rounds_nothing_is_refused(store, words):
    with pytest.raises(UsageError, match=words):
        parse_config({"store": store})


def test_the_digest_knows_it_and_forgets_nothing():
    plain = Config()
    assert "keep_bits" not in plain.resolved()["store"]
    assert parse_config({"store": {"keep_bits": 7}}).digest != plain.digest


def image_of(array: np.ndarray, **more: object) -> list[str]:
    files, case = Files(), Case("a", ())
    case = Case("a", (files.add("a", array),))
    tree = {key: more.pop(key) for key in ("input", "image") if key in more}
    _, findings = computed(files, case, config_of({"store": {"dtype": "float16"} | more, **tree}))
    return [item.code for item in findings]


def test_what_fewer_bits_cannot_hold_is_refused_or_told():
    few = np.array([[[0, 1, 2, 65000]]], np.float32) + 0.5
    assert image_of(few) == []
    with pytest.raises(ValueRangeError, match=r"store.keep_bits 3 ends at -61440..61440"):
        image_of(few, keep_bits=3)
    close = np.linspace(1000.2, 1030, 100, dtype=np.float32).reshape(1, 10, 10)
    assert image_of(close) == []
    with pytest.raises(ValueRangeError, match=r"store.keep_bits 4 has 2 numbers") as error:
        image_of(close, keep_bits=4)
    assert "leave store.keep_bits out" in error.value.advice
    whole = np.arange(100, dtype=np.int16).reshape(1, 10, 10)
    assert image_of(whole, keep_bits=6) == ["W_ROUNDED"]
    assert image_of(whole, keep_bits=5) == ["W_PRECISION", "W_ROUNDED"]


def test_the_policy_says_what_follows():
    image = np.linspace(0, 1, 100, dtype=np.float32).reshape(1, 10, 10)
    with pytest.raises(InputError, match="W_ROUNDED"):
        image_of(image, keep_bits=4, input={"policy": {"W_ROUNDED": "error"}})
    assert image_of(image, keep_bits=4, input={"policy": {"W_ROUNDED": "skip"}}) == []
