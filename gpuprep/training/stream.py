"""Patches as torch's ``IterableDataset``: workers share a rank's samples out among themselves.

    stream = PatchStream(dataset, batch_size=2)
    loader = DataLoader(stream, batch_size=2, num_workers=4, persistent_workers=True)
    for epoch in range(100):
        stream.set_epoch(epoch)
        for batch in loader: ...

DataLoader asks its workers in turn for one batch each. Samples are therefore dealt to the workers in blocks
of one batch, and arrive in the order of ``PatchDataset``, however many workers there are. Importing this
module imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gpuprep.training.dataset import PatchDataset, Sample
from gpuprep.values.errors import UsageError

try:
    import torch
    from torch.utils.data import IterableDataset, get_worker_info
except ImportError as missing:
    raise UsageError(
        "PatchStream needs torch, which is not installed",
        advice="pip install 'gpuprep[torch]', or iterate the PatchDataset itself",
    ) from missing


class PatchStream(IterableDataset):  # type: ignore[misc]
    """An epoch of a ``PatchDataset``, for a DataLoader with or without workers.

    Each iteration is the epoch of ``set_epoch``, or the rest of it after ``load_state_dict``. Epochs do not
    go on by themselves, because DataLoader iterates copies of the stream; ``set_epoch`` reaches the copies,
    those of persistent workers too.
    """

    def __init__(self, dataset: PatchDataset, *, batch_size: int = 1) -> None:
        """Choose what is read.

        Args:
            dataset: Whose samples; it is at the epoch and sample with which the stream begins.
            batch_size: That of the DataLoader; 1 where it has None.

        Raises:
            UsageError: the batch size is below 1.
        """
        if batch_size < 1:
            raise UsageError(f"a batch of {batch_size} samples cannot be read")
        self.dataset = dataset
        self.batch_size = batch_size
        # The epoch, and its samples done before the work was dealt out; in shared memory, so that workers
        # that live on are told of it too.
        self._begin = torch.tensor([dataset.epoch, dataset.done]).share_memory_()
        self._resumed = 0  # samples to pass over in the next iteration, where a worker goes on

    def __len__(self) -> int:
        """Samples of this rank in an epoch."""
        return len(self.dataset)

    def __iter__(self) -> Iterator[Sample]:
        """This worker's part of what is left of the epoch."""
        epoch, begun = self._begin.tolist()
        worker = get_worker_info()
        own, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        resumed, self._resumed = self._resumed, 0
        self.dataset.set_epoch(epoch)
        self.dataset.done = max(begun, resumed)
        for place in range(self.dataset.done, len(self)):
            if (place - begun) // self.batch_size % workers == own:
                sample = self.dataset[place]
                self.dataset.done = place + 1
                yield sample

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch; nothing changes where the stream is in it already."""
        if epoch != self._begin[0]:
            self.dataset.set_epoch(epoch)
            self._deal(epoch, 0)

    def state_dict(self) -> dict[str, int]:
        """How far this process is; for a plain DataLoader with workers take ``state_after``.

        torchdata's ``StatefulDataLoader`` asks each worker for its own.
        """
        return self.dataset.state_dict() | {"begun": int(self._begin[1])}

    def state_after(self, batch: Mapping[str, Any]) -> dict[str, int]:
        """The state to go on from behind a batch (or sample) of this stream, whoever read it."""
        epoch, number = (int(np.ravel(batch[key])[-1]) for key in ("epoch", "number"))
        done = self.dataset.plan.numbers.index(number) + 1
        return self.dataset.state_dict() | {"epoch": epoch, "done": done}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where a state was taken; raises UsageError where the stream would be another."""
        self.dataset.load_state_dict(state)
        if get_worker_info() is None:
            self._deal(state["epoch"], state["done"])
        else:
            self._deal(state["epoch"], state["begun"])
            self._resumed = state["done"]

    def _deal(self, epoch: int, begun: int) -> None:
        self._begin[:] = torch.tensor([epoch, begun])
