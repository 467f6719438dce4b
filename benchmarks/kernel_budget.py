"""What the CUDA kernels can reach, worked out from their machine code: no GPU is needed.

    python benchmarks/kernel_budget.py [--out FILE]     needs pip install -e ".[kernels]"

The case is a CT volume of 466×512×512 int16 put on 311×267×267 float16. For each kernel of it, the
instructions that a warp executes are counted in the very binary that the loader loads (``sass.py``), and set
against what a GPU can do: the slowest of memory, issue, arithmetic pipes and L1 is the least time the kernel
takes. Its share of the bound is the time to read the volume and write the result once, divided by that.

Taken for granted: resources overlap perfectly, and enough warps are ready; memory gives 90 % of its rate;
what a kernel reads twice comes from memory once; lanes of a warp agree in branches; L1 and shared memory
return a register of a warp per cycle, two where neighbouring lanes want the same (the weights), without bank
conflicts. **Times are predictions.** A kernel that is twice as slow on a GPU has met something else.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpuprep.ops.axis import AxisWeights, axis_weights
from gpuprep.ops.device.windows import Windows, windows_of
from sass import Kernel, disassembler, kernels, matching, opcode
from timing import machine, versions
from usual_path import UsualPath, Work

SOURCE, TARGET = (466, 512, 512), (311, 267, 267)
INT16, FLOAT16, FLOAT32 = 2, 2, 4
RESULT = Path(__file__).parent / "results" / "kernel_budget.json"
MEMORY_SHARE = 0.9  # of its rate that memory gives to a kernel that only copies


@dataclass(frozen=True)
class Gpu:
    """Rates of NVIDIA's data sheets and white papers; FP64 results per cycle and multiprocessor."""

    name: str
    architecture: int
    multiprocessors: int
    clock: float
    memory: float  # bytes/s
    doubles: int


GPUS = (
    Gpu("A100 SXM 80 GB", 80, 108, 1.41e9, 2.039e12, 32),
    Gpu("H100 SXM", 90, 132, 1.755e9, 3.35e12, 64),
    Gpu("B200 SXM", 100, 148, 1.85e9, 8.0e12, 64),
)

# Cycles that an instruction keeps a pipe of one of a multiprocessor's four schedulers busy: 32 lanes over 32,
# 16 or 4 of the pipe. What is not listed only takes its issue.
PIPES: dict[str, tuple[str, float]] = {
    "fma": (r"FFMA|FADD|FMUL|IMAD|HFMA2", 1.0),
    "alu": (
        r"(U?IADD|U?LOP|U?ISETP|FSETP|U?SEL|FSEL|FMNMX|V?IMNMX|VIADD|SHF|LEA|PRMT|MOV|F2FP|PLOP)",
        2.0,
    ),
    "conversion": (r"I2F|F2I|F2F|MUFU|POPC", 8.0),
}
L1_CYCLES = {"LDG.E.128": 2.0, "128": 4.0, "64": 2.0}  # the first are weights


@dataclass(frozen=True)
class Job:
    """A kernel of the case: how many warps, their loops, and the bytes that memory must move."""

    group: str
    source: str
    kernel: str
    warps: float
    moved: float
    work: tuple[Work, ...]
    outputs: float


def jobs() -> Iterator[Job]:
    """The kernels of the case, with the launches of ``gpuprep.ops.device``."""
    z, *_ = SOURCE
    oz, oy, ox = TARGET
    volume, result = math.prod(SOURCE) * INT16, math.prod(TARGET) * FLOAT16
    warps = math.ceil(ox / 32) * oy * math.ceil(oz / 4)
    yield Job(
        "linear", "linear", "linear_int16_float16", warps, volume + result,
        (Work("STG", 4),), math.prod(TARGET),
    )  # fmt: skip
    slices, rows, columns = (
        windows_of(axis_of(n, m), k) for n, m, k in zip(SOURCE, TARGET, (8, 16, 12), strict=True)
    )
    between = z * oy * columns.blocks * 12 * FLOAT32
    turns = math.ceil(columns.blocks / 8) / 4  # of a block's four warps
    yield Job(
        "cubic", "plane", "plane_pass_int16", z * rows.blocks * 4, volume + between,
        (
            Work("LDG.E.(U|S)16", *(4 * n for n in _runs(rows)), each=(4,)),
            Work("LDS.128", *_runs(columns), each=(1,)),
            Work("STG", turns * 4 * 12 / 4, outer=True),
        ),
        math.prod(TARGET),
    )  # fmt: skip
    each = (16, 32, 16)  # four lines by one group of outputs, two, one
    yield Job(
        "cubic", "resample", "last_pass_float16",
        math.ceil(oy * columns.blocks * 12 / 128) * slices.blocks, between + result,
        (Work("FFMA", *map(math.prod, zip(each, _runs(slices), strict=True)), each=each),), math.prod(TARGET),
    )  # fmt: skip
    for kernel in ("extent_int16", "histogram_int16"):
        yield Job(
            kernel, "statistics", kernel, 1024 * 8, volume,
            _by_chunk("LDG.E.(U|S)16"), math.prod(SOURCE),
        )  # fmt: skip
    yield Job(
        "moments_float32", "statistics", "moments_float32", 1024 * 8, 2 * volume,
        _by_chunk("LDG.E.CONSTANT"), math.prod(SOURCE),
    )  # fmt: skip


def axis_of(n: int, m: int) -> AxisWeights:
    return axis_weights(n, m, n / m, (n / m - 1) / 2, "cubic")


