"""Patches as a map-style dataset and as an iterator that can stop in mid-epoch and go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from gpuprep.host.ordered import ordered_map
from gpuprep.store.reader import Cohort, open_cohort
from gpuprep.store.stored_case import StoredCase
from gpuprep.training.choice import choose
from gpuprep.training.patch import Position, align, find_label, read_patch
from gpuprep.training.plan import EpochPlan, ranks_of_torch
from gpuprep.training.samplers import Aimed, Pool, Sampler, Uniform
from gpuprep.values.errors import UsageError

Sample = dict[str, Any]
Key = tuple[int, int]  # epoch, number


class PatchDataset:
    """Random or gridded patches of a cohort, the same for the same seed whoever reads them.

    ``dataset[epoch, number]`` is any sample, ``dataset[k]`` the k-th of this rank in the current epoch, and
    iterating gives the rest of this rank's current epoch. A sample is a dictionary:

    - ``image``: ``c, z, y, x``, also for one channel; absent for cases of labels only
    - ``labels``: a dictionary of ``z, y, x`` by name, each in one dtype for all samples
    - ``case``, ``start`` (``z, y, x``, negative in the padding), ``epoch``, ``number``

    It pickles, holds no thread or lock, and may be used after ``fork``.

    Attributes:
        channels: Names of the image's channels in order, the cohort's; empty where cases have no image.
        classes: What the values of each label map mean in the cohort.
        dtypes: Of each label map: the first of uint8, int16, int32 and int64 that holds the cohort's
            values, those of the cases, and the padding.
    """

    collate: Callable[[list[Any]], Any] | None = None
    """What ``PatchLoader`` makes batches with; None for torch's own."""

    def __init__(
        self,
        cohort: Cohort | str | Path,
        *,
        patch: Position,
        sampler: Sampler | None = None,
        labels: Sequence[str] | None = None,
        cases: Sequence[str] | None = None,
        samples: int | None = None,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        drop_last: bool = True,
        chunk_aligned: bool = False,
        image_padding: float = 0,
        label_padding: int = 0,
    ) -> None:
        """Choose what is read; no voxel is read yet, and no case is opened that the index tells of.

        Args:
            cohort: A cohort or its folder.
            patch: Voxels ``z, y, x``.
            sampler: Where patches lie; uniform where None.
            labels: Names of label maps to read with the image; None for all that the cohort agrees on.
            cases: Ids of the cases to use; None for all that have these label maps. Cases that are left out
                are told in one ``CohortWarning``.
            samples: Per epoch across all ranks; None for what the sampler counts.
            seed: Of the whole training.
            rank: Of this process; None to ask ``torch.distributed``, 0 where that is not in use.
            world_size: Number of ranks; given exactly when the rank is.
            drop_last: As in ``EpochPlan``.
            chunk_aligned: Move patches to the nearest chunk border. A patch of whole chunks then decodes no
                voxel it does not hold; starts are multiples of the chunk, so far fewer different patches
                are seen, none of them reaches what lies behind the last such start, and an aimed-at voxel
                is up to half a chunk off the centre.
            image_padding: Value beyond the border of an image (0 is the mean after a z-score).
            label_padding: Value beyond the border of a label map; nnU-Net takes -1, to be ignored.

        Raises:
            UsageError: no case, an unknown case, a case that was asked for and lacks a label map, channels
                that are not the cohort's, a class that no case has, a patch without voxels, or an
                impossible rank.
            StoreError: an older version wrote the cohort, and its cases disagree.
        """
        self.cohort = cohort if isinstance(cohort, Cohort) else open_cohort(cohort)
        self.sampler: Sampler = Uniform() if sampler is None else sampler
        aimed = (self.sampler.label,) if isinstance(self.sampler, Aimed) else ()
        choice = choose(self.cohort, cases, labels, aimed)
        if isinstance(self.sampler, Aimed):
            self.sampler.check(choice)
        if len(patch) != 3 or min(patch) < 1:
            raise UsageError(f"a patch has three positive lengths z, y, x, not {patch}")
        self.pool = Pool(self.cohort, choice.ids, patch, choice.classes, choice.bearers)
        self.choice, self.labels = choice, choice.labels
        self.channels, self.classes = choice.channels, choice.classes
        self.dtypes = {name: choice.label_dtype(name, label_padding) for name in choice.labels}
        if (rank is None) != (world_size is None):
            raise UsageError("give both rank and world_size, or neither")
        own = ranks_of_torch() if rank is None or world_size is None else (rank, world_size)
        count = self.sampler.count(self.pool) if samples is None else samples
        self.plan = EpochPlan(seed, count, *own, drop_last=drop_last)
        self.chunk_aligned = chunk_aligned
        self.image_padding, self.label_padding = image_padding, label_padding
        self.epoch, self.done = 0, 0

    def __len__(self) -> int:
        """Samples of this rank in an epoch."""
        return len(self.plan.numbers)

    def __getitem__(self, key: int | Key) -> Sample:
        """One sample; raises IndexError where this rank has no such, CorruptStoreError for damage."""
        epoch, number = key if isinstance(key, tuple) else (self.epoch, self.plan.numbers[key])
        case, start = self.place((epoch, number))
        return self._read(case, start) | {"epoch": epoch, "number": number}

    def place(self, key: Key) -> tuple[StoredCase, Position]:
        """Where a sample lies: its case, and the first voxel of the patch; no voxel is read."""
        draw = self.sampler.draw(self.pool, self.plan.turn(*key))
        case = self.cohort[draw.case]
        if not self.chunk_aligned:
            return case, draw.start
        return case, align(draw.start, case.geometry.shape, self.pool.patch, _chunk(case))

    def __iter__(self) -> Iterator[Sample]:
        """The rest of this rank's current epoch; at its end the next epoch begins."""
        return self.prefetched(threads=0)

    def prefetched(self, threads: int = 1) -> Iterator[Sample]:
        """As iterating, with samples read ahead by threads of this process; the order stays."""
        for sample in ordered_map(self.__getitem__, self.keys(), threads):
            self.done += 1
            yield sample
        self.set_epoch(self.epoch + 1)

    def keys(self) -> list[Key]:
        """(epoch, number) of what is left of this rank's current epoch."""
        return [(self.epoch, number) for number in self.plan.numbers[self.done :]]

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch."""
        self.epoch, self.done = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """Where the training is; ``done`` counts samples of this rank that were handed out."""
        plan = self.plan
        return {
            "seed": plan.seed,
            "samples": plan.samples,
            "world_size": plan.world_size,
            "epoch": self.epoch,
            "done": self.done,
        }

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where ``state_dict`` was taken; raises UsageError where the stream would be another."""
        own = self.state_dict()
        for name in ("seed", "samples", "world_size"):
            if state[name] != own[name]:
                raise UsageError(
                    f"the saved training has {name} {state[name]}, this one {own[name]}: "
                    "it would not continue the same stream",
                    advice=f"make the dataset with {name} {state[name]}, or begin a new training",
                )
        self.epoch, self.done = state["epoch"], state["done"]

    def _read(self, case: StoredCase, start: Position) -> Sample:
        patch = self.pool.patch
        labels = {
            name: read_patch(find_label(case, name), start, patch, self.label_padding, dtype)
            for name, dtype in self.dtypes.items()
        }
        sample: Sample = {"case": case.id, "start": np.array(start), "labels": labels}
        if case.image is not None:
            image = read_patch(case.image, start, patch, self.image_padding)
            sample["image"] = image.reshape(-1, *patch)
        return sample


def _chunk(case: StoredCase) -> Position:
    images = () if case.image is None else (case.image,)
    z, y, x = next(chain(images, case.labels.values())).chunks[-3:]
    return z, y, x
