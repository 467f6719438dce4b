"""Batches decoded on a device hold what the dataset reads on the CPU, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numcodecs.zstd
import numpy as np
import pytest
from kernels.cuda_on_cpu.cpu_module import missing
from support.decoding import assert_same
from support.numpy_driver import BrokenContext, NumpyDriver
from support.stored import SHAPES, store_cohort, store_unlike_labels

from gpuprep.device.decoder import Extents
from gpuprep.store.case import write_case
from gpuprep.store.codecs import preset
from gpuprep.store.layout import case_folder
from gpuprep.store.record import write_record
from gpuprep.store.shard import write_encoded_shard
from gpuprep.training import Foreground, Grid, PatchDataset
from gpuprep.training.device import DeviceBatches
from gpuprep.values.errors import BackendError, CorruptStoreError, DeviceLost, UsageError
from gpuprep.values.geometry import Geometry

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "kernels run here")


PATCH = (12, 16, 24)


class CpuDecoder:
    """zstd on the CPU in the decoder's place; it writes as late as a device may."""

    def __init__(self, driver: NumpyDriver) -> None:
        self._driver = driver

    def decode(self, encoded: Any, frames: Extents, decoded: Any, chunks: Extents) -> None:
        self._driver.flush()
        pieces = zip(frames.offsets, frames.sizes, chunks.offsets, chunks.sizes, strict=True)
        for source, length, target, size in pieces:
            frame = encoded[source : source + length].tobytes()
            numcodecs.zstd.decompress(frame, decoded[target : target + size])


def device_batches(
    dataset: PatchDataset, batch_size: int = 2, driver: NumpyDriver | None = None, **more: Any
) -> DeviceBatches:
    driver = driver or NumpyDriver()
    return DeviceBatches(dataset, batch_size, driver, lambda: CpuDecoder(driver), **more)


@pytest.mark.parametrize("patch", [PATCH, (8, 8, 8), (40, 5, 33), (3, 50, 1)])
@pytest.mark.parametrize("chunk_aligned", [False, True])
def test_batches_equal_the_samples(root: Path, patch: Any, chunk_aligned: bool) -> None:
    dataset = PatchDataset(
        root,
        patch=patch,
        sampler=Foreground("organ"),
        samples=11,
        chunk_aligned=chunk_aligned,
        image_padding=-7,
        label_padding=9,
    )
    batches = device_batches(dataset, 3)
    assert len(batches) == 4
    assert_same(batches, dataset, 3)


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "f2", "i4", "u4", "f4", "i8", "u8", "f8"])
@pytest.mark.parametrize("channels", [0, 3])
def test_every_dtype_with_missing_chunks(tmp_path: Path, kind: str, channels: int) -> None:
    random = np.random.default_rng(0)
    shape = (*([channels] if channels else []), 21, 20, 19)
    image = random.integers(0, 100, shape).astype(kind)
    image[..., 8:16, :16, :] = 0  # whole chunks, which are not stored
    label = np.zeros((21, 20, 19), np.int16)
    store_one(tmp_path, image, {"organ": label})
    dataset = PatchDataset(tmp_path, patch=(13, 17, 27), sampler=Grid(), image_padding=3)
    assert_same(device_batches(dataset, 2), dataset, 2)