def _runs(windows: Windows) -> list[int]:
    """How many inputs each of ``add_runs``' loops takes, in a block that no border cuts."""
    begin, end = (windows.sizes[name][0].tolist() for name in ("begin", "end"))
    groups = windows.weights.shape[2] // 4
    begin, end = begin[: groups - 1], end[: groups - 1]
    edges = [0, *begin, *end, int(windows.sizes["length"][0])]
    return np.diff(edges).tolist()


def _by_chunk(load: str) -> tuple[Work, Work]:
    """Statistics: 1,024 blocks of eight warps take chunks of 4,096 voxels in turn."""
    return Work(load, 4096 / 32 / 8), Work(load, math.prod(SOURCE) / 32 / 1024 / 8, outer=True)


def executed(job: Job, architecture: int) -> Counter[str]:
    """What a warp of a kernel executes."""
    return UsualPath(kernels(job.source, architecture)[job.kernel], job.work).executed()


def times(job: Job, gpu: Gpu) -> dict[str, float]:
    """Seconds that each of a GPU's resources needs at least."""
    mix = executed(job, gpu.architecture)
    cycles = 4 * gpu.multiprocessors * gpu.clock / job.warps  # of schedulers, for one warp
    found = {"memory": job.moved / (MEMORY_SHARE * gpu.memory), "issue": mix.total() / cycles}
    for pipe, (pattern, busy) in PIPES.items():
        found[pipe] = matching(mix, pattern) * busy / cycles
    found["double"] = matching(mix, "D(ADD|MUL|FMA|SETP)") * 4 * 32 / gpu.doubles / cycles
    found["l1"] = 4 * sum(_l1_cycles(name) * count for name, count in mix.items()) / cycles
    return found


def _l1_cycles(name: str) -> float:
    """Registers of a warp that an access to memory moves, a cycle each."""
    if not name.startswith(("LD", "ST", "ATOM", "RED", "SHFL")) or name.startswith(("LDC", "LDL")):
        return 0.0
    return next((wide for size, wide in L1_CYCLES.items() if size in name), 1.0)


def predictions(gpu: Gpu) -> dict[str, dict[str, Any]]:
    """Per group of kernels that make one result: each kernel's time, and the share of the bound."""
    found: dict[str, dict[str, Any]] = {}
    for job in jobs():
        each = times(job, gpu)
        slowest = max(each, key=lambda name: each[name])
        group = found.setdefault(job.group, {"kernels": {}, "microseconds": 0.0, "share": 0.0})
        group["kernels"][job.kernel] = {
            "instructions_per_output": round(
                executed(job, gpu.architecture).total() * job.warps * 32 / job.outputs, 1
            ),
            "microseconds": {name: round(1e6 * value, 1) for name, value in each.items()},
            "limited_by": slowest,
        }
        group["microseconds"] += 1e6 * each[slowest]
        group["share"] = _bound(job.group, gpu) / group["microseconds"]
    for group in found.values():
        group["microseconds"], group["share"] = (
            round(group["microseconds"], 1),
            round(group["share"], 3),
        )
    return found


def _bound(group: str, gpu: Gpu) -> float:
    """Microseconds to move the volume in, and the result out where it is one."""
    moved = math.prod(SOURCE) * (FLOAT32 if "float32" in group else INT16)
    if group in ("linear", "cubic"):
        moved += math.prod(TARGET) * FLOAT16
    return 1e6 * moved / (MEMORY_SHARE * gpu.memory)


def static(job: Job, architecture: int) -> dict[str, Any]:
    """What can be read off a kernel's code alone."""
    kernel = kernels(job.source, architecture)[job.kernel]
    path = UsualPath(kernel, job.work)
    mix = Counter(opcode(text) for text in kernel.instructions)
    return {
        "registers": kernel.registers,
        "spilled": kernel.spilled,
        "global_loads": {name: n for name, n in sorted(mix.items()) if name.startswith("LDG")},
        "inner_loops": [int(path.turn(loop).total()) for loop in path.innermost()],
    }


def flushes(kernel: Kernel) -> list[str]:
    """Instructions that would take subnormal numbers for zero, but for those of integer divisions."""
    found = [text for text in kernel.instructions if ".FTZ" in text]
    return [text for text in found if not opcode(text).startswith("F2I.FTZ.U32.TRUNC.NTZ")]


def report(found: dict[str, Any]) -> str:
    lines = []
    for name, each in found.items():
        lines.append(f"{name}")
        for group, told in each["predicted"].items():
            lines.append(
                f"  {group:18} {told['microseconds']:7.0f} µs  {told['share']:4.0%} of the bound"
            )
            for kernel, one in told["kernels"].items():
                own = each["static"][kernel]
                parts = " ".join(f"{k} {v:.0f}" for k, v in one["microseconds"].items())
                lines.append(
                    f"    {kernel:22} {own['registers']:3} registers, {own['spilled']} spilled, "
                    f"{one['instructions_per_output']:5.1f} instructions an output; {parts}"
                )
    return "\n".join(lines)


def told(gpu: Gpu) -> dict[str, Any]:
    """All there is to say about the case on one GPU."""
    return {
        "static": {job.kernel: static(job, gpu.architecture) for job in jobs()},
        "predicted": predictions(gpu),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    if not disassembler():
        raise SystemExit("nvdisasm is missing: pip install nvidia-cuda-nvdisasm")
    found = {gpu.name: told(gpu) for gpu in GPUS}
    print(report(found))
    record = {
        "machine": machine(),
        "versions": versions("cupy-cuda13x", "nvidia-cuda-nvrtc", "nvidia-cuda-nvdisasm"),
        "gpus": found,
    }
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
