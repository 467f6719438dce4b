"""Measured numbers of the README and the guide are those of the files in ``benchmarks/results``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from guide.pages import ROOT, TEXTS, prose, table, tables

RESULTS = ROOT / "benchmarks" / "results"
Row = dict[str, Any]
MEGA, MIB = 1e6, 2**20


def result(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def one(rows: list[Row], **wanted: Any) -> Row:
    (row,) = [row for row in rows if all(row.get(key) == wanted[key] for key in wanted)]
    return row


def flat(page: str) -> str:
    """A page's prose as one line."""
    return " ".join(prose(page).split())


RIVALS = {
    "nnU-Net v2, cubic": "nnU-Net v2",
    "MONAI, linear": "MONAI",
    "TorchIO, linear": "TorchIO",
    "SimpleITK + zarr-python, B-spline": "SimpleITK B-spline",
    "SimpleITK + zarr-python, linear": "SimpleITK linear",
}


@pytest.mark.parametrize("page", ["README", "measured"])
def test_whole_cases(page: str) -> None:
    rows = result("peers")["rows"]
    expected = []
    for name, rival in RIVALS.items():
        cells = [name]
        for volume, digits in (("CT-like 466×512×512", 1), ("real CT 48×512×512", 2)):
            alike = {"volume": volume, "against": rival, "cores": 1}
            ours, theirs = (one(rows, path=path, **alike) for path in ("gpuprep float16", rival))
            cells.append(f"**{ours['wall']:.2f} s** to {theirs['wall']:.{digits}f} s")
            cells.append(f"{ours['cpu_ratio']:.1f}×")
            if digits == 1:
                ours, theirs = (each["peak_bytes"] / 1e9 for each in (ours, theirs))
                cells.append(f"{ours:.2f} to {theirs:.2f} GB")
        expected.append(cells)
    assert table(page, "against") == expected


def test_what_is_said_of_whole_cases() -> None:
    rows = [row for row in result("peers")["rows"] if row["against"] == "nnU-Net v2"]
    case = one(rows, path="gpuprep float16", volume="CT-like 466×512×512", cores=1)
    inflating = case["stages"]["read"] + case["stages"]["store"]
    assert f"Of the {case['wall']:.2f} s, {inflating:.1f} s are inflating" in flat("measured")
    most = max(row["difference"] for row in rows if row["path"] == "gpuprep")
    assert most == pytest.approx(8.4e-7, rel=0.01)
    assert not any(row["labels_differ"] for row in rows)
    for page in ("measured", "nnunet"):
        assert "by at most 8.4·10⁻⁷ of the value range, and in no label" in flat(page)


def test_single_operations() -> None:
    rows = [row for row in result("engine")["rows"] if row["volume"] == "CT int16"]

    def per_thread(operation: str, path: str) -> Iterator[Row]:
        for threads in (1, 2):
            yield one(rows, operation=operation, path=path, threads=threads)

    def times(operation: str) -> str:
        return ", ".join(f"{row['wall']:.2f} s" for row in per_thread(operation, "gpuprep"))

    def ratios(operation: str, path: str, digits: int) -> str:
        return ", ".join(f"{row['ratio']:.{digits}f}×" for row in per_thread(operation, path))

    cubic, linear, labels = "resample cubic", "resample linear", "labels linear"
    assert table("measured", "operation") == [
        [
            "cubic",
            times(cubic),
            f"SimpleITK B-spline {ratios(cubic, 'SimpleITK', 0)}; "
            f"SciPy order 3 {ratios(cubic, 'scipy', 0)}",
        ],
        [
            "linear",
            times(linear),
            f"SimpleITK {ratios(linear, 'SimpleITK', 1)}; "
            f"torch `interpolate` {ratios(linear, 'torch interpolate', 1)}",
        ],
        [
            "labels, linear vote of 3",
            times(labels),
            f"SciPy label by label {ratios(labels, 'scipy, label by label', 0)}",
        ],
        [
            "exact percentiles",
            times("percentiles"),
            f"`numpy.percentile` {ratios('percentiles', 'numpy.percentile', 1)}",
        ],
    ]


STORES = {
    "gpuprep, float16": ("gpuprep balanced", "float16"),
    "nnU-Net 2.8.1 `.b2nd`, float32 as it stores": ("nnU-Net", "float32"),
    "nnU-Net's class given float16": ("nnU-Net", "float16"),
    "zarr-python on gpuprep's files": ("zarr-python", "float16"),
}


