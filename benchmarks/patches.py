"""Random patches for training: gpuprep's store beside nnU-Net's, MONAI's, ``.npy``, zarr-python, tensorstore.

    python benchmarks/patches.py --scans FOLDER [--peers-python PYTHON] [--rounds 3] [--patches 24]

The scans of ``scans.py``, normalised. Each is saved by every store with a label, then cubes of 64, 96 and 128
voxels of the image are read at random places, the same for all. Every measurement is a fresh
process, held to one core with libraries at one thread; the stores take turns, and the least CPU time of
the rounds counts, user and system. ``cold`` is wall time with the image's file dropped from the page cache
before each round; ``by 2`` is how many patches two processes read in a second, ``loader`` how many of 96³
PyTorch's DataLoader gives with two forked workers (where torch is installed). Bytes are of the image's file.

nnU-Net keeps its array open here; ``nnU-Net per patch`` loads the case for each patch, as its data loader
does. gpuprep checks a CRC32C of every chunk at every read, unless its row says ``first``.

``--peers-python`` is an interpreter with nnunetv2 and torch; a store that lacks its library is left out,
and the reason is printed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from patch_stores import ABSENT
from scans import scans
from timing import ROOT, machine, threads_environment, versions

RESULT = Path(__file__).parent / "results" / "patches.json"
PACKAGES = ("numpy", "numcodecs", "zarr", "tensorstore", "blosc2", "nnunetv2", "torch")
EDGES = (64, 96, 128)


class Absent(Exception):
    """A store that cannot run here; the message says what is missing."""


@dataclass(frozen=True)
class Candidate:
    """One store with its options, and the dtype it holds."""

    name: str
    store: str
    dtype: str
    options: dict[str, str] = field(default_factory=dict)
    foreign: bool = False
    """Whether its libraries are those of ``--peers-python``."""


REFERENCE = Candidate("nnU-Net", "Nnunet", "float32", foreign=True)
CANDIDATES = (
    REFERENCE,
    Candidate("nnU-Net per patch", "NnunetPerPatch", "float32", foreign=True),
    Candidate("nnU-Net", "Nnunet", "float16", foreign=True),
    Candidate("nnU-Net", "Nnunet", "int16", foreign=True),
    Candidate("gpuprep balanced", "Gpuprep", "float16"),
    Candidate("gpuprep balanced, first", "Gpuprep", "float16", {"crc": "first"}),
    Candidate("gpuprep balanced", "Gpuprep", "int16"),
    Candidate("gpuprep balanced", "Gpuprep", "float32"),
    Candidate("gpuprep fast", "Gpuprep", "float16", {"codec": "fast"}),
    Candidate("gpuprep dense", "Gpuprep", "float16", {"codec": "dense"}),
    Candidate("zarr-python", "ZarrPython", "float16"),
    Candidate("tensorstore", "Tensorstore", "float16"),
    Candidate("npy, mapped", "Npy", "float16"),
    Candidate("torch.load (MONAI)", "Persistent", "float32", foreign=True),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", type=Path, required=True)
    parser.add_argument("--peers-python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--patches", type=int, default=24)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    record: dict[str, Any] = {
        "machine": machine(),
        "versions": {**versions_of(arguments.peers_python), **versions(*PACKAGES)},
        "rows": [],
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gpuprep-patches-") as name:
        for volume in volumes(arguments.scans, Path(name)):
            record["rows"] += Bench(volume, Path(name, volume.stem), arguments).rows(CANDIDATES)
            arguments.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
            print(f"\nwrote {arguments.out}", flush=True)


def volumes(folder: Path, target: Path) -> Iterator[Path]:
    """The scans as normal scores, float32, each a ``.npy`` named after what it is."""
    for scan in scans(folder):
        path = target / f"{scan.name} {'×'.join(map(str, scan.voxels.shape))}.npy"
        np.save(path, scan.scores)
        yield path


class Bench:
    """All stores on one volume."""

    def __init__(self, volume: Path, folder: Path, arguments: argparse.Namespace) -> None:
        self._volume, self._folder, self._arguments = volume, folder, arguments
        self._shape = np.load(volume, mmap_mode="r").shape
        folder.mkdir()

    def rows(self, candidates: tuple[Candidate, ...]) -> list[dict[str, Any]]:
        """One row per store that can run here, printed beside the reference."""
        found: list[dict[str, Any]] = []
        for number, candidate in enumerate(candidates):
            try:
                found.append(self._saved(candidate, str(number)))
            except Absent as reason:
                print(f"{candidate.name} is left out: {reason}")
        self._read_all(found)
        print(table(found))
        return found

    def _saved(self, candidate: Candidate, folder: str) -> dict[str, Any]:
        """Save as often as there are rounds, each time anew; the least CPU time counts."""
        saves = []
        for round_ in range(self._arguments.rounds):
            name = f"{folder}.{round_}"
            (self._folder / name).mkdir()
            row = {"volume": self._volume.stem, **asdict(candidate), "folder": name}
            saves += self._ask(row, do="save")
        took = min(saves, key=lambda each: each["cpu"])
        voxels = int(np.prod(self._shape))
        return row | {
            "bytes_per_voxel": took["bytes"] / voxels,
            "save_megavoxels_per_cpu_s": voxels / took["cpu"] / 1e6,
            "save_wall_s": took["wall"],
        }

    def _read_all(self, rows: list[dict[str, Any]]) -> None:
        """Each store in turn, warm in every round, then cold, by two processes, and by a DataLoader."""
        for _ in range(self._arguments.rounds):
            for row in rows:
                (found,) = self._ask(row)
                best = row.setdefault("warm", found)
                for edge, key in itertools.product(best, ("cpu_ms", "wall_ms")):
                    best[edge][key] = min(best[edge][key], found[edge][key])
        for row in rows:
            (row["cold"],) = self._ask(row, cold=True)
            both = self._ask(row, processes=2)
            row["patches_per_s_of_two"] = {
                edge: sum(each[edge]["patches_per_s"] for each in both) for edge in row["warm"]
            }
            try:
                (row["loader"],) = self._ask(row, do="load")
            except Absent as reason:
                print(f"{row['name']} is not loaded by PyTorch: {reason}")

    def _ask(
        self, row: dict[str, Any], *, do: str = "read", cold: bool = False, processes: int = 1
    ) -> list[dict[str, Any]]:
        """What processes of one store answer; they begin to read together."""
        request = {
            **{key: row[key] for key in ("store", "dtype", "options")},
            **{"folder": str(self._folder / row["folder"]), "image": str(self._volume)},
            **{"do": do, "cold": cold, "patches": self._arguments.patches},
            "edges": [edge for edge in EDGES if edge <= min(self._shape)],
        }
        python = self._arguments.peers_python if row["foreign"] else sys.executable
        cores = [None] if do == "load" else range(processes)
        asked = [start(python, request | {"seed": core or 0}, core=core) for core in cores]
        if do != "save":
            for process in asked:
                process.stdout.readline()
            for process in asked:
                process.stdin.write("\n")
                process.stdin.flush()
        return [answer(process) for process in asked]


def start(python: str, request: dict[str, Any], *, core: int | None) -> subprocess.Popen[str]:
    """A process that does what ``patch_stores`` is asked, on a core of its own, or on all."""
    cores = sorted(os.sched_getaffinity(0))
    script = Path(__file__).with_name("patch_stores.py")
    environment = {**threads_environment(1), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    pinned = [] if core is None else ["taskset", "-c", str(cores[core % len(cores)])]
    command = [*pinned, python, str(script), json.dumps(request)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, text=True, env=environment, **pipes)


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a process, and give what it found."""
    printed, said = process.communicate()
    if process.returncode == ABSENT:
        raise Absent(said.strip().rpartition("\n")[2])
    if process.returncode:
        raise RuntimeError(said)
    return json.loads(printed.splitlines()[-1])


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text, one line each."""
    edges = list(rows[0]["warm"])
    head = f"\n{rows[0]['volume']}\n{'store':24} {'dtype':8} {'B/voxel':>7} {'save Mvoxel/s':>13}"
    lines = [head + "".join(f" | {edge + '³: CPU ms, cold ms, by 2':>32}" for edge in edges)]
    lines[0] += " | loader"
    for row in rows:
        line = f"{row['name']:24} {row['dtype']:8} {row['bytes_per_voxel']:7.2f} "
        line += f"{row['save_megavoxels_per_cpu_s']:13.1f}"
        for edge in edges:
            warm, cold = row["warm"][edge]["cpu_ms"], row["cold"][edge]["wall_ms"]
            line += f" | {warm:10.2f} {cold:10.2f} {row['patches_per_s_of_two'][edge]:10.0f}"
        line += f" | {row['loader']['patches_per_s']:6.0f}" if "loader" in row else ""
        lines.append(line)
    return "\n".join(lines)


def versions_of(python: str) -> dict[str, str]:
    """The versions that another interpreter has."""
    code = f"import json, timing; print(json.dumps(timing.versions(*{PACKAGES})))"
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([python, "-c", code], capture_output=True, check=True, env=here)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
