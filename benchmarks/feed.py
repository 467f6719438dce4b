"""A training fed by gpuprep: two DDP ranks (gloo) teach a small 3-D U-Net to segment a stored cohort.

    gpuprep demo demo-out && python benchmarks/feed.py demo-out/cohort --out feed.json

Tells, for each rank, samples per second, the time every step waits for its batch, and the mean loss of the
first and the last fifth of the steps. Exit code 1 where the loss did not fall. The first batch, which waits
for the workers to start, is counted on its own. ``--decode cuda`` decodes and trains on a CUDA device; the
cohort must be written with the codec ``gpu``.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gpuprep.store.reader import open_cohort
from gpuprep.training import Foreground, PatchDataset, PatchLoader
from timing import machine, versions

RANKS = 2


class SmallUNet(nn.Module):
    """Two levels, 8 and 16 features; patches need an even number of voxels along every axis."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.fine = _convolutions(channels, 8)
        self.coarse = nn.Sequential(nn.MaxPool3d(2), _convolutions(8, 16))
        self.up = nn.ConvTranspose3d(16, 8, 2, stride=2)
        self.out = nn.Sequential(_convolutions(16, 8), nn.Conv3d(8, classes, 1))

    def forward(self, image: Tensor) -> Tensor:
        fine = self.fine(image)
        return self.out(torch.cat([fine, self.up(self.coarse(fine))], dim=1))


def _convolutions(channels: int, features: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(channels, features, 3, padding=1), nn.InstanceNorm3d(features), nn.LeakyReLU()
    )


def train(rank: int, options: argparse.Namespace, port: int) -> None:
    """What one rank does; rank 0 prints the results of all and judges the loss."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    address = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=RANKS)
    cohort = open_cohort(options.cohort)
    dataset = PatchDataset(
        cohort,
        cases=[case_id for case_id, case in cohort.items() if options.label in case.labels],
        patch=(options.patch,) * 3,
        sampler=Foreground(options.label),
        labels=[options.label],
        samples=options.samples,
    )
    result = _epochs(dataset, options)
    results: list[Any] = [None] * RANKS
    torch.distributed.all_gather_object(results, result)
    gc.collect()  # a model is part of a cycle, and must not outlive the group that it talks through
    torch.distributed.destroy_process_group()
    if rank == 0:
        told = {"machine": machine(), "versions": versions("torch", "numpy")}
        shown = {key: value for key, value in vars(options).items() if key not in ("cohort", "out")}
        told |= {"options": shown, "cases": len(dataset.pool.ids), "ranks": results}
        print(text := json.dumps(told, indent=1))
        if options.out:
            Path(options.out).write_text(text + "\n", "utf-8")
        sys.exit(any(found["loss_last"] >= found["loss_first"] for found in results))


def _epochs(dataset: PatchDataset, options: argparse.Namespace) -> dict[str, Any]:
    image = dataset[0]["image"]
    network = SmallUNet(len(image), options.classes).to(options.decode)
    model = DistributedDataParallel(network)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    loader = PatchLoader(
        dataset,
        batch_size=options.batch,
        workers=options.workers,
        start_method="forkserver",
        decode=options.decode,
    )
    losses, waits, begun = [], [], time.perf_counter()
    for _ in range(options.epochs):
        batches = iter(loader)
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                break
            waits.append(time.perf_counter() - asked)
            losses.append(_step(model, optimizer, batch, options.label))
    seconds = time.perf_counter() - begun - waits[0]
    fifth = max(1, len(losses) // 5)
    return {
        "steps": len(losses),
        "samples_per_second": round((len(losses) - 1) * options.batch / seconds, 2),
        "step_ms": round(1000 * seconds / (len(losses) - 1), 2),
        "waiting_ms": _milliseconds(waits[1:]),
        "waiting_share": round(sum(waits[1:]) / seconds, 4),
        "first_batch_seconds": round(waits[0], 2),
        "loss_first": round(float(np.mean(losses[:fifth])), 4),
        "loss_last": round(float(np.mean(losses[-fifth:])), 4),
    }


def _step(
    model: nn.Module, optimizer: torch.optim.Optimizer, batch: dict[str, Any], label: str
) -> float:
    optimizer.zero_grad()
    scores = model(batch["image"].float())
    loss = nn.functional.cross_entropy(scores, batch["labels"][label].long())
    loss.backward()
    optimizer.step()
    return loss.item()


def _milliseconds(waits: list[float]) -> dict[str, float]:
    of = {"mean": np.mean(waits), "median": np.median(waits), "p95": np.percentile(waits, 95)}
    return {name: round(1000 * float(seconds), 3) for name, seconds in of.items()}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cohort", help="output folder of a run, for example that of 'gpuprep demo'")
    parser.add_argument("--out", default="", help="a JSON file for what is printed")
    parser.add_argument("--label", default="segmentation")
    parser.add_argument("--classes", type=int, default=3, help="the background included")
    parser.add_argument("--patch", type=int, default=32, help="voxels along each axis, even")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--samples", type=int, default=80, help="of an epoch, across ranks")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="of each rank")
    parser.add_argument("--decode", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.multiprocessing.spawn(train, args=(options, _free_port()), nprocs=RANKS)


if __name__ == "__main__":
    main()