def test_random_patches() -> None:
    measured = result("patches")
    assert measured["versions"]["nnunetv2"] == "2.8.1"
    rows = [row for row in measured["rows"] if row["volume"] == "CT 150×365×365"]
    expected = []
    for name, (store, dtype) in STORES.items():
        row = one(rows, name=store, dtype=dtype)
        ours = name.startswith("gpuprep")
        saved = f"{row['save_megavoxels_per_cpu_s']:.0f} Mvoxel"
        times = []
        for edge in ("64", "96", "128"):
            milliseconds = row["warm"][edge]["cpu_ms"]
            digits = 2 if edge == "64" and row["store"] != "ZarrPython" else 1
            times.append(f"{milliseconds:.{digits}f} ms")
        expected.append(
            [
                name,
                f"{row['bytes_per_voxel']:.2f}",
                "" if store == "zarr-python" else saved,
                *(f"**{time}**" if ours else time for time in times),
            ]
        )
    assert table("measured", "store") == expected


def test_aligned_patches() -> None:
    rows = result("aligned")["volumes"]["CT 150×365×365"]
    for cells, (free, aligned) in zip(
        table("training", "patch"), zip(rows[::2], rows[1::2], strict=True), strict=True
    ):
        assert cells[0] == f"{free['patch'][0]}³"
        for cell, row in zip(cells[1:3], (free, aligned), strict=True):
            close(cell, row["kilobytes"] / 1e3, "MB")
        for cell, row in zip(cells[3:], (free, aligned), strict=True):
            close(cell, row["cpu_ms"], "ms")
    assert one(rows, patch=[96, 96, 96], aligned=True)["places"] == 162
    assert one(rows, patch=[96, 96, 96], aligned=False)["places"] == pytest.approx(4e6, rel=0.01)


def close(cell: str, value: float, unit: str) -> None:
    """Whether a cell is a value rounded to the digits it shows."""
    number, _, shown = cell.partition(" ")
    digits = len(number.partition(".")[2])
    assert shown == unit
    assert abs(float(number.replace(",", "")) - value) <= 0.5001 * 10**-digits, cell


def test_several_workers() -> None:
    rows = result("scaling")["rows"]
    expected = [[row["path"], f"{row['whole']:.2f}", f"{row['steady']:.2f}"] for row in rows]
    assert table("measured", "workers") == expected
    ratio = (
        one(rows, path="2 workers, 2 cores")["whole"] / one(rows, path="1 worker, 1 core")["whole"]
    )
    assert f"Two workers are {ratio:.1f} times as fast as one" in flat("measured")


def test_many_cases() -> None:
    rows = result("scale")["rows"]
    for cells, row in zip(table("measured", "cluster"), rows, strict=True):
        cluster, workers, rate, busy, cpu, first, growth = cells
        assert (cluster, int(workers)) == (row["cluster"], row["workers"])
        close(f"{rate} x", row["cases_per_second"], "x")
        assert busy == ("" if row["busy"] is None else f"{row['busy']:.0%}".replace("%", " %"))
        close(cpu, 1e3 * row["cpu_per_case"], "ms")
        close(first, row["first_result"], "s")
        close(growth, row["growth_bytes"] / MIB, "MiB")
    assert rows[4]["workers"] == 4000
    assert rows[4]["busy"] < 0.9
    assert "does not keep 4,000 workers" in flat("measured")


def test_a_training() -> None:
    for cells, row in zip(table("measured", "rank"), result("feed")["ranks"], strict=True):
        close(f"{cells[1]} x", row["samples_per_second"], "x")
        close(cells[2], row["step_ms"], "ms")
        close(cells[3], row["waiting_ms"]["mean"], "ms")
        assert cells[4] == f"{row['loss_first']:.2f}, {row['loss_last']:.2f}"


def test_kernels_without_a_gpu() -> None:
    found = result("registers")
    most = {name: max(used.values()) for name, used in found["registers"].items()}
    own = [most.pop(name) for name in ("vote", "plane_pass", "last_pass")]
    between = max(count for name, count in most.items() if name.startswith("columns_pass"))
    most = {name: count for name, count in most.items() if not name.startswith("columns_pass")}
    assert (*own, between, max(most.values()), found["spilled_bytes"]) == (96, 168, 80, 80, 64, 0)
    told = (
        "at most 64 registers, the label vote 96, passes along an axis 80, the one over planes 168"
    )
    assert f"{told}; 0 bytes spilled" in flat("measured").lower()
    moved = [f"{count / MEGA:,.0f} MB" for count in found["bytes_moved"].values()]
    told = flat("measured").partition("moves at least ")[2]
    assert re.findall(r"[\d,]+ MB", told)[:4] == moved


