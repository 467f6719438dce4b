"""The benchmarks run, on volumes so small that no time means anything; what they compare is the same."""

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kernels.cuda_on_cpu.cpu_module import missing
from kernels.kernel_engines import cpu_engine

from gpuprep.config.file import parse_config
from gpuprep.device.clock import WallClock
from gpuprep.running.coordinator import run

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TINY = (24, 30, 26)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of the benchmarks by name, imported as their scripts do."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_engine_rows_on_the_cpu_agree(script: Any) -> None:
    volumes = script("operations").volumes(TINY)
    rows = list(script("cpu_operations").cpu_rows(volumes, threads=2, rounds=1))
    assert {row.operation for row in rows} >= {"resample cubic", "labels linear", "percentiles"}
    agree(rows)


@pytest.mark.skipif(bool(missing()), reason=missing() or "kernels run here")
def test_engine_rows_on_a_device_agree(script: Any) -> None:
    volumes = script("operations").volumes(TINY)
    device = script("device_operations")
    rows = list(device.device_rows(cpu_engine(), WallClock(), volumes, bandwidth=1e9, rounds=1))
    assert {row.operation for row in rows} >= {"resample cubic", "labels linear", "percentiles"}
    assert all(row.kernels > 0 for row in rows)
    agree(rows)


def agree(rows: list[Any]) -> None:
    for row in rows:
        stored = 2.0**-11 if row.path == "gpuprep" else 1e-5  # float16 of the whole range
        limit = 0.01 if row.operation.startswith(("labels", "resample nearest")) else stored
        assert row.difference <= limit, str(row)
        assert row.bytes > 0


