"""The training feed behind torch: start methods, workers, ranks, resuming."""

from __future__ import annotations

import itertools
import json
import socket
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device.cpucuda.machine import Machine
from support.nvcomp_stand_in import nvcomp_stand_in, reader_on
from support.stored import store_cohort
from support.traces import traces

from gpuprep.training import Foreground, PatchDataset, PatchLoader, PatchSampler
from gpuprep.values.errors import BackendError

torch = pytest.importorskip("torch")

PATCH = (16, 16, 16)
SAMPLES = 16  # an epoch, across ranks

# DataLoader forks while torch's threads exist; our reader is made for it
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning",
    "ignore:'pin_memory' argument is set as true but no accelerator:UserWarning",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_cohort(tmp_path_factory.mktemp("out"))


def make(root: Path, rank: int = 0, world_size: int = 2, seed: int = 5) -> PatchDataset:
    return PatchDataset(
        root,
        patch=PATCH,
        sampler=Foreground("organ"),
        samples=SAMPLES,
        seed=seed,
        rank=rank,
        world_size=world_size,
    )


def epochs(loader: PatchLoader, count: int) -> Any:
    return itertools.chain.from_iterable(loader for _ in range(count))


@pytest.fixture(scope="module")
def expected(root: Path) -> dict[int, list[tuple[Any, ...]]]:
    """Three epochs of both ranks as the NumPy iterator has them."""
    streams = {}
    for rank in range(2):
        dataset = make(root, rank)
        samples = itertools.chain.from_iterable(dataset for _ in range(3))
        streams[rank] = [
            (s["epoch"], s["number"], s["case"], tuple(s["start"].tolist()), s["image"].tobytes())
            for s in samples
        ]
    return streams


def test_ranks_see_every_sample_of_three_epochs_once(expected):
    seen = [trace[:2] for stream in expected.values() for trace in stream]
    assert sorted(seen) == list(itertools.product(range(3), range(SAMPLES)))


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("workers", "start_method"),
    [
        (0, None),
        (1, "fork"),
        (1, "spawn"),
        (2, "fork"),
        (2, "spawn"),
        (2, "forkserver"),
    ],
)
def test_the_stream_does_not_depend_on_workers(root, expected, rank, workers, start_method):
    loader = PatchLoader(
        make(root, rank),
        batch_size=3,
        workers=workers,
        start_method=start_method,
        pin_memory=True,
    )
    assert traces(epochs(loader, 3)) == expected[rank]


def test_workers_that_end_with_the_epoch_give_the_same_stream(root, expected):
    loader = PatchLoader(
        make(root),
        batch_size=3,
        workers=2,
        start_method="fork",
        persistent_workers=False,
    )
    assert traces(epochs(loader, 3)) == expected[0]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batches", [1, 2, 4])
def test_a_resumed_loader_goes_on_with_the_next_batch(root, expected, workers, batches):
    broken = PatchLoader(make(root), batch_size=3, workers=workers)
    begun = traces(itertools.islice(epochs(broken, 2), batches))
    state = json.loads(json.dumps(broken.state_dict()))
    resumed = PatchLoader(make(root), batch_size=3, workers=workers)
    resumed.load_state_dict(state)
    left = 3 - state["epoch"]
    assert len(resumed) == -(-(SAMPLES // 2 - state["done"]) // 3)
    assert begun + traces(epochs(resumed, left)) == expected[0]


def test_a_plain_dataloader_takes_dataset_and_sampler(root, expected):
    dataset = make(root)
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=4, sampler=PatchSampler(dataset), num_workers=0
    )
    found = []
    for epoch in range(3):
        dataset.set_epoch(epoch)
        found += traces(loader)
    assert found == expected[0]


def test_batches_are_tensors_with_channels_first(root):
    batch = next(iter(PatchLoader(make(root), batch_size=3)))
    assert batch["image"].shape == (3, 2, *PATCH)
    assert batch["labels"]["organ"].shape == (3, *PATCH)
    assert batch["image"].dtype == torch.int32


def _rank_of(rank: int, port: int, root: Path, out: Path) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
    )
    dataset = PatchDataset(root, patch=PATCH, sampler=Foreground("organ"), samples=SAMPLES, seed=5)
    loader = PatchLoader(dataset, batch_size=3, workers=2, start_method="forkserver")
    seen = [trace[:2] for trace in traces(epochs(loader, 3))]
    np.save(out / f"{rank}.npy", seen)
    torch.distributed.destroy_process_group()


