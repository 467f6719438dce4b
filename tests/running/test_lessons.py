"""Faults that attacks on whole runs once found; each must stay mended."""

import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.cohorts import CONFIG, run, write_pair
from support.commands import call

import gpuprep
from gpuprep.config.file import load_config
from gpuprep.store.verify import verify_cohort
from gpuprep.values.errors import ConfigError, UsageError

pytestmark = pytest.mark.usefixtures("reads_here")


def save(path: Path, array, spacing=1.0) -> None:
    path.parent.mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.asarray(array), np.diag([spacing] * 3 + [1.0])), path)


def codes(output: Path) -> set[str]:
    return {f.code for case in gpuprep.open(output).values() for f in case.findings}


def test_a_case_that_cannot_be_measured_has_failed_and_is_not_stored(cohort_folder, tmp_path):
    nothing = np.full((8, 8, 8), np.nan, np.float32)
    save(cohort_folder / "volume-9.nii.gz", nothing)
    config = {"image": {"intensity": [{"zscore": {"over": "cohort"}}]}}
    for done in (4, 0):  # the second run measures again, to the same numbers
        report = run(cohort_folder, tmp_path / "out", config)
        assert [(f.case_id, f.code) for f in report.failures] == [("volume-9", "E_UNREADABLE")]
        assert report.finished.done == done
    assert "volume-9" not in gpuprep.open(tmp_path / "out")
    assert "volume-9" in (tmp_path / "out" / "failures.jsonl").read_text()
    (tmp_path / "only").mkdir()
    save(tmp_path / "only" / "a.nii.gz", nothing)
    assert run(tmp_path / "only", tmp_path / "none", config).exit_code == 1


def test_verify_finds_cases_of_another_config(cohort_folder, tmp_path):
    run(cohort_folder, tmp_path / "out")
    other = {**CONFIG, "store": {"dtype": "float32"}}
    run(cohort_folder, tmp_path / "out", other, overwrite=True, limit=2)
    assert len(verify_cohort(tmp_path / "out")) == 2
    assert run(cohort_folder, tmp_path / "out", other).finished.done == 2
    assert not verify_cohort(tmp_path / "out", full=True)


def test_fractions_in_int16_are_a_finding_and_vanishing_values_an_error(tmp_path):
    ramp = np.linspace(0, 1, 512, dtype=np.float32).reshape(8, 8, 8)
    save(tmp_path / "in" / "a.nii.gz", ramp * 100)
    run(tmp_path / "in", tmp_path / "int16", {"store": {"dtype": "int16"}})
    assert "W_PRECISION" in codes(tmp_path / "int16")
    for dtype, scale in (("float16", 3e-9), ("int16", 1)):
        save(tmp_path / "in" / "a.nii.gz", ramp * np.float32(scale))
        (failure,) = run(
            tmp_path / "in", tmp_path / dtype / "out", {"store": {"dtype": dtype}}
        ).failures
        assert failure.kind == "range"
        assert "float32" in failure.advice


def test_a_crop_margin_is_never_rounded_away(tmp_path):
    array = np.zeros((20, 20, 20), np.int16)
    array[8:12, 8:12, 8:12] = 5
    save(tmp_path / "in" / "a.nii.gz", array, spacing=2.0)
    crop = {"to": "nonzero", "margin": 0.9}
    run(tmp_path / "in", tmp_path / "out", {"image": {"crop": crop}})
    assert gpuprep.open(tmp_path / "out")["a"].image.shape == (6, 6, 6)


@pytest.mark.parametrize("to", ["label", "body", "nonzero"])
def test_nothing_to_crop_to_is_a_finding_that_can_be_an_error(tmp_path, to):
    flat = -1000 if to == "body" else 0
    save(tmp_path / "in" / "a_image.nii.gz", np.full((8, 8, 8), flat, np.int16))
    save(tmp_path / "in" / "a_label.nii.gz", np.zeros((8, 8, 8), np.uint8))
    config = {"image": {"crop": {"to": to}}}
    run(tmp_path / "in", tmp_path / "out", config)
    assert "W_EMPTY_FOREGROUND" in codes(tmp_path / "out")
    strict = {**config, "input": {"policy": {"W_EMPTY_FOREGROUND": "error"}}}
    (failure,) = run(tmp_path / "in", tmp_path / "strict", strict).failures
    assert failure.code == "W_EMPTY_FOREGROUND"


def test_a_header_that_names_itself_as_its_voxels_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "self.mhd").write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementType = MET_UCHAR\n"
        "ElementDataFile = self.mhd\n"
    )
    (failure,) = run(tmp_path / "in", tmp_path / "out").failures
    assert failure.code == "E_UNSAFE_PATH"