@pytest.mark.slow
def test_peers_agree_with_what_is_stored(tmp_path: Path) -> None:
    """The tools that are installed here, in the processes that measure them."""
    out = tmp_path / "peers.json"
    command = [sys.executable, str(BENCHMARKS / "peers.py"), "--against", "SimpleITK"]
    command += [
        "--scans",
        "",
        "--shape",
        *map(str, TINY),
        "--rounds",
        "1",
        "--cores",
        "1",
        "--out",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"]
    assert [row["path"] for row in rows[:3]] == ["gpuprep", "gpuprep float16", "SimpleITK B-spline"]
    for row in rows:
        assert row["difference"] <= (5e-4 if row["path"] == "gpuprep float16" else 2e-6), row
        assert row["labels_differ"] == 0


def test_a_tool_that_is_not_installed_is_left_out(script: Any, tmp_path: Path) -> None:
    measure, paths = script("measure"), script("paths")
    task = paths.Task("image", "label", str(tmp_path), 1, (1.0, 1.0, 1.0), (0.0, 1.0), {})
    with pytest.raises(measure.Absent, match="no_such_tool"):
        measure.run_alone("no_such_tool", task, python=sys.executable)


def test_array_engine_needs_only_numpy() -> None:
    """So that ``engine.py`` and the GPU tests run on a bare GPU machine."""
    code = """
import sys
import gpuprep.kernels.loader, gpuprep.ops.labels, gpuprep.ops.resample, gpuprep.ops.device.operations
names = {name.split(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
print(sorted(name for name in names if not name.startswith(("_", "sitecustomize"))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['gpuprep', 'numpy']"


def test_phantom_is_what_it_says(script: Any) -> None:
    phantom = script("phantom")
    image, labels = phantom.ct(TINY), phantom.labels(TINY)
    assert image.shape == labels.shape == TINY
    assert set(np.unique(labels)) == {0, phantom.LUNG, phantom.BONE, phantom.LESION}
    assert phantom.HU_RANGE[0] <= image.min() < -950 < 600 < image.max() <= phantom.HU_RANGE[1]


def test_slots_do_every_case_and_watch_memory(script: Any, tmp_path: Path) -> None:
    slots = script("slots")
    sources = slots.write_volumes(tmp_path, [TINY, (20, 22, 18)])
    rows = [slots.run_slots(tmp_path, sources, "numpy", count, 6) for count in (1, 2)]
    assert [len(list((tmp_path / f"out-{n}" / "cases").glob("*.zarr"))) for n in (1, 2)] == [6, 6]
    for row in rows:
        assert row.stages["resample"] > 0
        assert len(row.process_bytes) >= 6
        assert f"{row.slots} slots" in slots.report(row, rows[0])


def test_the_kernels_table_names_every_family_and_adds_up(script: Any) -> None:
    nvrtc = pytest.importorskip("cupy_backends.cuda.libs.nvrtc", reason="CuPy is not installed")
    try:
        nvrtc.getVersion()
    except Exception as error:
        pytest.skip(f"NVRTC is not installed: {error}")
    registers = script("registers")
    found = registers.largest(90)
    assert {"linear", "rows_pass", "last_pass", "vote", "histogram"} <= found.keys()
    assert not any(char.isdigit() for name in found for char in name)
    moved = dict(registers.bytes_moved())
    assert moved["at least: volume in, result out"] == 466 * 512**2 * 2 + 311 * 267**2 * 2
    assert "sm_90" in registers.report({"linear": {"sm_90": 56}}, moved, 0)


@pytest.mark.slow
def test_curves_cost_rows_agree_with_their_oracles(script: Any, tmp_path: Path) -> None:
    curves = script("curves")
    image = script("phantom").ct(TINY)
    whole = list(curves.whole_cases(image, tmp_path, 1))
    assert {row["path"] for row in whole} == set(curves.CONFIGS)
    alone = list(curves.alone(image.astype(np.float32) + 0.25, 1))
    assert {row["path"] for row in alone} >= {"gpuprep", "numpy.interp"}
    assert all(row["difference"] <= 1e-6 for row in alone)


@pytest.mark.slow
def test_patch_stores_give_the_voxels_back(tmp_path: Path, script: Any) -> None:
    """Each store whose library is here saves a volume and reads its patches; the process compares them."""
    patches = script("patches")
    volume = tmp_path / "noise.npy"
    noise = np.random.default_rng(0).normal(size=(64, 66, 65))
    np.save(volume, noise.astype(np.float32))
    arguments = argparse.Namespace(rounds=1, patches=2, peers_python=sys.executable)
    stores = [each for each in patches.CANDIDATES if each.name in ("gpuprep fast", "zarr-python")]
    rows = patches.Bench(volume, tmp_path / "stores", arguments).rows(tuple(stores))
    assert [row["store"] for row in rows] == ["Gpuprep", "ZarrPython"]
    for row in rows:
        assert 0 < row["bytes_per_voxel"] < 2.2
        assert row["cold"]["64"]["wall_ms"] > 0
        assert row["patches_per_s_of_two"]["64"] > 0


def test_codec_rows_tell_smooth_from_noise(script: Any) -> None:
    codecs = script("store_codecs")
    random = np.random.default_rng(0)
    noise = random.integers(-(2**15), 2**15, (24, 24, 24)).astype("i2")
    ratios = {}
    for name, voxels in {"noise": noise, "blob": codecs.blob(noise)}.items():
        pieces = codecs.chunks(voxels, 16, 5)
        rows = list(codecs.measured(pieces, 1))
        planes = 2 * (pieces[0].itemsize > 1)
        assert len(rows) == len(codecs.CODECS) * len(codecs.SHUFFLES) + planes
        ratios[name] = min(row["ratio"] for row in rows)
    assert ratios["noise"] < 1.01
    assert ratios["blob"] > 1.5


def test_aligned_patches_decode_nothing_in_vain(script: Any, tmp_path: Path) -> None:
    bench = script("aligned")
    bench.store(tmp_path, np.random.default_rng(0).normal(size=(96, 70, 100)))
    free, aligned = (bench.measure(tmp_path, 64, aligned=aligned) for aligned in (False, True))
    assert (aligned["chunks"], aligned["decoded_per_voxel"]) == (8, 1)
    assert free["kilobytes"] > aligned["kilobytes"] > 0
    assert (free["places"], aligned["places"]) == (33 * 7 * 37, 2 * 1 * 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factor", "voxels"), [(0.5, 300), (0.75, 1000), (1.25, 500_000), (1.5, 500_000)]
)
def test_large_structures_of_real_masks_come_back(
    script: Any, scans: Path, factor: float, voxels: int
) -> None:
    """Where README says that labels survive another spacing: structures of so many voxels."""
    round_trip = script("round_trip")
    rows = [row for mask in round_trip.MASKS for row in round_trip.structures(scans / mask, factor)]
    large = [row for row in rows if row["voxels"] >= voxels]
    assert large
    assert min(row["dice"] for row in large) >= round_trip.KEPT


@pytest.mark.slow
def test_a_feed_teaches_two_ranks(cohort_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    rules = parse_config(
        {
            "image": {"intensity": [{"zscore": {"over": "image"}}], "crop": {"to": "body"}},
            "store": {"fsync": "never"},
        }
    )
    report = run(cohort_folder, tmp_path / "out", config=rules, scheduler="serial")
    assert report.exit_code == 0, report.failures
    command = [sys.executable, str(BENCHMARKS / "feed.py"), str(tmp_path / "out")]
    command += ["--patch", "16", "--samples", "64", "--epochs", "2", "--out", "feed.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "feed.json").read_text())
    for rank in found["ranks"]:
        assert rank["steps"] == 32
        assert rank["loss_last"] < rank["loss_first"]
        assert 0 <= rank["waiting_share"] < 1


def first_hour(folder: Path, python: Path) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(BENCHMARKS / "gpu.sh"), str(folder)]
    environment = {**os.environ, "PYTHON": str(python), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_the_first_hour_goes_on_after_a_step_that_failed(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'
        'case "$*" in *slots.py*) echo "case7 failed"; exit 3;; esac\n'
    )
    python.chmod(0o755)
    done = first_hour(tmp_path / "results", python)
    assert done.returncode == 1
    said = (tmp_path / "results" / "summary.txt").read_text().splitlines()
    codes = dict(line.split(": exit code ") for line in said)
    assert {name: text.split()[0] for name, text in codes.items()} == {
        **dict.fromkeys(("doctor", "kernels", "decode", "engine"), "0"),
        "slots": "3",
    } | {name: "0" for name in codes if name == "memcheck"}
    assert codes["slots"].endswith("s; case7 failed")
    asked = (tmp_path / "asked").read_text()
    for words in ("doctor --gpu --out", "tests/kernels -m gpu", "--only cuda", "--slots 1 3"):
        assert words in asked


def test_the_first_hour_of_a_machine_without_a_gpu_is_short(tmp_path: Path) -> None:
    done = first_hour(tmp_path / "results", Path(sys.executable))
    assert done.returncode == 2
    assert "no GPU answers through CuPy" in done.stdout


@pytest.mark.usefixtures("reads_here")
def test_growth_is_measured(script: Any, tmp_path: Path) -> None:
    cohorts = script("cohorts")
    cohorts.build(tmp_path, 3)
    told = {row: value for each in cohorts.MEASURED for row, value in each(tmp_path).items()}
    assert {"open and table, s", "verify, s", "Grid: first sample, s"} <= set(told)
    assert min(told.values()) > 0


def test_a_report_is_measured(script: Any, tmp_path: Path) -> None:
    script("cohorts").build(tmp_path, 3)
    told = script("report").measure(tmp_path / "out")
    assert (told["cases"], told["pictures"]) == (3, 3)
    assert {"all measures, first time, s", "report, MB", "csv, s"} <= set(told)
