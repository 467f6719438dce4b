"""nnU-Net's ``plan_and_preprocess`` beside gpuprep's, from raw files to what a training reads.

    bash benchmarks/nnunet_environment.sh ENVIRONMENT
    python benchmarks/nnunet.py --nnunet-python ENVIRONMENT/bin/python --scans FOLDER --work FOLDER

For each data set (those of ``nnunet_datasets.py``) either tool has an empty ``nnUNet_preprocessed``, the same
cores and as many threads. CPU seconds are those of all processes, memory their proportional set sizes
together. How often raw files are read is counted in a run of its own, since tracing slows: bytes read over
bytes there are, or how often a file is opened where strace is missing. ``--small`` is for tries.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_datasets import DATASETS, make, name_of
from process_tree import Taken, count_reads, measure
from timing import ROOT, machine, threads_environment, versions

RESULT = Path(__file__).parent / "results" / "nnunet.json"
PACKAGES = (
    *("nnunetv2", "torch", "numpy", "scipy", "scikit-image", "SimpleITK", "blosc2"),
    *("batchgenerators", "numcodecs", "dask"),
)
_COLUMNS = (("CPU s", 9), ("wall s", 9), ("peak MB", 9), ("on disk MB", 12))
_LARGE = (
    8 << 20
)  # bytes of a file whose reads are told by themselves: a look at a header takes 1 MB
_ENTRY = "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints"
_THEIRS = f"from {_ENTRY} import plan_and_preprocess_entry as run; run()"


@dataclass(frozen=True)
class Tool:
    """One of the two: how its command begins, and the options that say how many processes it may start."""

    name: str
    command: tuple[str, ...]
    processes: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """What a run works with: folders, cores, and processes of a tool."""

    raw: Path
    work: Path
    cores: tuple[int, ...]
    processes: int

    @property
    def preprocessed(self) -> Path:
        return self.work / "preprocessed"

    def environment(self) -> dict[str, str]:
        """Threads of every library as many as cores, and nnU-Net's three folders."""
        threads = len(self.cores) // self.processes or 1
        folders = {
            "nnUNet_raw": self.raw,
            "nnUNet_preprocessed": self.preprocessed,
            "nnUNet_results": self.work / "results",
        }
        own = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", ""))).rstrip(os.pathsep)
        told = {name: str(folder) for name, folder in folders.items()}
        return {**threads_environment(threads), **told, "PYTHONPATH": own}

    def begin_anew(self) -> None:
        """An empty folder for what is preprocessed."""
        shutil.rmtree(self.preprocessed, ignore_errors=True)
        self.preprocessed.mkdir(parents=True)


def tools(nnunet_python: str) -> list[Tool]:
    ours = (sys.executable, "-m", "gpuprep", "nnunet", "plan-and-preprocess")
    return [
        Tool("nnU-Net", (nnunet_python, "-c", _THEIRS), ("-npfp", "-np")),
        Tool("gpuprep", ours, ("-npfp", "-np")),
    ]


def command_of(tool: Tool, group: Sequence[int], place: Place) -> list[str]:
    limits = (word for option in tool.processes for word in (option, str(place.processes)))
    return [*tool.command, "-d", *map(str, group), *limits]


def title(group: Sequence[int]) -> str:
    """What the data sets of one command are called in the table."""
    return name_of(group[0]) if len(group) == 1 else f"{len(group)} data sets at once"


