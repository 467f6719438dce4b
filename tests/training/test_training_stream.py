"""The iterable feed: the stream of the map-style one, for any workers, epoch after epoch, and resumed."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from support.stored import store_cohort
from support.traces import Trace, traces

from gpuprep.training import Foreground, PatchDataset
from gpuprep.values.errors import UsageError

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from gpuprep.training.stream import PatchStream  # noqa: E402

PATCH = (16, 16, 16)
SAMPLES, BATCH = 22, 3  # 11 a rank, so that the last batch is short

# DataLoader forks while torch's threads exist; our reader is made for it
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning",
    "ignore:'pin_memory' argument is set as true but no accelerator:UserWarning",
    "ignore:This DataLoader will create 3 worker processes:UserWarning",
    "ignore:'set_vital' is deprecated:UserWarning",  # torchdata calls it
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_cohort(tmp_path_factory.mktemp("out"))


def make(root: Path, rank: int = 0) -> PatchDataset:
    return PatchDataset(
        root,
        patch=PATCH,
        sampler=Foreground("organ"),
        samples=SAMPLES,
        seed=5,
        rank=rank,
        world_size=2,
    )


def stream_of(root: Path, rank: int = 0) -> PatchStream:
    return PatchStream(make(root, rank), batch_size=BATCH)


def epochs(stream: PatchStream, loader: DataLoader, numbers: range) -> list[Trace]:
    found = []
    for epoch in numbers:
        stream.set_epoch(epoch)
        found += traces(loader)
    return found


@pytest.fixture(scope="module")
def expected(root: Path) -> dict[int, list[Trace]]:
    """Three epochs of both ranks as the map-style dataset has them."""
    return {
        rank: [
            (epoch, s["number"], s["case"], tuple(s["start"].tolist()), s["image"].tobytes())
            for dataset in [make(root, rank)]
            for epoch in range(3)
            for s in (dataset[epoch, number] for number in dataset.plan.numbers)
        ]
        for rank in range(2)
    }


def test_ranks_see_every_sample_of_three_epochs_once(expected) -> None:
    seen = [trace[:2] for stream in expected.values() for trace in stream]
    assert sorted(seen) == list(itertools.product(range(3), range(SAMPLES)))


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("workers", "method", "persistent"),
    [
        (0, None, False),
        (1, "fork", True),
        (2, "fork", False),
        (2, "fork", True),
        (3, "fork", True),
        (2, "spawn", True),
        (2, "forkserver", True),
    ],
)
def test_the_stream_is_that_of_the_dataset(
    root, expected, rank, workers, method, persistent
) -> None:
    stream = stream_of(root, rank)
    loader = DataLoader(
        stream,
        batch_size=BATCH,
        num_workers=workers,
        multiprocessing_context=method,
        persistent_workers=persistent,
        pin_memory=True,
    )
    assert epochs(stream, loader, range(3)) == expected[rank]
    assert len(loader) == 4


@pytest.mark.parametrize("batches", [1, 3, 4])
@pytest.mark.parametrize(("workers", "later"), [(0, 2), (2, 0), (2, 2), (3, 2)])
def test_a_resumed_stream_goes_on_with_the_next_batch(
    root, expected, batches, workers, later
) -> None:
    broken = stream_of(root)
    broken.set_epoch(1)
    taken = list(
        itertools.islice(DataLoader(broken, batch_size=BATCH, num_workers=workers), batches)
    )
    state = json.loads(json.dumps(broken.state_after(taken[-1])))
    resumed = stream_of(root)
    resumed.load_state_dict(state)
    loader = DataLoader(resumed, batch_size=BATCH, num_workers=later)
    left = epochs(resumed, loader, range(state["epoch"], 3))
    assert traces(taken) + left == expected[0][SAMPLES // 2 :]


def test_an_epoch_that_was_left_begins_anew(root, expected) -> None:
    stream = stream_of(root)
    for _ in range(2):
        assert traces(itertools.islice(DataLoader(stream, batch_size=BATCH), 2)) == expected[0][:6]


def test_single_samples_come_in_order_too(root, expected) -> None:
    loader = DataLoader(PatchStream(make(root)), batch_size=None, num_workers=2)
    assert [int(sample["number"]) for sample in loader] == [t[1] for t in expected[0][:11]]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batches", [1, 2, 3])
def test_torchdata_resumes_it_by_itself(root, expected, workers, batches) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader").StatefulDataLoader
    loader = stateful(stream_of(root), batch_size=BATCH, num_workers=workers)
    begun = traces(itertools.islice(loader, batches))
    state = loader.state_dict()
    other = stateful(stream_of(root), batch_size=BATCH, num_workers=workers)
    other.load_state_dict(state)
    assert begun + traces(other) == expected[0][: SAMPLES // 2]


def test_a_state_of_another_stream_is_refused(root) -> None:
    state = stream_of(root).state_dict()
    other = PatchStream(PatchDataset(root, patch=PATCH, samples=SAMPLES, seed=6))
    with pytest.raises(UsageError, match="seed 5"):
        other.load_state_dict(state)
    with pytest.raises(UsageError, match="batch of 0"):
        PatchStream(make(root), batch_size=0)


def test_samples_are_those_of_the_dataset(root) -> None:
    sample = next(iter(stream_of(root)))
    np.testing.assert_array_equal(sample["image"], make(root)[0]["image"])
