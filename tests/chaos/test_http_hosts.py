"""A training on one host from the chunks that another serves, over a link that can be cut."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.hosts import Hosts, hosts
from support.runs import wait_until
from support.stored import store_cohort

from gpuprep.training import Foreground, PatchDataset

pytest.importorskip("obstore")
pytest.importorskip("uvicorn")
pytestmark = pytest.mark.slow

SECRET = "s3cr3t"
SERVE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from gpuprep.service.chunks.routes import chunk_answers, chunk_routes
from gpuprep.store.places import to_place

def place_of(request, cohort):
    if request.headers.get("authorization") != "Bearer s3cr3t":
        raise HTTPException(401)
    return to_place(sys.argv[1]) if cohort == "demo" else None

app = Starlette(routes=chunk_routes(chunk_answers(place_of)))
uvicorn.run(app, host="0.0.0.0", port=8000, lifespan="off", ws="none")
"""
TRAIN = """
import hashlib, sys
import gpuprep
from gpuprep.training import Foreground, PatchDataset

cohort = gpuprep.open(sys.argv[1])
dataset = PatchDataset(cohort, patch=(16, 16, 16), sampler=Foreground("organ"), samples=30, seed=1)
total = hashlib.sha256()
for number, sample in enumerate(dataset):
    if number == 3:
        print("begun", flush=True)
        sys.stdin.readline()
    total.update(sample["image"].tobytes() + sample["labels"]["organ"].tobytes())
print(total.hexdigest())
"""


@pytest.fixture
def two() -> Iterator[Hosts]:
    with hosts("server", "trainer") as made:
        yield made


def expected(root: Path) -> str:
    dataset = PatchDataset(
        root, patch=(16, 16, 16), sampler=Foreground("organ"), samples=30, seed=1
    )
    total = hashlib.sha256()
    for sample in dataset:
        total.update(sample["image"].tobytes() + sample["labels"]["organ"].tobytes())
    return total.hexdigest()


def test_a_training_over_a_link_that_was_cut_is_that_of_the_folder(two, tmp_path):
    root = store_cohort(tmp_path / "out")
    with (tmp_path / "log").open("wb") as log:
        server = two.start("server", sys.executable, "-c", SERVE, str(root), log=log)
        try:
            wait_until(lambda: b"running on" in (tmp_path / "log").read_bytes(), "it serves")
            _train(two, f"http://{two.addresses['server']}:8000/v1/zarr/demo", expected(root))
        finally:
            server.terminate()
            server.wait(30)


def _train(two: Hosts, url: str, digest: str) -> None:
    command = [*two.prefix("trainer"), sys.executable, "-c", TRAIN, url]
    told = {**os.environ, "GPUPREP_TOKEN": SECRET}
    refused = subprocess.run(command, capture_output=True, text=True, env=told, timeout=60)
    assert "anybody on the way could read the token" in refused.stderr
    trainer = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**told, "GPUPREP_ALLOW_HTTP": "true"},
    )
    assert trainer.stdout.readline() == "begun\n"
    two.cut("trainer")
    trainer.stdin.write("\n")
    trainer.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):  # it waits for the link and does not give up
        trainer.wait(2)
    two.join("trainer")
    out, _ = trainer.communicate(timeout=120)
    assert (trainer.returncode, out.strip()) == (0, digest)
