"""The commands as a user types them: output, exit codes, JSON, messages without tracebacks."""

import json
import subprocess
import sys

import numpy as np
import pytest
from support.cohorts import write_pair
from support.commands import call, call_apart

import gpuprep

pytestmark = pytest.mark.usefixtures("reads_here")


def test_version():
    assert call_apart("--version", check=0).stdout.strip() == f"gpuprep {gpuprep.__version__}"


def test_run_resume_verify_and_damage(cohort_folder, tmp_path):
    out = tmp_path / "out"
    first = call_apart("run", cohort_folder, out, "--workers", 2, check=0).stdout
    assert "4 done" in first
    assert first.count("done ") >= 4
    again = call("run", cohort_folder, out, "--workers", 2, check=0).stdout
    assert "4 already done" in again
    assert "0 problems" in call("verify", out, "--full", check=0).stdout
    shard = out / "cases" / "volume-0.zarr" / "0" / "c.0.0.0"
    flipped = bytearray(shard.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    shard.write_bytes(flipped)
    assert "volume-0" in call("verify", out, "--full", check=1).stdout
    call("verify", out, check=0)
    shard.write_bytes(flipped[:-100])
    assert "volume-0" in call("verify", out, check=1).stdout
    shard.unlink()
    assert "volume-0" in call("verify", out, check=1).stdout


def test_json_is_clean_on_stdout(cohort_folder, tmp_path):
    (cohort_folder / "volume-3.nii.gz").write_bytes(b"not gzip")
    words = ("run", cohort_folder, tmp_path / "out", "--scheduler", "serial", "--json")
    done = call_apart(*words, check=1)
    report = json.loads(done.stdout)
    assert (report["done"], report["failed"], report["exit_code"]) == (3, 1, 1)
    assert report["failures"][0]["case"] == "volume-3"
    assert report["failures"][0]["advice"]
    assert "volume-3" in done.stderr


def test_plan_writes_nothing_and_says_what_would_be_done(cohort_folder, tmp_path):
    options = ("--set", "image.resample.spacing=[1,1,2]")
    done = call("plan", cohort_folder, *options, "--json", check=0)
    plan = json.loads(done.stdout)
    assert plan["layout"] == "lits"
    first = plan["cases"][0]
    assert first["source"]["shape"] == [20, 36, 40]
    assert first["output"]["shape"] == [16, 29, 32]
    assert first["peak_bytes"] > first["bytes_out"] > 16 * 29 * 32
    table = call("plan", cohort_folder, *options, check=0).stdout
    assert "32×29×16" in table
    dry = call("run", cohort_folder, tmp_path / "out", *options, "--dry-run", check=0).stdout
    assert "4 cases to do" in dry
    assert not (tmp_path / "out").exists()


def test_plan_refuses_what_a_run_would_refuse(cohort_folder):
    (cohort_folder / "volume-2.nii.gz").write_bytes(b"")
    done = call("plan", cohort_folder, check=1)
    assert "refused volume-2" in done.stdout
    tight = call("plan", cohort_folder, "--set", "input.limits.voxels=1000", check=1)
    assert "E_LIMIT" in tight.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("run", "IN"),
        ("run", "nowhere", "OUT"),
        ("run", "IN", "OUT", "--backend", "tpu"),
        ("run", "IN", "OUT", "--config", "nowhere.yaml"),
        ("run", "IN", "OUT", "--set", "image.oriantation=RAS"),
        ("run", "IN", "OUT", "--scheduler", "moon"),
        ("run", "IN", "IN/out"),
        ("verify", "IN"),
        ("nonsense",),
        ("config", "check", "nowhere.yaml"),
    ],
    ids=" ".join,
)
def test_usage_errors_exit_with_2_and_start_nothing(cohort_folder, tmp_path, words):
    words = [word.replace("IN", str(cohort_folder)) for word in words]
    done = call(*[word.replace("OUT", str(tmp_path / "out")) for word in words], check=2)
    assert done.stderr
    assert not (tmp_path / "out").exists()


def test_cupy_without_a_gpu_says_what_is_missing(cohort_folder, tmp_path):
    from gpuprep.host.backend import cupy_missing

    if not cupy_missing():
        pytest.skip("a usable GPU is here")
    done = call("run", cohort_folder, tmp_path / "out", "--backend", "cupy", check=2)
    assert cupy_missing() in done.stderr.replace("\n", " ")
    auto = call("run", cohort_folder, tmp_path / "out", "--scheduler", "serial", check=0)
    assert auto.stdout.count("using NumPy") == 1


def test_limit_and_overwrite(cohort_folder, tmp_path):
    options = (cohort_folder, tmp_path / "out", "--scheduler", "serial")
    assert "2 done" in call("run", *options, "--limit", 2, check=0).stdout
    assert "2 done, 2 already done" in call("run", *options, check=0).stdout
    assert "4 done" in call("run", *options, "--overwrite", check=0).stdout


def test_config_commands(tmp_path):
    schema = json.loads(call("config", "schema", check=0).stdout)
    assert schema["title"] == "Config"
    shown = call("config", "show", check=0).stdout
    (tmp_path / "shown.yaml").write_text(shown)
    assert "valid" in call("config", "check", tmp_path / "shown.yaml", check=0).stdout
    assert shown == call("config", "show", tmp_path / "shown.yaml", check=0).stdout


def test_doctor_reports_versions_and_a_working_round_trip():
    checks = json.loads(call("doctor", "--json", check=0).stdout)
    states = {check["name"]: check["state"] for check in checks}
    assert states["self-test"] == "ok"
    assert states["SimpleITK"] == "ok"


def test_unmatched_files_are_reported(cohort_folder, tmp_path):
    (cohort_folder / "segmentation-0.nii.gz").rename(cohort_folder / "segmentation-77.nii.gz")
    done = call("run", cohort_folder, tmp_path / "out", "--scheduler", "serial", check=0)
    assert "segmentation-77" in done.stdout
    assert "no case" in done.stdout


def test_verbose_shows_where_a_bug_is(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gpuprep.cli.app", "-v", "verify", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_a_process_of_its_own_says_what_this_one_says(tmp_path):
    """So the other tests may call the command here: output, notes, advice and exit code are the same."""
    for words in (("verify", tmp_path), ("config", "show"), ("run",), ("guide", "confg", "--json")):
        here, apart = call(*words), call_apart(*words)
        assert (here.returncode, here.stdout) == (apart.returncode, apart.stdout)
        assert here.stderr == apart.stderr.replace("python -m gpuprep.cli.app", "gpuprep")


def test_read_back_from_python(cohort_folder, tmp_path):
    write_pair(cohort_folder, 11)
    call("run", cohort_folder, tmp_path / "out", "--scheduler", "serial", check=0)
    cohort = gpuprep.open(tmp_path / "out")
    assert list(cohort)[-1] == "volume-11"
    patch = cohort["volume-11"].image[2:10, 3:30, 5:17]
    assert isinstance(patch, np.ndarray)
    assert patch.shape == (8, 27, 12)
