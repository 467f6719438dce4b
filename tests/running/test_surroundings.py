"""Places where a run has less than it is used to: no folder for temporary files."""

import os
import subprocess
import sys

import pytest
from support.cohorts import contents

NOWHERE = 77
READ_ONLY = """
mount --make-rprivate / && mount --bind "$1" "$1" || exit 77
for each in / $(awk '{print $2}' /proc/self/mounts); do
  case $each in /proc*|/sys*|/dev*|"$1"*) ;; *) mount -o remount,bind,ro "$each" || exit 77 ;; esac
done
touch /tmp/x 2>/dev/null && exit 77
unset TMPDIR HOME; cd /; shift; exec "$@"
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
