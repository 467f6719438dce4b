"""What a report counts in the browser is what the service counts: same selections, same order."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.measured_tables import planted

from gpuprep.quality.cohort_quality import CohortQuality
from gpuprep.quality.report_data import ReportContent, report_data
from gpuprep.quality.selection import Range

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no node"),
]
EMBEDDED = Path(__file__).parents[2] / "gpuprep/service/pages/embedded.js"
ASK = f"""
const {{ Embedded }} = await import({json.dumps(EMBEDDED.as_uri())});
const {{ text }} = await import("node:stream/consumers");
const {{ data, wishes, sorts }} = JSON.parse(await text(process.stdin));
const source = new Embedded(data);
const told = [];
for (const wish of wishes) {{
  const orders = {{}};
  for (const sort of sorts)
    orders[sort] = (await source.rows(wish, {{ first: 0, limit: 1e6, sort }})).items.map((row) => row.id);
  told.push({{ overview: await source.overview(wish), orders }});
}}
console.log(JSON.stringify(told));
"""
WISHES: list[dict[str, Any]] = [
    {"search": "", "brushes": {}},
    {"search": "Case_3", "brushes": {}},
    {"search": "", "brushes": {"source_spacing_z": {"low": 1.05, "high": 1.15}}},
    {"search": "w_gantry", "brushes": {"source_spacing_z": {"low": None, "high": 1.1}}},
    {
        "search": "1",
        "brushes": {
            "ml.segmentation.1": {"low": 900, "high": None},
            "source_shape_x": {"low": 300, "high": 400},
        },
    },
    {"search": "", "brushes": {"bytes": {"low": -5, "high": -1}}},
]
SORTS = ["", "-id", "source_spacing_z", "-ml.segmentation.2", "-findings"]


def test_a_report_counts_and_sorts_as_the_service_does() -> None:
    table, _ = planted(500)
    table["findings"][::7] = "W_GANTRY, W_FEW_SLICES"
    for axis in "zyx":  # some have no source to measure
        table[f"source_spacing_{axis}"][5::50] = np.nan
    quality = CohortQuality(table)
    for told, wish in zip(_in_the_browser(quality), WISHES, strict=True):
        ranges = [_range(name, **given) for name, given in wish["brushes"].items()]
        chosen = quality.choose(ranges, wish["search"])
        expected = quality.to_json(chosen)
        assert told["overview"]["selected"] == expected["selected"]
        for mine, theirs in zip(told["overview"]["measures"], expected["measures"], strict=True):
            assert mine["selected"] == theirs["selected"], (mine["name"], wish)
        assert told["overview"]["classes"] == expected["classes"]
        assert told["overview"]["outliers"] == expected["outliers"]
        for sort in SORTS:
            ordered = [quality.ids[row] for row in quality.order(chosen, sort)]
            assert told["orders"][sort] == ordered, (sort, wish)


def _range(name: str, low: float | None, high: float | None) -> Range:
    return Range(name, -math.inf if low is None else low, math.inf if high is None else high)


def _in_the_browser(quality: CohortQuality) -> list[dict[str, Any]]:
    given = {
        "data": report_data(ReportContent("planted", "", quality)),
        "wishes": WISHES,
        "sorts": SORTS,
    }
    command = ["node", "--input-type=module", "--eval", ASK]
    ran = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, check=True
    )
    told: list[dict[str, Any]] = json.loads(ran.stdout)
    return told
