"""Builds the stand-in and runs tests over it: ``python tests/device/cpucuda [pytest arguments]``."""

import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(TESTS)]

from device.cpucuda.archives import NotInstalled  # noqa: E402
from device.cpucuda.build import build  # noqa: E402
from device.cpucuda.machine import environment  # noqa: E402

DEFAULT = ["device", "kernels", "training"]


def main(arguments: list[str]) -> None:
    try:
        folder = build()
    except NotInstalled as error:
        print(f"NOT INSTALLED: {error}; the tests over the CUDA stand-in did not run")
        return
    chosen = list(arguments)
    if "-m" not in chosen:
        chosen += ["-m", "(gpu or cpucuda) and not slow"]
    if not any(Path(each.split("::")[0]).exists() for each in arguments):
        chosen += [str(TESTS / name) for name in DEFAULT]
    command = [sys.executable, "-m", "pytest", *chosen]
    os.execve(sys.executable, command, environment(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
