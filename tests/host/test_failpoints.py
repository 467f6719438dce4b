"""Failpoints act at the passage and the subject they name, and nowhere where none is armed."""

import errno
import os
import signal
import subprocess
import sys

import pytest

SCRIPT = """
from gpuprep.host.failpoints import failpoint
for number in range(4):
    for case in ("a", "b"):
        print(number, case, flush=True)
        try:
            failpoint("after_record", case)
        except OSError as error:
            print(error.errno, flush=True)
"""


def passages(armed: str, **environment: object) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, **environment, "GPUPREP_FAILPOINTS": armed}
    line = [sys.executable, "-c", SCRIPT]
    return subprocess.run(line, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("armed", ["", "before_read=kill", "after_record@c=kill"])
def test_what_is_not_armed_is_passed(armed):
    done = passages(armed)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 8)


def test_a_process_dies_at_its_passage():
    done = passages("after_record@b=kill:3")
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.splitlines()[-1] == "2 b"


def test_an_error_is_raised_each_time():
    done = passages("before_read=kill,after_record@a=raise-EIO")
    assert done.stdout.splitlines().count(str(errno.EIO)) == 4


def test_processes_count_together(tmp_path):
    for _ in range(2):
        assert passages("after_record=kill:20", GPUPREP_FAILPOINTS_COUNTS=tmp_path).returncode == 0
    assert passages("after_record=kill:20", GPUPREP_FAILPOINTS_COUNTS=tmp_path).returncode < 0
