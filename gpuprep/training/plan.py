"""Which sample is number k of epoch e: pure functions of a seed, so that nothing depends on who asks.

The samples of an epoch are numbered across all ranks; rank r of W does r, r + W, r + 2W and so on. The
random numbers of a sample follow from (seed, epoch, number) alone.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gpuprep.values.errors import UsageError

SEED_LIMIT = 1 << 32


@dataclass(frozen=True)
class Turn:
    """One sample's place in a training.

    Attributes:
        seed: Of the whole training.
        epoch: From 0.
        number: Of the sample within its epoch, across all ranks.
        position: How many samples its rank did before it in this epoch.
    """

    seed: int
    epoch: int
    number: int
    position: int

    def random(self) -> np.random.Generator:
        """The sample's own random numbers, from their beginning."""
        return np.random.default_rng([self.seed, self.epoch, self.number])

    @property
    def transform_seed(self) -> int:
        """A seed for whatever changes the sample once it is read; independent of where it lies."""
        source = np.random.SeedSequence([self.seed, self.epoch, self.number], spawn_key=(2,))
        return int(source.generate_state(1)[0])

    def pick(self, count: int) -> int:
        """One of ``count`` things, so that a full round of ``count`` numbers picks each of them once."""
        turn, place = divmod(self.number, count)
        return int(_shuffled(self.seed, self.epoch, turn, count)[place])


@dataclass(frozen=True)
class EpochPlan:
    """The samples one rank does in an epoch.

    Attributes:
        seed: 0 to 2³² - 1.
        samples: Per epoch, across all ranks.
        rank: This process's, from 0.
        world_size: Number of ranks.
        drop_last: Leave out the samples that do not fill a round of ranks, so that all ranks do equally many
            (which DDP needs). Otherwise the first ranks do one more.
    """

    seed: int
    samples: int
    rank: int = 0
    world_size: int = 1
    drop_last: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise UsageError(
                f"rank {self.rank} is not one of {self.world_size} ranks counted from 0"
            )
        if not 0 <= self.seed < SEED_LIMIT:
            raise UsageError(f"seed {self.seed} is not within 0 to {SEED_LIMIT - 1}")
        if not self.numbers:
            raise UsageError(
                f"{self.samples} samples leave rank {self.rank} of {self.world_size} without any",
                advice="ask for at least as many samples an epoch as there are ranks",
            )

    @property
    def numbers(self) -> range:
        """Of this rank's samples, in order; the same in every epoch."""
        rest = self.samples % self.world_size if self.drop_last else 0
        return range(self.rank, self.samples - rest, self.world_size)

    def turn(self, epoch: int, number: int) -> Turn:
        """The sample ``number`` of ``epoch``, whichever rank does it."""
        return Turn(self.seed, epoch, number, number // self.world_size)


def ranks_of_torch() -> tuple[int, int]:
    """Rank and world size as ``torch.distributed`` has them; (0, 1) where it is not in use."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return 0, 1
    return int(distributed.get_rank()), int(distributed.get_world_size())


@lru_cache(maxsize=8)
def _shuffled(seed: int, epoch: int, turn: int, count: int) -> NDArray[np.intp]:
    # the spawn key keeps these numbers apart from those of any sample (and from 2, of its transforms)
    source = np.random.SeedSequence([seed, epoch, turn], spawn_key=(1,))
    return np.random.default_rng(source).permutation(count)
