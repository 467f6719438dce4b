"""Runs over series with several volumes: what is stored, that it is found again, and what a plan says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import MRImageStorage
from support.cohorts import run
from support.dicom_series import write_series
from support.mosaics import voxels, write_mosaics

import gpuprep
from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.planning.preview import preview_cohort
from gpuprep.values.errors import UsageError
from gpuprep.viewing.source_volume import read_source
from gpuprep.viewing.subject import inspect_path

pytestmark = pytest.mark.usefixtures("reads_here")

HEIGHTS = [0.0, 2.0, 4.0, 6.0, 8.0]
MR = {"SOPClassUID": MRImageStorage, "Modality": "MR"}


def config(several: str) -> dict[str, Any]:
    return {
        "input": {"several_volumes": several},
        "image": {"orientation": "keep"},
        "store": {"dtype": "float32"},
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two time points of mosaics; and of slices, with a rescale line each."""
    root = tmp_path / "in"
    root.mkdir()
    write_mosaics(root / "bold", 2, SeriesInstanceUID="1.2.2")
    write_series(
        root / "perf", HEIGHTS * 2, SeriesInstanceUID="1.2.1",
        RescaleSlope=lambda n: 1 + n // 5, RescaleIntercept=lambda n: -(n // 5), **MR,
    )  # fmt: skip
    return root


def first_column(array: Any) -> list[float]:
    return np.asarray(array)[..., 0, 0].astype(float).tolist()


def test_channels_are_stored_in_order_under_their_names(source, tmp_path):
    report = run(source, tmp_path / "out", config("channels"))
    assert report.finished.done == 2
    cohort = gpuprep.open(tmp_path / "out")
    assert cohort.agreement.channels == ("t0", "t1")
    np.testing.assert_array_equal(cohort["bold"].image, [voxels(0), voxels(1)])
    lines = [[100 * n for n in range(5)], [200 * n - 1 for n in range(5, 10)]]
    assert first_column(cohort["perf"].image) == lines
    assert run(source, tmp_path / "out", config("channels")).finished.skipped == 2


def test_cases_are_stored_each_from_its_own_files_and_found_again(source, tmp_path):
    assert run(source, tmp_path / "out", config("cases")).finished.done == 4
    cohort = gpuprep.open(tmp_path / "out")
    assert list(cohort) == ["bold_t0", "bold_t1", "perf_t0", "perf_t1"]
    assert first_column(cohort["perf_t1"].image) == [200 * n - 1 for n in range(5, 10)]
    assert cohort["perf_t1"].record["attributes"]["volume"] == "t1"
    read = [Path(row["path"]).name for row in cohort["perf_t1"].record["source"]]
    assert sorted(read) == [f"{n}.dcm" for n in range(90, 95)]
    again = run(source, tmp_path / "out", config("cases"), only=["*_t1"])
    assert (again.finished.done, again.finished.skipped) == (0, 2)
    assert run(source, tmp_path / "out", config("cases")).finished.skipped == 4
    with pytest.raises(UsageError, match="another config"):
        run(source, tmp_path / "out", config("first"))


def test_the_config_calls_channels_otherwise_and_counts_them(source, tmp_path):
    asked = config("channels")
    asked["input"]["channels"] = ["pre", "post"]
    assert run(source, tmp_path / "out", asked).finished.done == 2
    cohort = gpuprep.open(tmp_path / "out")
    assert cohort["bold"].record["channels"] == ["pre", "post"]
    np.testing.assert_array_equal(cohort["bold"].image, [voxels(0), voxels(1)])
    asked["input"]["channels"] = ["pre", "post", "late"]
    assert run(source, tmp_path / "other", asked).finished.failed == 2


def test_a_manifest_has_the_same_channels_with_and_without_a_name_of_its_own(source, tmp_path):
    (source / "m.csv").write_text("case_id,image\na,bold\nb,perf\n")
    (source / "n.csv").write_text("case_id,image_MR\na,bold\nb,perf\n")
    for name, channels in (("m", ("t0", "t1")), ("n", ("MR t0", "MR t1"))):
        out = tmp_path / name
        report = run(source / f"{name}.csv", out, config("channels")).finished
        assert (report.done, report.failed) == (2, 0)
        cohort = gpuprep.open(out)
        assert cohort["a"].record["channels"] == list(channels)
        np.testing.assert_array_equal(cohort["a"].image, [voxels(0), voxels(1)])


def test_the_first_is_stored_and_found_again(source, tmp_path):
    for done, skipped in ((2, 0), (0, 2)):
        finished = run(source, tmp_path / "out", config("first")).finished
        assert (finished.done, finished.skipped) == (done, skipped)
    assert first_column(gpuprep.open(tmp_path / "out")["perf"].image) == [0, 100, 200, 300, 400]


def test_a_series_of_which_the_largest_volume_was_kept_is_not_done_again(source, tmp_path):
    """Its files are those of all volumes, which were read as far as it takes to choose."""
    settings = {"input": {"policy": {"E_MIXED_SERIES": "fix", "E_MIXED_RESCALE": "warn"}}}
    assert run(source, tmp_path / "out", settings).finished.done == 2
    assert run(source, tmp_path / "out", settings).finished.skipped == 2


@pytest.mark.parametrize("several", ["refuse", "channels", "cases", "first"])
def test_a_plan_says_what_a_run_will_do(source, tmp_path, several):
    found = preview_cohort(source, parse_config(config(several)))
    report = run(source, tmp_path / "out", config(several)).finished
    assert (found.cases_to_do, found.cases_refused) == (report.done, report.failed)
    assert [row.case_id for row in found.projections] == list(gpuprep.open(tmp_path / "out"))


@pytest.mark.parametrize("several", ["channels", "cases", "first"])
def test_the_source_of_a_stored_volume_is_read_again(source, tmp_path, several):
    """Though viewing knows no more than the record."""
    run(source, tmp_path / "out", config(several))
    for case in gpuprep.open(tmp_path / "out").values():
        found = read_source(case.record, Config())
        np.testing.assert_array_equal(np.squeeze(found.channels), np.squeeze(case.image))


def test_inspect_shows_the_channels_or_says_which_cases_there_are(source):
    seen = inspect_path(source / "perf", parse_config(config("channels")))
    assert [channel.name for channel in seen.channels] == ["t0", "t1"]
    assert len(inspect_path(source / "perf", parse_config(config("first"))).channels) == 1
    with pytest.raises(UsageError, match=r"2 cases \(perf_t0, perf_t1\)"):
        inspect_path(source / "perf", parse_config(config("cases")))
    refused = inspect_path(source / "perf", parse_config(config("refuse"))).failure
    assert refused is not None
    assert "volumes: t0, t1" in refused.advice
