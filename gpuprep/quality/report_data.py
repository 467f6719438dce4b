"""What a report has in itself for its script: the cohort in numbers, and the numbers of every case."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpuprep.ledger.failures import FailureGroup
from gpuprep.quality.cohort_quality import CohortQuality
from gpuprep.quality.measures import Measure
from gpuprep.quality.pictures import Pictures
from gpuprep.values.version import __version__

_MOST_BYTES = 5_000_000  # of the columns, as text
_BYTES = 16 / 3  # of a number, as base64
_MOST_PRESENCE = 1_000_000
_PLAIN_ROWS = 20_000  # cases up to which texts that are the same for all are repeated
_MOST_FAILED = 1000  # ids of one reason
_FIRST = (
    *("source_spacing", "source_extent", "ml.", "clipped.", "source_shape", "findings"),
    *("shape", "spacing"),
)
"""Leads of the names of measures, by what they tell."""


@dataclass(frozen=True)
class ReportContent:
    """Everything that a report shows.

    Attributes:
        name: Of the cohort.
        made: When, in UTC, ISO 8601.
        quality: The cohort in numbers.
        channels: Their names.
        failures: Of the last run, by reason.
        pictures: Of a sample of cases.
        notes: What cannot be told, in words.
    """

    name: str
    made: str
    quality: CohortQuality
    channels: tuple[str, ...] = ()
    failures: Sequence[FailureGroup] = ()
    pictures: Pictures = field(default_factory=lambda: Pictures({}))
    notes: tuple[str, ...] = ()


def report_data(content: ReportContent) -> dict[str, Any]:
    """What the script reads, but for the pictures, which the page has already.

    Columns are little-endian float32 in base64, NaN where a case has no number. Of a cohort of very many
    cases it has as many measures as fit into some megabytes.
    """
    quality = content.quality
    shown = measures_that_fit(quality)
    overview = quality.to_json(quality.choose())
    overview["measures"] = [each for each in overview["measures"] if each["name"] in shown]
    overview["notes"] = [*overview["notes"], *content.notes, *_left_out(quality, len(shown))]
    return {
        "name": content.name,
        "made": content.made,
        "version": __version__,
        "channels": list(content.channels),
        "qc": overview,
        "ids": quality.ids,
        "columns": {name: _base64(quality.measures[name]) for name in shown},
        "rows": _rows(quality),
        "classes": _presence(quality),
        "failures": [failure_json(group) for group in content.failures],
    }


def failure_json(group: FailureGroup) -> dict[str, Any]:
    told = {name: getattr(group, name) for name in ("kind", "code", "example", "advice")}
    return {**told, "count": len(group.cases), "cases": list(group.cases[:_MOST_FAILED])}


def measures_that_fit(quality: CohortQuality) -> list[str]:
    """Names of measures in their order: all, or of very many cases those that tell most."""
    names = [*quality.measures]
    most = max(8, int(_MOST_BYTES / (_BYTES * max(1, len(quality.ids)))))
    ranked = sorted(names, key=_rank)
    kept = set(ranked[:most])
    return [name for name in names if name in kept]


def embedded(tree: Any) -> str:
    """JSON that may stand in a script element: nothing in it ends the element or begins another."""
    text = json.dumps(tree, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _presence(quality: CohortQuality) -> dict[str, str]:
    """Which cases have which class; nothing where these would be very many numbers."""
    if len(quality.classes) * len(quality.ids) > _MOST_PRESENCE:
        return {}
    return {
        f"{each.label} {each.value}": _text(each.present.astype(np.uint8).tobytes())
        for each in quality.classes
    }


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _rank(name: str) -> int:
    """How soon a measure is left out; medians come before other statistics."""
    if name.endswith((".p50", ".p99.5")):
        return 2
    return next((k for k, lead in enumerate(_FIRST) if name.startswith(lead)), len(_FIRST))


def _left_out(quality: CohortQuality, shown: int) -> list[str]:
    if shown == len(quality.measures):
        return []
    return [
        f"{shown} of {len(quality.measures)} measures are in this file, which {len(quality.ids):,} cases "
        "would make too large; cohort.csv has all"
    ]


def _base64(measure: Measure) -> str:
    return _text(measure.single.astype("<f4").tobytes())


def _rows(quality: CohortQuality) -> dict[str, list[Any]]:
    table = quality.table
    names = ["bytes", "findings", "channels", "labels"]
    if len(quality.ids) > _PLAIN_ROWS:
        names = [name for name in names if len(set(table[name].tolist())) > 1]
    return {name: table[name].tolist() for name in names}
