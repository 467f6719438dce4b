"""Tables go to the device once per geometry and queue, and do not pile up."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gpuprep.kernels.loader import Engine
from gpuprep.kernels.tables import Tables
from gpuprep.ops.device.labels import resample_labels_device
from gpuprep.ops.device.resample import resample_device
from gpuprep.ops.resample import Resampling
from gpuprep.values.grids import GridMapping
from kernels.test_resample import voxels


class CountedUploads:
    """NumPy, counting what is uploaded."""

    def __init__(self) -> None:
        self.count = 0

    def asarray(self, array: np.ndarray) -> np.ndarray:
        self.count += 1
        return array.copy()


def test_a_geometry_is_uploaded_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "tables", Tables(engine.xp, lambda: None))
    mapping = GridMapping((5, 6, 7), (1.3, 1.2, 1.7))
    array, labels = engine.xp.asarray(voxels((8, 9, 10))), engine.xp.zeros((8, 9, 10), np.uint8)

    def run(case: GridMapping) -> int:
        for interpolation in ("nearest", "linear", "cubic"):
            resample_device(engine, array, Resampling(case, interpolation))
        resample_labels_device(engine, labels, Resampling(case))
        return engine.tables.bytes

    used = run(mapping)
    assert used > 0
    for _ in range(10):
        assert run(mapping) == used
    assert run(GridMapping((5, 6, 7), (1.3, 1.2, 1.6))) > used


def test_every_queue_has_its_own() -> None:
    uploads, queue = CountedUploads(), ["a"]
    tables = Tables(uploads, lambda: queue[0])
    first = tables.get("key", lambda: [np.arange(3)])
    assert tables.get("key", lambda: [np.arange(3)]) is first
    queue[0] = "b"
    assert tables.get("key", lambda: [np.arange(3)]) is not first
    assert uploads.count == 2


def test_the_longest_unused_go_first() -> None:
    tables = Tables(CountedUploads(), lambda: None, limit_bytes=3000)
    for key in range(3):
        tables.get(key, lambda: [np.zeros(1000, np.uint8)])
    tables.get(0, lambda: [])
    tables.get(3, lambda: [np.zeros(1000, np.uint8)])
    assert tables.bytes == 3000
    assert len(tables.get(0, lambda: [])) == 1
    assert tables.get(1, lambda: []) == ()  # had gone
    tables.get(4, lambda: [np.zeros(9000, np.uint8)])  # one that is too large stays until the next
    assert tables.bytes == 9000
    tables.get(5, lambda: [np.zeros(10, np.uint8)])
    assert tables.bytes == 10


def test_threads_share_what_is_there() -> None:
    tables = Tables(CountedUploads(), lambda: None, limit_bytes=40_000)

    def run(number: int) -> bool:
        keys = [(number + k) % 60 for k in range(60)]
        return all(
            tables.get(key, lambda key=key: [np.full(250, key)])[0][0] == key for key in keys
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(200)))
    assert tables.bytes <= 40_000
