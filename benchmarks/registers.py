"""What the CUDA kernels take, without a GPU: registers and spills per architecture, bytes that they move.

    python benchmarks/registers.py [--out FILE]        needs NVRTC: pip install -e ".[kernels]"

Registers and spilled bytes are ptxas's, of the largest kernel of each family (one per pair of dtypes).
Bytes are those of a volume of 466×512×512 int16 resampled to 311×267×267 float16: what each pass reads
and writes once, with float32 in between; what a GPU must move at least is the volume in and the result out.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

from gpuprep.kernels.loader import SOURCES
from sass import compiled
from timing import machine, versions

ARCHITECTURES = (80, 86, 90, 100, 120)
SOURCE, TARGET = (466, 512, 512), (311, 267, 267)
INT16, FLOAT16, FLOAT32 = 2, 2, 4
RESULT = Path(__file__).parent / "results" / "registers.json"

_DTYPES = re.compile(r"(_(u?int(8|16|32|64)|float(16|32|64)))+$")

Usage = dict[str, dict[str, int]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    registers: dict[str, dict[str, int]] = {}
    spilled = 0
    for architecture in ARCHITECTURES:
        for name, used in largest(architecture).items():
            registers.setdefault(name, {})[f"sm_{architecture}"] = used["registers"]
            spilled += used["spilled"]
    moved = dict(bytes_moved())
    print(report(registers, moved, spilled))
    record = {
        "machine": machine(),
        "versions": versions("cupy-cuda13x", "nvidia-cuda-nvrtc"),
        "registers": registers,
        "spilled_bytes": spilled,
        "bytes_moved": moved,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(f"wrote {arguments.out}")


def largest(architecture: int) -> Usage:
    """Per family of kernels the registers of the largest, and the bytes all of them spill."""
    found: Usage = {}
    for source in SOURCES:
        for name, used in compiled(source, architecture)[1].items():
            family = found.setdefault(_DTYPES.sub("", name), {"registers": 0, "spilled": 0})
            family["registers"] = max(family["registers"], used.registers)
            family["spilled"] += used.spilled
    return found


def bytes_moved() -> Iterator[tuple[str, int]]:
    """Bytes each way of working on a volume moves, per volume."""
    z, *_ = SOURCE
    _, oy, ox = TARGET
    source, result = math.prod(SOURCE) * INT16, math.prod(TARGET) * FLOAT16
    planes = z * oy * ox * FLOAT32
    yield "at least: volume in, result out", source + result
    yield "linear, one kernel", source + result
    yield "cubic, planes and slices", source + 2 * planes + result
    yield "statistics of the volume", source


def report(registers: dict[str, dict[str, int]], moved: dict[str, int], spilled: int) -> str:
    """The tables for people."""
    names = [f"sm_{architecture}" for architecture in ARCHITECTURES]
    lines = [f"{'registers a thread':22}" + "".join(f"{name:>8}" for name in names)]
    for family, used in sorted(registers.items()):
        lines.append(f"{family:22}" + "".join(f"{used.get(name, 0):8}" for name in names))
    lines.append(f"bytes spilled or on a stack, all kernels: {spilled}")
    lines += [f"{what:34} {size / 1e6:7.0f} MB" for what, size in moved.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