def test_what_kernels_are_predicted_to_reach() -> None:
    gpus = result("kernel_budget")["gpus"]
    rows = table("measured", "predicted share of the bound")
    names = {"linear": "linear", "cubic": "cubic", "value range": "extent_int16"}
    names |= {"histogram": "histogram_int16", "moments of float32": "moments_float32"}
    assert len(rows) == len(names)
    for cells in rows:
        for cell, gpu in zip(cells[1:], gpus.values(), strict=True):
            share = gpu["predicted"][names[cells[0]]]["share"]
            close(cell, 100 * share, "%")


def test_what_surrounds_many_cases() -> None:
    found = result("cohorts")["rows"]
    names = {
        "what all records tell, table(), s": ("open and table, s", 2),
        "filter_cases, s": ("filter_cases, s", 2),
        "a run with nothing to do, s": ("run, all done, s", 1),
        "verify, s": ("verify, s", 1),
        "first sample, Uniform, s": ("Uniform: first sample, s", 2),
        "first sample, Grid, s": ("Grid: first sample, s", 2),
        "cold samples/s, Uniform": ("Uniform: cold samples/s", 0),
    }
    one_case = "a class of one case"
    names[f"cold samples/s, {one_case}"] = (f"Balanced, {one_case}: cold samples/s", 0)
    rows = table("measured", "what surrounds cases")
    assert len(rows) == len(names)
    for what, _, now in rows:
        name, digits = names[what.replace("`", "")]
        assert now == " / ".join(f"{value:.{digits}f}" for value in found[name].values())


def test_what_is_said_of_a_service() -> None:
    rows, said = result("service")["rows"], flat("measured")
    names = r"accept|page of 100 cases .* p99|200 followers .* p99|lost|one 2 mm brain .* p50"
    told = [name for name in rows if re.match(names, name)]
    assert len(told) >= 5
    assert [name for name in told if f" {rows[name]:,} " not in said] == []


def test_labels_there_and_back() -> None:
    lines = (RESULTS / "round_trip.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len({(row["mask"], row["value"]) for row in rows}) == 45
    assert len({row["mask"] for row in rows}) == 5
    smallest = {"0.5": 300, "0.75": 1000, "1.25": 721_043, "1.5": 721_043}
    told = dict(table("predictions", "stored at … times the spacing"))
    for factor, voxels in smallest.items():
        dice = {row["voxels"]: row["dice"] for row in rows if str(row["factor"]) == factor}
        kept = [
            row["dice"] for row in rows if str(row["factor"]) == factor and row["voxels"] >= voxels
        ]
        assert min(kept) >= 0.99, factor
        if voxels < 10_000:
            assert told[factor] == f"{voxels:,} voxels"
        else:
            assert re.findall(r"0\.\d+", told[factor]) == [
                f"{dice[721_043]:.3f}",
                f"{dice[94_640]:.3f}",
            ]
    twice = sorted(row["dice"] for row in rows if row["factor"] == 2)
    lungs = next(row for row in rows if row["factor"] == 2 and row["voxels"] == 721_043)
    assert told["2"] == f"none (lungs {lungs['dice']:.3f}; median {twice[len(twice) // 2]:.2f})"


def test_every_file_of_results_is_told_with_its_commit() -> None:
    told = dict(
        re.findall(r"results/(\w+)\.json, commit (\w+)", " ".join(TEXTS["measured"].split()))
    )
    told |= dict(re.findall(r"results/(\w+)\.json`, commit (\w+)", flat("measured")))
    found = {path.stem for path in RESULTS.glob("*.json")}
    assert set(told) == found - {"aligned"}  # in the page about training
    for name, commit in told.items():
        assert result(name)["machine"]["commit"].startswith(commit), name


def test_no_table_of_numbers_goes_unchecked() -> None:
    heads = {rows[0][0] for rows in tables("measured")}
    assert heads == {
        *("against", "operation", "store", "workers", "cluster", "rank"),
        *("predicted share of the bound", "what surrounds cases"),
    }
