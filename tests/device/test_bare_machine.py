"""A machine with a driver and little else: no CUDA headers, no home, and a device named that is not there."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import gpuprep

pytestmark = pytest.mark.cpucuda

# Hide every folder that CUDA's headers could be taken from, then run what is given.
BARE = """
for folder in /usr/local/cuda* /opt/cuda* "$1"/nvidia/*/include "$1"/nvidia/*/*/include; do
  [ -d "$folder" ] && mount -t tmpfs none "$folder"
done
shift
exec "$@"
"""
CACHES = ("XDG_CACHE_HOME", "GPUPREP_CACHE_DIR", "CUPY_CACHE_DIR", "CUDA_PATH", "CUDA_HOME")
CONFIG = """
image: {resample: {spacing: [1.6, 1.6, 2.0]}, intensity: [{zscore: {}}]}
cuda: {voxels: 0}
store: {chunk: 16, fsync: never}
"""


def bare(*words: str) -> subprocess.CompletedProcess[str]:
    """A command on such a machine."""
    environment = {name: value for name, value in os.environ.items() if name not in CACHES}
    environment |= {"HOME": "/proc/nowhere", "CUDA_VISIBLE_DEVICES": "0,9"}
    line = ["unshare", "-rm", "sh", "-c", BARE, "sh", sysconfig.get_path("purelib"), *words]
    try:
        done = subprocess.run(
            line, capture_output=True, text=True, env=environment, check=False, timeout=240
        )
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if done.stderr.startswith("unshare"):
        pytest.skip(done.stderr.strip())
    return done


def test_no_headers_are_found_there() -> None:
    made = "import cupy; cupy.RawModule(code='extern \"C\" __global__ void k() {}').compile()"
    environment = "import os; os.environ.update(CUPY_CACHE_IN_MEMORY='1', CUPY_CACHE_DIR='/'); "
    done = bare(sys.executable, "-c", environment + made)
    assert "Failed to find CUDA headers" in done.stdout + done.stderr


@pytest.mark.parametrize("scheduler", ["serial", "local"])
def test_a_run_completes_there_with_a_note(
    cohort_folder: Path, tmp_path: Path, scheduler: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    words = ("-m", "gpuprep", "run", str(cohort_folder), str(tmp_path / "out"))
    done = bare(sys.executable, *words, "--config", str(config), "--scheduler", scheduler)
    assert done.returncode == 0, done.stderr
    assert (
        "CUDA_VISIBLE_DEVICES=0,9 names 2 devices, CUDA sees 1 of them" in done.stdout + done.stderr
    )
    cases = gpuprep.open(tmp_path / "out")
    assert len(cases) == 4
    for case in cases.values():
        engine = {"backend": "cupy", "device": "Imaginary", "fallbacks": []}
        assert case.record["engine"] == engine
