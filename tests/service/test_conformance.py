"""The running service does what its API's description says, whatever it is asked (schemathesis)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.cohorts import write_pair
from support.serving import Served, serving

HERE = Path(__file__).parent / "conformance"
SETTINGS = {
    "limits": {"jobs": 1, "queued": 10},
    "profiles": {"thin": {"config": {"image": {"resample": {"spacing": [2, 2, 2]}}}, "slots": 1}},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Served:
    folder = tmp_path_factory.mktemp("conformance")
    (folder / "data").mkdir()
    for number in range(2):
        write_pair(folder / "data", number)
    with serving(folder / "folder", folder / "data", SETTINGS) as found:
        yield found
        assert "Traceback" not in found.stop()


def conforms(served: Served, folder: Path, examples: int, *options: str) -> str:
    """What schemathesis says; streams are left out, which it would wait for."""
    served.ask()
    line = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", f"{HERE}/schemathesis.toml"),
        *("run", f"{served.url}/openapi.json", "--exclude-path-regex", "events$"),
        *("--header", f"Authorization: Bearer {served.tokens['submit']}"),
        *("--max-examples", str(examples), "--seed", "14", "--suppress-health-check", "all"),
        *("--request-timeout", "60", *options),
    ]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "hooks",
        "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
    }
    told = subprocess.run(
        line, capture_output=True, text=True, cwd=folder, env=environment, check=False, timeout=900
    )
    print(told.stdout)
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


def test_a_few_of_all_requests_are_answered_as_described(served: Served, tmp_path) -> None:
    conforms(served, tmp_path, 3, "--phases", "examples,fuzzing,stateful")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_requests_and_what_follows_from_answers(served: Served, tmp_path) -> None:
    conforms(served, tmp_path, 25)
