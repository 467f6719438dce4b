"""The standard scales that a cohort learnt, as a file of their own that other cohorts can use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpuprep.ledger.output import read_json, write_json
from gpuprep.ops.landmarks import Landmarks
from gpuprep.ops.mergeable import Mergeable
from gpuprep.store.layout import LANDMARKS_FILE
from gpuprep.values.errors import CorruptStoreError


def save_landmarks(root: Path, channels: Sequence[Mergeable]) -> None:
    """Write what a cohort learnt beside it; nothing where it learnt nothing, or the file says it already."""
    rows = [
        {
            "channel": each.channel,
            "percentiles": list(each.percentiles),
            "standard": list(each.standard),
            "cases": each.cases,
        }
        for each in channels
        if isinstance(each, Landmarks) and each.cases
    ]
    if rows and _known(root / LANDMARKS_FILE) != {"nyul": rows}:
        write_json(root / LANDMARKS_FILE, {"nyul": rows})


def _known(file: Path) -> object:
    try:
        return read_json(file) if file.is_file() else None
    except CorruptStoreError:
        return None