def store_one(root: Path, image: np.ndarray | None, labels: dict[str, np.ndarray]) -> None:
    """A cohort of one case, ``only``, in chunks of 8."""
    geometry = Geometry(next(iter(labels.values())).shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    folder = case_folder(root, "only")
    more = {"geometry": geometry, "chunk": 8, "codec": "gpu", "durable": False}
    files = write_case(folder, image=image, labels=labels, **more)
    write_record(folder, {"files": files}, durable=False)


def test_labels_alone(tmp_path: Path) -> None:
    labels = {"a": np.ones((9, 9, 9), np.uint8), "b": np.full((9, 9, 9), 300, np.int32)}
    store_one(tmp_path, None, labels)
    dataset = PatchDataset(tmp_path, patch=(4, 9, 11), samples=3, label_padding=2)
    assert_same(device_batches(dataset), dataset, 2)


def test_a_batch_without_any_stored_chunk(tmp_path: Path) -> None:
    store_one(tmp_path, np.zeros((9, 9, 9), np.float32), {"a": np.zeros((9, 9, 9), np.uint8)})
    dataset = PatchDataset(tmp_path, patch=(4, 9, 11), samples=3, image_padding=2)
    assert_same(device_batches(dataset), dataset, 2)


def test_epochs_go_on_and_memory_is_kept(root: Path) -> None:
    dataset = PatchDataset(root, patch=PATCH, samples=6)
    driver = NumpyDriver()
    batches = device_batches(dataset, 2, driver)
    for epoch in range(3):
        dataset.set_epoch(epoch)
        assert_same(batches, dataset, 2)
    pinned = driver.pinned_bytes
    assert_same(batches, dataset, 2)
    assert driver.pinned_bytes == pinned
    assert driver.arrays.live < 1 << 20


def test_a_batch_stays_while_the_next_is_made(root: Path) -> None:
    dataset = PatchDataset(root, patch=PATCH, samples=8)
    kept = list(device_batches(dataset))
    assert_same(kept, dataset, 2)


def test_a_batch_waits_for_the_work_of_two_batches_ago_and_no_more(root: Path) -> None:
    """Its memory may be that of a batch which the training has dropped but not yet read."""

    class Watched(NumpyDriver):
        marked: ClassVar[list[Any]] = []
        followed: ClassVar[list[int]] = []

        def mark(self, stream: int | None = None) -> Any:
            mark = super().mark()
            if stream == 42:
                self.marked.append(mark)
            return mark

        def follow(self, mark: Any) -> None:
            self.followed.append(self.marked.index(mark))

    driver = Watched()
    dataset = PatchDataset(root, patch=PATCH, samples=12)
    live = []
    for batch in device_batches(dataset, 2, driver, consumer=lambda: 42):
        live.append(driver.arrays.live)
        del batch
    assert driver.followed == [
        0,
        1,
        2,
        3,
        4,
    ]  # the second batch is begun with mark 1, behind mark 0
    assert max(live[3:]) <= max(live[:3]) * 2


def test_stopping_in_mid_epoch_leaves_nothing_running(root: Path) -> None:
    dataset = PatchDataset(root, patch=PATCH, samples=8)
    batches = iter(device_batches(dataset))
    next(batches)
    batches.close()
    assert next(batches, None) is None


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_damaged_chunk_is_an_error_that_names_the_file(tmp_path: Path, place: float) -> None:
    root = store_cohort(tmp_path, codec="gpu")
    shard = case_folder(root, "case_1") / "0" / "c.0.0.0.0"
    content = bytearray(shard.read_bytes())
    content[int(len(content) * place)] ^= 4
    shard.write_bytes(content)
    dataset = PatchDataset(root, patch=SHAPES[1], cases=["case_1"], samples=1)
    with pytest.raises(CorruptStoreError, match=r"case_1\.zarr.*damaged"):
        list(device_batches(dataset))


def test_a_frame_of_another_size_never_reaches_the_device(tmp_path: Path) -> None:
    store_one(tmp_path, None, {"a": np.ones((8, 8, 8), np.uint8)})
    shard = case_folder(tmp_path, "only") / "labels" / "a" / "0" / "c.0.0.0"
    frame = preset("gpu", np.dtype("u1")).encode(np.zeros(8**3 + 1, np.uint8))
    shard.unlink()
    write_encoded_shard(shard, [frame], count=1, fsync=False)
    dataset = PatchDataset(tmp_path, patch=(8, 8, 8), samples=1)
    with pytest.raises(CorruptStoreError, match="says 513 bytes, the chunk has 512"):
        list(device_batches(dataset))


def test_another_codec_is_refused_when_opening(tmp_path: Path) -> None:
    dataset = PatchDataset(store_cohort(tmp_path), patch=PATCH)
    with pytest.raises(BackendError, match="blosc, and a device decodes plain zstd") as caught:
        device_batches(dataset)
    assert "codec: gpu" in caught.value.advice


def test_patches_of_unlike_dtypes_are_no_batch(tmp_path: Path) -> None:
    label = {"a": np.ones((9, 9, 9), np.uint8)}
    store_one(tmp_path, np.ones((9, 9, 9), np.float32), label)
    other = case_folder(tmp_path, "other")
    geometry = Geometry((9, 9, 9), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    more = {"geometry": geometry, "chunk": 8, "codec": "gpu", "durable": False}
    files = write_case(other, image=np.ones((9, 9, 9), np.int16), labels=label, **more)
    write_record(other, {"files": files}, durable=False)
    dataset = PatchDataset(tmp_path, patch=(4, 4, 4))
    with pytest.raises(UsageError, match="does not go into a batch"):
        list(device_batches(dataset))


def test_a_padding_beyond_the_dtype_is_refused(root: Path) -> None:
    dataset = PatchDataset(root, patch=(40, 40, 40), image_padding=1 << 40)
    with pytest.raises(UsageError, match="padding of 1099511627776"):
        list(device_batches(dataset))


@pytest.mark.parametrize("padding", [0, -1, 77_000])
def test_label_maps_of_unlike_dtypes_are_one_batch(tmp_path: Path, padding: int) -> None:
    """uint8 with int16 with uint16, and a padding that some of them cannot hold."""
    values = store_unlike_labels(tmp_path)
    dataset = PatchDataset(tmp_path, patch=(8, 12, 9), samples=9, label_padding=padding)
    assert dataset.dtypes == {"organ": np.int32}
    assert_same(device_batches(dataset, 4), dataset, 4)
    found = {int(value) for sample in dataset for value in np.unique(sample["labels"]["organ"])}
    assert found == {*values, padding}


def test_a_lost_device_says_so(root: Path) -> None:
    driver = NumpyDriver()
    batches = device_batches(PatchDataset(root, patch=PATCH), 2, driver)
    driver.failing_after = 0
    with pytest.raises(DeviceLost, match="stopped working") as caught:
        list(batches)
    assert isinstance(caught.value.__cause__, BrokenContext)


def test_a_decoder_that_errs_is_found_when_opening(root: Path) -> None:
    class Wrong(CpuDecoder):
        def decode(self, encoded: Any, frames: Extents, decoded: Any, chunks: Extents) -> None:
            super().decode(encoded, frames, decoded, chunks)
            decoded[chunks.offsets[-1] + (64 << 10)] ^= 1

    driver = NumpyDriver()
    with pytest.raises(RuntimeError, match="1,048,576 bytes was decoded wrongly"):
        DeviceBatches(PatchDataset(root, patch=PATCH), 2, driver, lambda: Wrong(driver))
