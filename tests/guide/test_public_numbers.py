"""What the guide says of public truths is in the file in ``benchmarks/results``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guide.pages import ROOT, prose, table

FOUND = json.loads((ROOT / "benchmarks/results/public_truths.json").read_text("utf-8"))["rows"]


def rows(data: str, truth: str = "") -> list[dict[str, Any]]:
    found = [
        row for row in FOUND if row["data"].startswith(data) and row["truth"].startswith(truth)
    ]
    assert found
    return found


def flat(page: str) -> str:
    return " ".join(prose(page).split())


def test_labels() -> None:
    sources = [
        rows("contours, ", "dcmrtstruct2nii 5"),
        rows("contours, ", "plastimatch"),
        rows("contours of a mask, ", "rt-utils 1.2.7"),
        rows("segmentation", "dcmqi 1.5.7")[:1],
        rows("segmentation, cropped", "pydicom-seg 0.4.1"),
    ]
    told = [cells[2:] for cells in table("labels", "made by")]
    assert told == [
        [f"{sum(row['inside'] for row in each):,}", f"{sum(row['differ'] for row in each):,}"]
        for each in sources
    ]
    assert {row["differ"] for row in rows("segmentation")} == {0}
    drawn = rows("contours, ")
    assert f"{max(row['surface_voxels'] for row in drawn)} voxel from its contour" in flat("labels")
    assert max(row["apart_mm"] for row in drawn + rows("segmentation")) <= 1e-5
    assert all(row["data"] == f"contours, {row['called']}" for row in drawn)
    assert all(row["differ_if_filled"] == 0 for row in rows("contours, ", "plastimatch"))


def test_volumes_of_the_planning_system() -> None:
    organs = ("Heart", "Lt Lung", "Breast")
    drawn = [rows(f"contours, {organ}")[0] for organ in organs]
    off = sorted(100 * abs(row["ml"] / row["planned_ml"] - 1) for row in drawn)
    assert f"{off[0]:.1f} to {off[-1]:.1f} %" in flat("labels")


def test_series() -> None:
    of_series = [*rows("85 mosaics"), *rows("enhanced"), *rows("a mosaic"), *rows("echoes")]
    assert f"of {sum(row['voxels'] for row in of_series):,} voxels none differs" in flat("series")
    assert not any(row["differ"] for row in of_series)
    assert max(row["apart_mm"] for row in of_series) <= 3e-5


def test_uptake() -> None:
    (phantom,), (slices,) = rows("QIBA"), rows("slices of scanners")
    shown = "{hottest:.4f}, −{cold:.4f} and {body:.4f}".format(cold=-phantom["coldest"], **phantom)
    assert f"has SUV {shown} where" in flat("pet")
    assert phantom["off"] == pytest.approx(0, abs=0.005)
    told = "Of {slices} slices of scanners in the Imaging Data Commons, {equal} factors".format(
        **slices
    )
    assert told in flat("pet")
    assert f"{slices['neither']} have none by either" in flat("pet")
    assert f"{slices['ours_alone']} are SUV already" in flat("pet")
    assert f"{slices['differ']} differ: one scan that began 41 s before the injection" in flat(
        "pet"
    )
    assert slices["theirs_alone"] == 0
    late = [name for name, ratio in slices["ours_to_theirs"].items() if ratio < 0.99]
    assert len(late) == 3
