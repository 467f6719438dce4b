"""Decoded cases between the two passes over a raw data set: counted in the first, prepared in the second."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gpuprep.config.model import Config
from gpuprep.config.scratch import DecodedScratch
from gpuprep.io.sandbox.process import process_kept
from gpuprep.nnunet.filled import OWN_FOLDER
from gpuprep.preprocess.decoded_cases import clear_scratch
from gpuprep.values.errors import GpuprepError, RunStopped

_FOLDER = ".decoded"
_SHARE = 4  # one part in so many of what the disk has free, for all data sets together


def scratches(datasets: Sequence[Path], size: int | None) -> list[DecodedScratch | None]:
    """The scratch of each data set, below its preprocessed folder; None where there is to be none.

    Args:
        datasets: Their preprocessed folders.
        size: Bytes for all of them; None for a quarter of what the disk has free, 0 for no scratch.
    """
    if size is None:
        there = next(folder for folder in datasets[0].absolute().parents if folder.is_dir())
        size = shutil.disk_usage(there).free // _SHARE
    each = size // len(datasets)
    return [
        DecodedScratch(
            folder=str(folder.absolute() / OWN_FOLDER / _FOLDER), bytes=each, after="keep"
        )
        if each
        else None
        for folder in datasets
    ]


@contextmanager
def passes_joined(kept: Sequence[DecodedScratch | None]) -> Iterator[None]:
    """A block of all passes of one call, which share the process that reads.

    It leaves nothing in scratches if it fails, unless the same call goes on from there.
    """
    try:
        with process_kept():
            yield
    except RunStopped:
        raise
    except GpuprepError:
        for each in kept:
            clear_scratch(each and _last(each))
        raise


def to_keep_in(config: Config, scratch: DecodedScratch | None) -> Config:
    """A config whose run leaves the decoded cases for another one."""
    return _with(config, scratch)


def to_take_from(config: Config, scratch: DecodedScratch | None) -> Config:
    """A config whose run takes them, each of them for the last time."""
    return _with(config, scratch and _last(scratch))


def _last(scratch: DecodedScratch) -> DecodedScratch:
    return scratch.model_copy(update={"after": "drop"})


def _with(config: Config, scratch: DecodedScratch | None) -> Config:
    if scratch is None:
        return config
    return config.model_copy(update={"run": config.run.model_copy(update={"scratch": scratch})})