def test_two_ranks_with_two_workers_share_three_epochs(root, tmp_path, expected):
    """In processes of their own, with ranks as torch.distributed has them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.start_processes(
        _rank_of, args=(port, root, tmp_path), nprocs=2, start_method="spawn"
    )
    seen = [list(map(tuple, np.load(tmp_path / f"{rank}.npy").tolist())) for rank in range(2)]
    assert seen == [[trace[:2] for trace in expected[rank]] for rank in range(2)]
    assert sorted(seen[0] + seen[1]) == list(itertools.product(range(3), range(SAMPLES)))


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, cpucuda: Machine) -> None:
    """The CUDA stand-in, and stand-ins for nvCOMP and torch's CUDA."""
    import cupy

    stream = cupy.cuda.Stream(non_blocking=True)
    read = reader_on(stream)

    def from_dlpack(array: Any) -> Any:
        if not isinstance(array, cupy.ndarray):
            return own(array)
        out = read(array)
        stream.synchronize()
        return torch.from_numpy(out)

    own = torch.from_dlpack
    monkeypatch.setitem(sys.modules, "nvidia.nvcomp", nvcomp_stand_in())
    monkeypatch.setattr(torch, "from_dlpack", from_dlpack)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    current = types.SimpleNamespace(cuda_stream=stream.ptr)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: current)


@pytest.mark.cpucuda
def test_batches_of_a_device_are_those_of_the_cpu(tmp_path: Path, device: Any) -> None:
    dataset = make(store_cohort(tmp_path, codec="gpu"))
    loader = PatchLoader(dataset, batch_size=3, decode="cuda")
    assert (loader.decode, loader.note) == ("cuda", "")
    expected = list(PatchLoader(make(tmp_path), batch_size=3))
    assert len(loader) == len(expected) == 3
    for made, wanted in zip(loader, expected, strict=True):
        assert made.keys() == wanted.keys()
        assert made["case"] == wanted["case"]
        pairs = [(made[name], wanted[name]) for name in ("image", "start", "epoch", "number")]
        for tensor, other in (*pairs, (made["labels"]["organ"], wanted["labels"]["organ"])):
            assert tensor.dtype == other.dtype
            assert torch.equal(tensor, other)
    assert (dataset.epoch, dataset.done) == (1, 0)


@pytest.mark.cpucuda
def test_a_stream_from_a_device_goes_on_in_mid_epoch(tmp_path: Path, device: Any) -> None:
    store_cohort(tmp_path, codec="gpu")
    whole = traces(epochs(PatchLoader(make(tmp_path), batch_size=3), 2))
    first = PatchLoader(make(tmp_path), batch_size=3, decode="cuda")
    begun = traces(itertools.islice(first, 1))
    resumed = PatchLoader(make(tmp_path), batch_size=3, decode="cuda")
    resumed.load_state_dict(first.state_dict())
    assert begun + traces(epochs(resumed, 2)) == whole


def test_without_a_device_auto_takes_the_cpu_and_says_why(root: Path) -> None:
    dataset = make(root)
    with pytest.raises(BackendError, match="cannot be decoded on a CUDA device"):
        PatchLoader(dataset, batch_size=2, decode="cuda")
    loader = PatchLoader(dataset, batch_size=2, decode="auto")
    assert loader.decode == "cpu"
    assert loader.note.startswith("decoding on the CPU: patches cannot be decoded")
    assert len(list(loader)) == 4


def test_a_device_that_only_seems_to_work_is_found_out(
    tmp_path: Path, device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_cohort(tmp_path, codec="gpu")
    monkeypatch.setattr(sys.modules["nvidia.nvcomp"], "as_arrays", None)
    with pytest.raises(BackendError, match="decoding a known chunk failed"):
        PatchLoader(make(tmp_path), batch_size=2, decode="cuda")
    monkeypatch.setitem(sys.modules, "nvidia.nvcomp", None)
    with pytest.raises(BackendError, match=r"nvidia\.nvcomp.*pip install 'gpuprep\[nvcomp13\]'"):
        PatchLoader(make(tmp_path), batch_size=2, decode="cuda")


def test_another_codec_than_gpu_is_named(root: Path, device: Any) -> None:
    with pytest.raises(BackendError, match="blosc") as caught:
        PatchLoader(make(root), batch_size=2, decode="cuda")
    assert "codec: gpu" in caught.value.advice
    assert "blosc" in PatchLoader(make(root), batch_size=2, decode="auto").note


def test_samples_made_on_the_cpu_stay_there(tmp_path: Path, device: Any) -> None:
    dataset = make(store_cohort(tmp_path, codec="gpu"))
    dataset.collate = list
    with pytest.raises(BackendError, match="PatchDataset makes its samples on the CPU"):
        PatchLoader(dataset, batch_size=2, decode="cuda")
