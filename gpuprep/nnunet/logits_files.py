"""A folder of logits, one file a case."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from gpuprep.values.errors import GpuprepError, UsageError

_SUFFIXES = (".npy", ".zarr")


def find_logits(folder: Path, cases: Collection[str] = ()) -> dict[str, Path]:
    """``CASE.npy`` or ``CASE.zarr`` of all cases, or of some; UsageError where one, or any, is missing."""
    found = {
        path.stem: path
        for path in sorted(folder.iterdir() if folder.is_dir() else ())
        if path.suffix in _SUFFIXES and (not cases or path.stem in cases)
    }
    lacking = sorted(set(cases) - set(found))
    if lacking or not found:
        raise UsageError(
            f"{folder} has no logits of {lacking[0] if lacking else 'any case'}",
            advice="name them CASE.npy, or CASE.zarr as stitch_into writes it",
        )
    return found


def each_case(
    found: Mapping[str, Path],
    work: Callable[[str, Path], None],
    on_case: Callable[[int], None],
) -> dict[str, str]:
    """Do ``work`` on every case; one that fails stops no other. Returns the reasons of those.

    ``on_case`` is called after each with the number of all.
    """
    failed = {}
    for case, file in found.items():
        try:
            work(case, file)
        except GpuprepError as error:
            failed[case] = str(error)
        on_case(len(found))
    return failed