@pytest.mark.parametrize(
    "resample",
    [{"spacing": [1, 1, 1]}, {"shape": [300_000_000, 1, 1]}, {"spacing": [1e-320, 1, 1]}],
)
def test_a_small_file_cannot_ask_for_an_endless_grid(tmp_path, resample):
    save(tmp_path / "in" / "a.nii.gz", np.ones((32, 2, 2), np.int16), spacing=1e6)
    config = {
        "image": {"resample": resample},
        "input": {"policy": {"W_SPACING_OUTLIER": "warn"}},
    }
    (failure,) = run(tmp_path / "in", tmp_path / "out", config).failures
    assert failure.code == "E_LIMIT"


def test_numbers_that_lead_nowhere_are_no_bug(tmp_path):
    save(tmp_path / "in" / "a.nii.gz", np.arange(64, dtype=np.int16).reshape(4, 4, 4))
    for number, steps in enumerate(
        (
            [{"multiply": {"by": 1e300}}, {"multiply": {"by": 1e300}}],
            [{"zscore": {"mean": 0, "std": 1e-310}}],
            [{"rescale": {"from": [0, 1e-310], "to": [-1e308, 1e308]}}],
        )
    ):
        config = {"image": {"intensity": steps}, "store": {"dtype": "float32"}}
        (failure,) = run(tmp_path / "in", tmp_path / f"out{number}", config).failures
        assert failure.kind == "range"


def test_a_deleted_shard_is_made_anew(cohort_folder, tmp_path):
    run(cohort_folder, tmp_path / "out")
    next((tmp_path / "out" / "cases" / "volume-2.zarr").rglob("c.0.0.0")).unlink()
    assert run(cohort_folder, tmp_path / "out").finished.done == 1
    assert not verify_cohort(tmp_path / "out", full=True)


def test_foreign_lines_in_the_manifest_do_no_harm(cohort_folder, tmp_path):
    run(cohort_folder, tmp_path / "out")
    with (tmp_path / "out" / "manifest.jsonl").open("a") as lines:
        lines.write('{"x": 1}\nnot json\n')
    assert run(cohort_folder, tmp_path / "out").finished.skipped == 4


def test_a_label_that_lies_elsewhere_is_refused_even_when_fixing(tmp_path):
    write_pair(tmp_path, 0)
    label = nibabel.load(tmp_path / "segmentation-0.nii.gz")
    affine = label.affine.copy()
    affine[0, 3] += 500
    voxels = np.asarray(label.dataobj).copy()
    (tmp_path / "in").mkdir()
    nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "in" / "segmentation-0.nii.gz")
    (tmp_path / "volume-0.nii.gz").rename(tmp_path / "in" / "volume-0.nii.gz")
    config = {"input": {"policy": {"E_SHAPE_MISMATCH": "fix"}}, "store": {"dtype": "int16"}}
    (failure,) = run(tmp_path / "in", tmp_path / "out", config).failures
    assert failure.code == "E_LABEL_LOST"


@pytest.mark.parametrize("value", ["2001-13-45", "[" * 20_000, "9" * 5000])
def test_values_that_break_a_parser_are_config_errors(tmp_path, value):
    (tmp_path / "c.yaml").write_text(f"version: {value}")
    with pytest.raises(ConfigError):
        load_config(tmp_path / "c.yaml")
    with pytest.raises(ConfigError):
        load_config(None, [f"version={value}"])


def test_a_config_is_a_plain_small_file():
    with pytest.raises(ConfigError, match="plain file"):
        load_config("/dev/zero")


def test_absurd_numbers_of_workers_are_refused(cohort_folder, tmp_path):
    with pytest.raises(UsageError, match="per core"):
        run(cohort_folder, tmp_path / "out", scheduler="local", workers=1_000_000)


def test_json_says_why_nothing_was_started(tmp_path):
    done = call("run", tmp_path / "nowhere", tmp_path / "out", "--json", check=2)
    report = json.loads(done.stdout)
    assert report["exit_code"] == 2
    assert "nowhere" in report["error"]


@pytest.mark.parametrize("scheduler", ["serial", "local"])
def test_a_folder_whose_name_is_no_utf8_is_a_folder_like_others(tmp_path, scheduler):
    odd = Path(os.fsdecode(bytes(tmp_path) + b"/r\xff"))
    (odd / "in").mkdir(parents=True)
    for number in range(2):
        write_pair(odd / "in", number)
    (odd / "in" / "volume-1.nii.gz").write_bytes(b"none")
    for done, skipped in ((1, 0), (0, 1)):
        report = run(odd / "in", odd / "out", scheduler=scheduler)
        assert (report.finished.done, report.finished.skipped) == (done, skipped)
        assert report.failures[0].path == f"{odd}/in/volume-1.nii.gz"
    (row,) = map(json.loads, (odd / "out" / "failures.jsonl").read_text("ascii").splitlines())
    assert row["path"] == report.failures[0].path
    assert not verify_cohort(odd / "out", full=True)
