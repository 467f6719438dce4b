"""The gpuprep command: in the process of the test, or in one of its own as a shell starts it."""

import io
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from subprocess import CompletedProcess

import pytest

from gpuprep.cli.app import main
from gpuprep.cli.terminal import session


def call(*words: object, check: int | None = None) -> CompletedProcess[str]:
    """Run a command in this process, which saves half a second; ``check`` is the expected exit code."""
    line = ["gpuprep", *map(str, words)]
    printed, told = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", newline="", write_through=True) for _ in range(2)
    )
    with (
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(),  # main shows ours as notes; pytest would make them errors
        redirect_stdout(printed),
        redirect_stderr(told),
    ):
        warnings.simplefilter("default")
        patch.setattr(session, "json", False)
        patch.setattr(session, "verbose", False)
        patch.setattr(sys, "argv", line)
        patch.setattr(
            sys.modules["__main__"], "__package__", None
        )  # the help takes it for the name
        try:
            code = main()
        except SystemExit as end:
            code = end.code
    out, err = (stream.buffer.getvalue().decode() for stream in (printed, told))
    return _checked(CompletedProcess(line, int(code or 0), out, err), check)


def call_apart(*words: object, check: int | None = None) -> CompletedProcess[str]:
    """The same in a process of its own: for what a start, workers or the end of a process change."""
    done = subprocess.run(
        [sys.executable, "-m", "gpuprep.cli.app", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    return _checked(done, check)


def _checked(done: CompletedProcess[str], check: int | None) -> CompletedProcess[str]:
    if check is not None:
        assert done.returncode == check, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done
