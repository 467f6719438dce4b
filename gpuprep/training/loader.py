"""Batches for torch: a DataLoader whose keys carry the epoch, so that workers need no word from outside.

A key is (epoch, number), and DataLoader hands out batches in the order of keys. The stream is therefore the
same for any number of workers, for fork, forkserver and spawn, and for workers that live on.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from gpuprep.training.dataset import Key, PatchDataset
from gpuprep.training.device import open_device
from gpuprep.values.errors import BackendError, UsageError


class PatchSampler:
    """The keys of what is left of a dataset's epoch: ``DataLoader(dataset, sampler=PatchSampler(dataset))``.

    For a DataLoader of your own; call ``dataset.set_epoch`` before each epoch.
    """

    def __init__(self, dataset: PatchDataset) -> None:
        self.dataset = dataset

    def __iter__(self) -> Iterator[Key]:
        return iter(self.dataset.keys())

    def __len__(self) -> int:
        return len(self.dataset.keys())


class PatchLoader:
    """Batches of torch tensors of a dataset; each iteration is the rest of an epoch, then the next begins.

    ``state_dict`` counts the samples handed out, not those that workers have read ahead, so a resumed
    training goes on with the very next batch.

    Attributes:
        decode: Where chunks are decoded, ``cpu`` or ``cuda``.
        note: Why ``auto`` did not choose the device, for people.
    """

    def __init__(
        self,
        dataset: PatchDataset,
        *,
        batch_size: int,
        workers: int = 0,
        start_method: Literal["fork", "forkserver", "spawn"] | None = None,
        pin_memory: bool = False,
        persistent_workers: bool | None = None,
        prefetch_batches: int = 2,
        decode: Literal["cpu", "cuda", "auto"] = "cpu",
    ) -> None:
        """Choose how batches are read.

        Args:
            dataset: Where they come from.
            batch_size: Samples of a batch; the last of an epoch may be smaller.
            workers: Processes that read; 0 for this one.
            start_method: Of the workers; None for Python's own choice.
            pin_memory: Into pinned host memory.
            persistent_workers: Keep workers from epoch to epoch; None for yes where there are any.
            prefetch_batches: Batches each worker reads ahead.
            decode: ``cuda`` decodes on the current CUDA device, where the voxels then are; the cohort must
                have the codec ``gpu`` and be your own, for nvCOMP trusts frames whose CRC is right. A thread
                of this process reads one batch ahead; ``workers`` and the arguments after it are for the
                CPU. ``auto``: the device where that works.

        Raises:
            UsageError: torch is not installed.
            BackendError: ``cuda`` does not work here; the message says what is missing.
        """
        try:
            torch = importlib.import_module("torch.utils.data")
        except ImportError as error:
            raise UsageError(
                "PatchLoader needs torch, which is not installed",
                advice="pip install 'gpuprep[torch]', or iterate the PatchDataset itself",
            ) from error
        self.dataset = dataset
        self._batch_size = batch_size
        self.decode: Literal["cpu", "cuda"] = "cpu"
        self.note = ""
        if decode != "cpu":
            try:
                self._batches: Any = open_device(dataset, batch_size)
                self.decode = "cuda"
                return
            except BackendError as error:
                if decode == "cuda":
                    raise
                self.note = f"decoding on the CPU: {error}"
        self._batches = torch.DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=PatchSampler(dataset),
            num_workers=workers,
            multiprocessing_context=start_method if workers else None,
            pin_memory=pin_memory,
            persistent_workers=workers > 0 if persistent_workers is None else persistent_workers,
            prefetch_factor=prefetch_batches if workers else None,
            collate_fn=dataset.collate,
        )

    def __len__(self) -> int:
        """Batches left in this epoch."""
        return len(self._batches)

    def __iter__(self) -> Iterator[Any]:
        for batch in self._batches:
            self.dataset.done = min(self.dataset.done + self._batch_size, len(self.dataset))
            yield batch
        self.dataset.set_epoch(self.dataset.epoch + 1)

    def state_dict(self) -> dict[str, int]:
        """As of the dataset."""
        return self.dataset.state_dict()

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """As of the dataset."""
        self.dataset.load_state_dict(state)
