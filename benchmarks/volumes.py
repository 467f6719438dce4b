"""One volume after another through ``/v1/process``: by path, by upload, and when the line is full.

    python benchmarks/volumes.py URL --token TOKEN --root NAME --path brain.nii.gz --file brain.nii.gz

The functions take any httpx client of a service, so that other benchmarks may call them. Milliseconds are
those of the client, from its request to the last byte of the answer.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx
import numpy as np

ROUNDS = 50
Ask = Callable[[httpx.Client], httpx.Response]


def by_path(root: str, path: str, **query: str) -> Ask:
    """A request for a file that lies in a root."""
    body = {"root": root, "path": path}
    return lambda client: client.post("/v1/process", params=query, json=body)


def by_upload(file: Path, **query: str) -> Ask:
    """A request that brings its file."""
    content, given = file.read_bytes(), {"name": file.name, **query}
    return lambda client: client.post("/v1/process", params=given, content=content)


def volumes(client: httpx.Client, ask: Ask, rounds: int = ROUNDS) -> dict[str, float]:
    """Milliseconds of a volume (p50, p99), and the median of each stage that the service tells."""
    ask(client).raise_for_status()  # the first may find libraries not loaded
    seconds, stages = [], defaultdict(list)
    for _ in range(rounds):
        began = time.perf_counter()
        answer = ask(client).raise_for_status()
        seconds.append(time.perf_counter() - began)
        for name, spent in stages_of(answer).items():
            stages[name].append(spent)
    told = {f"p{q}": round(float(np.percentile(seconds, q)) * 1000, 1) for q in (50, 99)}
    return told | {name: round(median(each), 1) for name, each in stages.items()}


def stages_of(answer: httpx.Response) -> dict[str, float]:
    """Milliseconds by stage, as ``Server-Timing`` has them."""
    parts = (part.split(";dur=") for part in answer.headers["Server-Timing"].split(", "))
    return {name: float(spent) for name, spent in parts}


def refusals(client: httpx.Client, ask: Ask, crowd: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Milliseconds until who finds the line full is told (p50, p99, max), with a crowd that keeps it full."""
    seconds: list[float] = []
    deadline = time.monotonic() + 60
    with crowded(client, ask, crowd):
        while len(seconds) < rounds and time.monotonic() < deadline:
            began = time.perf_counter()
            answer = ask(client)
            if answer.status_code == 503:
                seconds.append(time.perf_counter() - began)
    if not seconds:
        raise SystemExit(f"a crowd of {crowd} never filled the line")
    quantiles = {f"p{q}": float(np.percentile(seconds, q)) for q in (50, 99)}
    told = {**quantiles, "max": max(seconds)}
    return {name: round(value * 1000, 1) for name, value in told.items()}


@contextmanager
def crowded(client: httpx.Client, ask: Ask, crowd: int) -> Iterator[None]:
    """A block in which so many clients ask again and again, and come back as they are told to."""
    over = threading.Event()

    def one() -> None:
        with httpx.Client(base_url=client.base_url, headers=client.headers, timeout=600) as own:
            while not over.is_set():
                answer = ask(own)
                if answer.status_code == 503:
                    over.wait(0.05)

    threads = [threading.Thread(target=one) for _ in range(crowd)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--token", default="")
    parser.add_argument("--root", required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--crowd", type=int, default=12)
    options = parser.parse_args()
    headers = {"Authorization": f"Bearer {options.token}"} if options.token else {}
    named, sent = by_path(options.root, options.path), by_upload(options.file)
    with httpx.Client(base_url=options.url, headers=headers, timeout=600) as client:
        told = {
            "by path, ms": volumes(client, named),
            "by upload, ms": volumes(client, sent),
            "refused, ms": refusals(client, named, options.crowd),
        }
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
