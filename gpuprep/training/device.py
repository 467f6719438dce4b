"""Batches that are decoded on a CUDA device.

While the training works on one batch, a thread gathers the compressed chunks of the next into pinned memory;
they are copied once, decoded in one go, and laid out by one kernel per tensor. All of that goes to a stream
of its own, beside what the training has queued: see ``device.lent``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.device.cuda import CudaDriver
from gpuprep.device.decoder import Decoder, Extents, NvcompDecoder
from gpuprep.device.driver import Bytes, Driver, Event, device_error, staging
from gpuprep.device.lent import Lent
from gpuprep.host.backend import cupy_missing
from gpuprep.ops.device.scatter import BOX_FIELDS, scatter_device
from gpuprep.store.codecs import preset
from gpuprep.training.dataset import Key, PatchDataset
from gpuprep.training.gather import Gathered, Tensor, check_codec, gather
from gpuprep.values.errors import BackendError, StoreError, UsageError

Batch = dict[str, Any]
Deliver = Callable[[Batch], Any]

_PROBE_BYTES = (100, 64 << 10, 1 << 20)  # less than, as much as and more than nvCOMP's own chunk
_INSTALL = "pip install 'gpuprep[nvcomp13]' (CUDA 13 drivers) or 'gpuprep[nvcomp12]' (CUDA 12)"


class DeviceBatches:
    """Batches of the rest of a dataset's epoch, their voxels on a device; see ``PatchLoader``.

    A batch is a dictionary as of the dataset's samples: ``image`` ``b, c, z, y, x`` and ``labels``
    ``b, z, y, x`` by name are arrays on the device; ``start``, ``epoch``, ``number`` are NumPy arrays.
    """

    def __init__(
        self,
        dataset: PatchDataset,
        batch_size: int,
        driver: Driver,
        open_decoder: Callable[[], Decoder] = NvcompDecoder,
        *,
        deliver: Deliver = lambda batch: batch,
        consumer: Callable[[], int] = lambda: 0,
    ) -> None:
        """Try the decoder on chunks of known content.

        Args:
            dataset: What is read.
            batch_size: Samples of a batch; the last of an epoch may be smaller.
            driver: The device.
            open_decoder: Makes the decoder; the device's own stream is the current one.
            deliver: What becomes of a batch before it is handed out, on the device's own stream.
            consumer: The stream that works on batches, a ``cudaStream_t``, asked whenever a batch is
                handed out. Work on another stream must be done, or waited for by that one, before the
                next batch is asked for.

        Raises:
            BackendError: the cohort's chunks are not plain zstd.
            RuntimeError: the decoder gave wrong bytes.
        """
        self._dataset, self._batch_size = dataset, batch_size
        self._driver, self._deliver, self._consumer = driver, deliver, consumer
        case, _ = dataset.place((0, dataset.plan.numbers[0]))
        for array in (case.image, *(case.labels.get(name) for name in dataset.labels)):
            if array is not None:
                check_codec(array)
        self._stream = driver.stream()
        self._pinned, _ = staging(driver, 1 << 20)
        self._copied: Event | None = None
        self._lent = Lent()
        with driver.attached(), self._stream:
            self._decoder = open_decoder()
            self._try_decoder()

    def __len__(self) -> int:
        return -(-len(self._dataset.keys()) // self._batch_size)

    def __iter__(self) -> Iterator[Any]:
        keys, size = self._dataset.keys(), self._batch_size
        groups = iter([keys[first : first + size] for first in range(0, len(keys), size)])
        with ThreadPoolExecutor(1, thread_name_prefix="gpuprep-gather") as pool:
            ahead = self._begin(pool, groups)
            while ahead is not None:
                batch = ahead.result()
                # before more is queued, which the training would wait for
                with self._at_work():
                    delivered = self._deliver(batch)
                del batch
                ahead = self._begin(pool, groups)
                yield delivered

    def _begin(
        self, pool: ThreadPoolExecutor, groups: Iterator[Sequence[Key]]
    ) -> Future[Batch] | None:
        """Have the next batch made; None behind the last."""
        keys = next(groups, None)
        if keys is None:
            return None
        with self._at_work():
            behind = self._lent.turn(self._driver.mark(self._consumer()))
        return pool.submit(self._make, keys, behind)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """On the device's own stream.

        Raises:
            DeviceLost: the device stopped working, maybe under what the training had queued.
            DeviceFailure: CUDA refused a step.
        """
        try:
            with self._driver.attached(), self._stream:
                yield
        except Exception as error:
            if found := device_error(self._driver, error):
                raise found from error
            raise

    def _make(self, keys: Sequence[Key], behind: Event | None) -> Batch:
        gathered = gather(self._dataset, keys)
        with self._at_work():
            if behind is not None:
                self._driver.follow(behind)
            arrays = iter(self._decode(gathered))
            image = None if gathered.image is None else next(arrays)
            labels = {
                name: each.join([next(arrays) for _ in each.parts], self._driver)
                for name, each in gathered.labels.items()
            }
        for array in (*labels.values(), *([] if image is None else [image])):
            self._lent.add(array)
        starts = [start for _, start in gathered.places]
        batch: Batch = {
            "case": [case.id for case, _ in gathered.places],
            "start": np.array(starts),
        }
        if image is not None:
            batch["image"] = image
        batch["labels"] = labels
        epochs, numbers = np.array(keys).T.copy()
        return batch | {"epoch": epochs, "number": numbers}

    def _decode(self, gathered: Gathered) -> list[Any]:
        """The tensors of a batch on the device; their contents are queued."""
        engine, chunks, tensors = self._driver.engine, gathered.chunks, gathered.tensors
        table = _table(tensors)
        staged = self._staging(chunks.encoded.end + table.nbytes)
        chunks.write(staged)
        staged[chunks.encoded.end :] = table.reshape(-1).view(np.uint8)
        memory = engine.xp.empty(len(staged), np.uint8)
        decoded = engine.xp.empty(chunks.decoded.end, np.uint8)
        out = [engine.xp.empty(tensor.shape, tensor.dtype) for tensor in tensors]
        self._driver.copy_in(staged, memory, 0)
        self._copied = self._driver.mark()
        if chunks.pieces:
            self._decoder.decode(memory, chunks.encoded, decoded, chunks.decoded)
        boxes = memory[chunks.encoded.end :].view(np.int64).reshape(table.shape)
        first = 0
        for tensor, target in zip(tensors, out, strict=True):
            own = boxes[first : first + len(tensor.boxes)]
            scatter_device(engine, decoded, own, target, tensor.padding)
            first += len(tensor.boxes)
        return out

    def _staging(self, size: int) -> Bytes:
        """Pinned memory, once the copy from it before is done."""
        if self._copied is not None:
            self._copied.synchronize()
        if size > self._pinned.nbytes:
            self._pinned, _ = staging(self._driver, 1 << (size - 1).bit_length())
        return self._pinned[:size]

    def _try_decoder(self) -> None:
        """Decode chunks of known content."""
        xp, encode = self._driver.engine.xp, preset("gpu", np.dtype(np.uint8)).encode
        known = [np.arange(size, dtype=np.uint32).view(np.uint8)[:size] for size in _PROBE_BYTES]
        frames, chunks = Extents(), Extents()
        encoded = [np.frombuffer(encode(chunk), np.uint8) for chunk in known]
        for frame, chunk in zip(encoded, known, strict=True):
            staged = self._pinned[frames.add(len(frame)) :][: len(frame)]
            staged[...] = frame
            chunks.add(len(chunk))
        memory, decoded = (xp.empty(each.end, np.uint8) for each in (frames, chunks))
        self._driver.copy_in(self._pinned[: frames.end], memory, 0)
        self._decoder.decode(memory, frames, decoded, chunks)
        result = self._driver.engine.to_host(decoded)
        for offset, chunk in zip(chunks.offsets, known, strict=True):
            if (result[offset : offset + len(chunk)] != chunk).any():
                raise RuntimeError(f"a known chunk of {len(chunk):,} bytes was decoded wrongly")


def open_device(dataset: PatchDataset, batch_size: int) -> DeviceBatches:
    """Batches of torch tensors, decoded by nvCOMP on this process's current CUDA device.

    Raises:
        BackendError: that does not work here, or the cohort's chunks are not plain zstd.
    """
    cuda = importlib.import_module("torch.cuda")
    missing = cupy_missing() or ("" if cuda.is_available() else "this torch has no CUDA")
    if dataset.collate is not None:
        missing = f"{type(dataset).__name__} makes its samples on the CPU"
    if not missing:
        try:
            driver = CudaDriver(cuda.current_device())
            stream = cuda.current_stream
            return DeviceBatches(
                *(dataset, batch_size, driver),
                deliver=_to_torch,
                consumer=lambda: int(stream().cuda_stream),
            )
        except (UsageError, StoreError):  # the cohort's fault, not the device's
            raise
        except ImportError as error:
            missing = f"{error}; {_INSTALL}"
        except Exception as error:  # whatever CUDA, NVRTC and nvCOMP raise: the trial failed
            missing = f"decoding a known chunk failed: {error!r}"
    raise BackendError(
        f"patches cannot be decoded on a CUDA device: {missing}", advice="PatchLoader(decode='cpu')"
    )


def _to_torch(batch: Any) -> Any:
    """The batch with its arrays as tensors, in the memory where they are (DLPack)."""
    if isinstance(batch, dict):
        return {name: _to_torch(part) for name, part in batch.items()}
    if not hasattr(batch, "__dlpack__"):
        return batch
    return importlib.import_module("torch").from_dlpack(batch)


def _table(tensors: Sequence[Tensor]) -> NDArray[np.int64]:
    rows = [row for tensor in tensors for row in tensor.boxes]
    return np.array(rows, np.int64).reshape(-1, len(BOX_FIELDS))
