"""SLURM clusters, with a batch system of three small scripts that runs the jobs on this machine."""

import os
import shutil
import signal
from pathlib import Path

import dask
import pytest
from support.runs import wait_until

import gpuprep
from gpuprep.config.cluster import ClusterSpec, Slurm
from gpuprep.executors.clusters import slurm
from gpuprep.values.errors import RunStopped, UsageError

pytest.importorskip("dask_jobqueue", reason="pip install 'gpuprep[slurm]'")

SCRIPTS = {
    # numbers are those of the processes; a job is in the queue while its process lives
    "sbatch": """
        cat >"$JOBS/script.$$"
        run='export SLURM_JOB_ID=$$; exec bash "$0"'
        setsid bash -c "$run" "$JOBS/script.$$" >"$JOBS/log.$$" 2>&1 </dev/null & number=$!
        ln "$JOBS/script.$$" "$JOBS/$number.sh"
        echo "Submitted batch job $number"
    """,
    "squeue": """
        for script in "$JOBS"/*.sh; do
            number=$(basename "$script" .sh)
            if kill -0 "$number" 2>/dev/null; then state=RUNNING; else state=FAILED; fi
            printf "%-24s%-24s%-12s%-120s\n" "$number" "$state" 0 None
        done
    """,
    "scancel": 'for job; do kill -TERM -- "-$job" 2>/dev/null || true; done',
}


@pytest.fixture
def jobs(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "jobs"
    folder.mkdir()
    for name, text in SCRIPTS.items():
        script = folder / name
        script.write_text(f"#!/usr/bin/env bash\n{text}\n")
        script.chmod(0o755)
    monkeypatch.setenv("JOBS", str(folder))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    yield folder
    for script in folder.glob("*.sh"):
        try:
            os.killpg(int(script.stem), signal.SIGKILL)
        except ProcessLookupError:
            continue


@pytest.fixture
def spec() -> ClusterSpec:
    asked = Slurm(walltime="01:00:00", queue="gpu", account="me", interface="lo",
                  directives=("--gres=gpu:1",), prologue=("echo prologue",))  # fmt: skip
    return ClusterSpec(kind="slurm", workers=2, slots=2, threads=8, memory="1GiB", slurm=asked)


def test_the_job_script_asks_for_what_the_config_says(jobs, spec, tmp_path):
    cluster = slurm.SlurmJobs(spec, 300.0, scratch=tmp_path / "scratch")
    client = cluster.open()
    try:
        client.wait_for_workers(1, timeout=60)
        (script,) = (path.read_text() for path in jobs.glob("*.sh"))
    finally:
        cluster.close(kill=True)
    for line in ("-p gpu", "-A me", "--cpus-per-task=8", "--mem=1G", "-t 01:00:00", "--gres=gpu:1"):
        assert f"#SBATCH {line}\n" in script
    assert "\necho prologue\n" in script
    (settings,) = (line for line in script.splitlines() if "DASK_INTERNAL_INHERIT_CONFIG" in line)
    inherited = dask.config.deserialize(settings.partition("=")[2])
    assert inherited["distributed"]["worker"]["memory"]["pause"] is False
    command = script.splitlines()[-1]
    assert "tls://127.0.0.1:" in command
    assert "--nthreads 2" in command
    assert "--name gpuprep-${SLURM_JOB_ID}-${SLURM_RESTART_COUNT:-0} " in command
    assert "--lifetime 3240s --lifetime-stagger 180s" in command
    assert f"--tls-key {tmp_path / 'scratch/tls/key.pem'}" in command
    assert not (tmp_path / "scratch/tls").exists(), "keys outlive the run"


def test_a_run_as_jobs(jobs, spec, cohort_folder, tmp_path):
    config = gpuprep.Config(cluster=spec)
    report = gpuprep.run(cohort_folder, tmp_path / "out", config=config)
    assert report.exit_code == 0
    assert report.finished.done == 4
    assert len(list(jobs.glob("*.sh"))) == 2


def test_a_job_that_is_gone_gets_a_successor(jobs, spec, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "_EVERY_SECONDS", 0.0)
    cluster = slurm.SlurmJobs(spec, 300.0, scratch=tmp_path / "scratch")
    client = cluster.open()
    try:
        client.wait_for_workers(1, timeout=60)
        (first,) = jobs.glob("*.sh")
        cluster.tend()
        assert [*jobs.glob("*.sh")] == [first]
        os.killpg(int(first.stem), signal.SIGKILL)
        wait_until(
            lambda: cluster.tend() or len(list(jobs.glob("*.sh"))) >= 2, "another job was submitted"
        )
        client.wait_for_workers(1, timeout=60)
        assert len(list(jobs.glob("*.sh"))) == 2
    finally:
        cluster.close(kill=True)


def test_jobs_that_end_at_once_stop_the_run(jobs, spec, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "_EVERY_SECONDS", 0.0)
    broken = spec.model_copy(update={"slurm": Slurm(interface="lo", prologue=("exit 1",))})
    cluster = slurm.SlurmJobs(broken, 300.0, scratch=tmp_path / "scratch")
    cluster.open()
    try:
        with pytest.raises(RunStopped, match="no worker came up"):
            wait_until(cluster.tend, "tending has given up")
    finally:
        cluster.close(kill=True)


def test_a_host_without_slurm_says_so(spec, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="no sbatch"):
        slurm.SlurmJobs(spec, 300.0, scratch=tmp_path / "scratch").open()