def raw_files(folder: Path) -> list[Path]:
    """The images and labels of a raw data set."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json")


def run_tool(tool: Tool, group: Sequence[int], place: Place, *, counted: bool) -> dict[str, Any]:
    """One command of a tool on some data sets: the row of the table.

    Raises:
        RuntimeError: it failed.
    """
    place.begin_anew()
    command, environment = command_of(tool, group, place), place.environment()
    taken: Taken = measure(command, environment, place.cores)
    if taken.code:
        raise RuntimeError(f"{tool.name} failed on {title(group)}:\n{taken.output}")
    row = {
        "dataset": title(group),
        "tool": tool.name,
        "cpu_s": round(taken.cpu, 2),
        "wall_s": round(taken.wall, 2),
        "peak_bytes": taken.peak_bytes,
        "disk_bytes": taken.disk_bytes,
        **outcome([place.preprocessed / name_of(number) for number in group]),
    }
    if counted:
        files = [each for number in group for each in raw_files(place.raw / name_of(number))]
        place.begin_anew()
        traces = place.work / "traces"
        reads = count_reads(command, environment, place.cores, files, traces)
        row["opens"] = sum(reads.opens.values()) / len(files)
        row["reads"] = None if reads.times is None else round(reads.times, 2)
        row["whole_reads"] = sorted(reads.whole(_LARGE))
    return row


def outcome(folders: Sequence[Path]) -> dict[str, Any]:
    """What a training finds: files per configuration, and bytes of all of them, a hard link counted once."""
    cases = {
        f"{path.parent.name[7:10]}/{path.name}": len(list(path.glob("*.b2nd")))
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.is_dir() and any(path.glob("*.b2nd"))
    }
    found = (each for folder in folders for each in _stats(folder))
    seen = {(each.st_dev, each.st_ino): each.st_size for each in found}
    return {"files": cases, "bytes": sum(seen.values())}


def _stats(folder: Path) -> Iterator[os.stat_result]:
    return (path.stat() for path in folder.rglob("*") if path.is_file())


def compare(
    groups: Sequence[Sequence[int]], chosen: Sequence[Tool], place: Place, *, counted: bool
) -> Any:
    """The rows, those of each group of data sets after one another, printed as they come."""
    heads = "".join(f"{name:>{width}}" for name, width in _COLUMNS)
    print(f"{'data set':28}{'tool':9}{heads}  reads of raw files")
    for group in groups:
        rows = []
        for tool in chosen:
            rows.append(run_tool(tool, group, place, counted=counted))
            print_row(rows[-1])
        if len(rows) == 2:
            theirs, ours = rows
            for name, of in (("cpu_ratio", "cpu_s"), ("peak_ratio", "peak_bytes")):
                ours[name] = round(theirs[of] / max(ours[of], 1e-3), 1)
            ours["same_files"] = ours["files"] == theirs["files"]
            told = f"CPU {ours['cpu_ratio']}×, memory {ours['peak_ratio']}×"
            print(f"{'':28}{told}" + ("" if ours["same_files"] else ", OTHER FILES"), flush=True)
        yield from rows


def reads_in_words(row: dict[str, Any]) -> str:
    """How often raw files were read: the large ones, or all bytes of small ones with looks at headers."""
    if each := row.get("whole_reads"):
        return "–".join(map(str, dict.fromkeys((each[0], each[-1]))))
    if row.get("reads") is not None:
        return f"{row['reads']:.2f}, headers included"
    return f"opened {row['opens']:.1f} times" if "opens" in row else ""


def print_row(row: dict[str, Any]) -> None:
    print(
        f"{row['dataset']:28}{row['tool']:9}{row['cpu_s']:9.1f}{row['wall_s']:9.1f}"
        f"{row['peak_bytes'] / 1e6:9.0f}{row['bytes'] / 1e6:12.1f}  {reads_in_words(row)}",
        flush=True,
    )


def versions_of(python: str) -> dict[str, str]:
    """The versions that another interpreter has."""
    code = f"import json, timing; print(json.dumps(timing.versions(*{PACKAGES})))"
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([python, "-c", code], capture_output=True, check=True, env=here)
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nnunet-python", default=sys.executable, help="has nnU-Net 2.8.1")
    parser.add_argument(
        "--scans", type=Path, default=Path(os.environ.get("GPUPREP_TEST_DATA", "."))
    )
    parser.add_argument("--work", type=Path, required=True, help="raw data sets there stay")
    parser.add_argument("--datasets", type=int, nargs="+", default=list(DATASETS), metavar="NUMBER")
    parser.add_argument("--together", action="store_true", help="one command for all data sets")
    parser.add_argument("--tools", nargs="+", default=["nnU-Net", "gpuprep"])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--cores", type=int, nargs="+", help="numbers of cores; by default the first two"
    )
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--no-reads", action="store_true", help="do not count reads of raw files")
    parser.add_argument("--json", type=Path, default=RESULT)
    options = parser.parse_args()
    raw = options.work / ("raw-small" if options.small else "raw")
    make(raw, options.scans, options.datasets, small=options.small)
    cores = tuple(options.cores or sorted(os.sched_getaffinity(0))[:2])
    place = Place(raw, options.work, cores, options.processes)
    chosen = [tool for tool in tools(options.nnunet_python) if tool.name in options.tools]
    groups = [options.datasets] if options.together else [[each] for each in options.datasets]
    rows = list(compare(groups, chosen, place, counted=not options.no_reads))
    record = {
        "machine": {**machine(), "cores": len(cores)},
        "versions": {"gpuprep": versions(*PACKAGES), "nnU-Net": versions_of(options.nnunet_python)},
        "processes": options.processes,
        "small": options.small,
        "rows": rows,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(f"wrote {options.json}")


if __name__ == "__main__":
    main()
