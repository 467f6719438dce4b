"""Places where a run has less than it is used to: no folder to write to, no network, no child processes."""

import os
import subprocess
import sys

import pytest
from support.cohorts import contents

from gpuprep.host.backend import choose_backend
from gpuprep.values.errors import BackendError

NOWHERE = 77
READ_ONLY = """
mount --make-rprivate / && mount --bind "$1" "$1" || exit 77
for each in / $(awk '{print $2}' /proc/self/mounts); do
  case $each in /proc*|/sys*|/dev*|"$1"*) ;; *) mount -o remount,bind,ro "$each" || exit 77 ;; esac
done
touch /tmp/x 2>/dev/null && exit 77
unset TMPDIR; export HOME=/nowhere; cd /; shift; exec "$@"
"""


def command(*words):
    return [sys.executable, "-m", "gpuprep.cli.app", *map(str, words)]


def in_read_only_world(writable, *words):
    """A command that may write to one folder alone."""
    line = ["unshare", "-rm", "sh", "-c", READ_ONLY, "sh", str(writable), *command(*words)]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=240, check=False)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if done.returncode == NOWHERE or done.stderr.startswith("unshare"):
        pytest.skip("no namespaces here")
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return done


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["serial", "local"])
def test_a_run_needs_nothing_to_write_to_but_its_output(some, clean, tmp_path, scheduler):
    free = tmp_path / "free"
    free.mkdir()
    spacing = ("--set", "image.resample.spacing=[0.5,0.5,0.6]")
    words = ("run", some, free / "out", "--scheduler", scheduler, "--workers", "2", *spacing)
    done = in_read_only_world(free, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(free / "out") == clean
    assert not list((free / "out" / ".staging").iterdir())
    assert in_read_only_world(free, "plan", some).returncode == 0


def test_a_home_that_cannot_be_written_keeps_nobody_from_numpy(cohort_folder, tmp_path):
    """CuPy makes a folder for compiled kernels when it is imported."""
    pytest.importorskip("cupy")
    words = ("run", cohort_folder, tmp_path / "out", "--scheduler", "serial", "--limit", "1")
    home = {name: text for name, text in os.environ.items() if not name.startswith("CUPY")}
    home["HOME"] = "/proc/nowhere"
    done = subprocess.run(
        command(*words), capture_output=True, text=True, env=home, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


WITHOUT = """
import sys, tempfile
tempfile._candidate_tempdir_list = lambda: ["/nowhere"]
from gpuprep.cli.app import main
sys.argv[0] = "gpuprep"
main()
"""


def test_what_needs_a_temporary_folder_says_how_to_give_one(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
    for words in (
        [
            "scheduler",
            "--set",
            "cluster.kind=existing",
            "--set",
            "cluster.address=tcp://127.0.0.1:9",
        ],
        ["doctor"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT, *words],
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
            check=False,
        )
        assert done.returncode in (1, 2)
        assert "Traceback" not in done.stderr
        assert "set TMPDIR to a folder that can be written" in done.stderr + done.stdout


def in_world_without_network(*words):
    line = ["unshare", "-rn", *command(*words)]
    try:
        done = subprocess.run(line, capture_output=True, text=True, timeout=240, check=False)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if done.stderr.startswith("unshare"):
        pytest.skip("no namespaces here")
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return done


@pytest.mark.slow
def test_without_loopback_this_process_does_the_work_and_says_so(some, clean, tmp_path):
    spacing = ("--set", "image.resample.spacing=[0.5,0.5,0.6]", "--workers", "2")
    done = in_world_without_network("run", some, tmp_path / "out", *spacing)
    assert done.returncode == 0, done.stderr
    assert "in this process: there is no network on 127.0.0.1" in done.stdout
    assert contents(tmp_path / "out") == clean
    refused = in_world_without_network("run", some, tmp_path / "new", "--scheduler", "local")
    assert refused.returncode == 2
    assert "--scheduler serial" in refused.stderr
    assert not (tmp_path / "new").exists()


DAEMONIC = """
import multiprocessing, sys, gpuprep
def job(scheduler):
    told = []
    try:
        report = gpuprep.run(sys.argv[1], sys.argv[2], scheduler=scheduler, listeners=[told.append])
    except gpuprep.GpuprepError as error:
        return f"{error}; {error.advice}"
    notes = [event.message for event in told if hasattr(event, "message")]
    return " ".join([f"{report.finished.done} done", *notes])
if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[3]).Pool(1) as pool:
        for scheduler in ("local", None, "serial"):
            print(pool.apply(job, (scheduler,)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_daemonic_caller_gets_its_cases_or_one_clear_error(some, tmp_path, method):
    script = tmp_path / "pooled.py"
    script.write_text(DAEMONIC)
    line = [sys.executable, str(script), str(some), str(tmp_path / "out"), method]
    done = subprocess.run(line, capture_output=True, text=True, timeout=240, check=True)
    local, default, serial = done.stdout.splitlines()
    assert "daemonic" in local
    assert "--scheduler serial" in local
    assert default.startswith("6 done one case at a time, in this process: this is a daemonic")
    assert serial.startswith("0 done")
    assert "Traceback" not in done.stderr


FORKED = """
import os, sys, numpy, gpuprep
source, output, other, first, second = sys.argv[1:]
gpuprep.run(source, output, scheduler=first, workers=2)
cohort = gpuprep.open(output)
before = numpy.asarray(cohort["volume-0"].image)
child = os.fork()
if child == 0:
    try:
        assert (numpy.asarray(cohort["volume-0"].image) == before).all()
        assert (numpy.asarray(gpuprep.open(output)["volume-0"].image) == before).all()
        report = gpuprep.run(source, other, scheduler=second, workers=2)
        os._exit(0 if report.finished.done == 6 else 1)
    finally:
        os._exit(2)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [("serial", "local"), ("local", "local")])
def test_a_process_that_forks_after_a_run_can_run_again_in_the_child(some, tmp_path, first, second):
    folders = [str(tmp_path / name) for name in ("out", "other")]
    line = [sys.executable, "-c", FORKED, str(some), *folders, first, second]
    done = subprocess.run(line, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "out") == contents(tmp_path / "other")


def test_a_broken_cuda_is_told_and_numpy_does_the_work(monkeypatch):
    """Such as that of a process forked from one that used the device."""

    class Broken:
        class cuda:
            @staticmethod
            def is_available():
                raise RuntimeError("cudaErrorInitializationError: initialization error")

    monkeypatch.setitem(sys.modules, "cupy", Broken)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert "cudaErrorInitializationError" in choose_backend("auto").note
    with pytest.raises(BackendError, match="cannot be used in this process"):
        choose_backend("cupy")
