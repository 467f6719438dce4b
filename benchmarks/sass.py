"""A kernel's machine code: what ptxas says of it, its instructions, basic blocks and loops; without a GPU.

``nvdisasm`` (``pip install nvidia-cuda-nvdisasm``, or a CUDA toolkit's) turns the binary that the loader
loads into a listing. It is cut in basic blocks, and loops are found by their backward branches.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gpuprep.kernels.compiler import compile_text, read_source

_SECTION = re.compile(r"^\s*\.section\s+\.text\.(\w+),", re.MULTILINE)
_LINE = re.compile(r"^(?:(\.L\w+):|\s+/\*[0-9a-f]{4,}\*/\s+(.*?)\s*;)", re.MULTILINE)
# some branches are written as calls of a label
_BRANCH = re.compile(r"^(@\S+ )?(?:BRA|CALL)\S* (.*?)`\((\.L\w+)\)")
_ENTRY = re.compile(
    r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, "
    r"(\d+) bytes spill loads.*?Used (\d+) registers",
    re.DOTALL,
)


def disassembler() -> str:
    """The path of nvdisasm, from a wheel or a toolkit; empty where there is none."""
    packages = Path(sysconfig.get_path("purelib"))
    wheels = sorted(packages.glob("nvidia/*/bin/nvdisasm"))
    found = shutil.which("nvdisasm") or shutil.which("nvdisasm", path="/usr/local/cuda/bin")
    return str(wheels[-1]) if wheels else found or ""


@dataclass(frozen=True)
class Kernel:
    """A kernel's machine code: what ptxas says of it, and its instructions between labels."""

    name: str
    registers: int
    spilled: int
    lines: tuple[tuple[str, str], ...]  # (label, "") or ("", instruction)

    @property
    def instructions(self) -> list[str]:
        return [text for _, text in self.lines if text]


class Usage(NamedTuple):
    """What a kernel takes; spilled bytes are those of the stack, too."""

    registers: int
    spilled: int


@cache
def compiled(source: str, architecture: int) -> tuple[bytes, dict[str, Usage]]:
    """A source as the loader's compiler makes it for an architecture, and what ptxas says of each kernel."""
    target = f"sm_{architecture}"
    binary, log = compile_text(read_source(source), f"{source}.cu", target, "-Xptxas=-v")
    used = {
        name: Usage(int(registers), sum(map(int, bytes_spilled)))
        for name, *bytes_spilled, registers in _ENTRY.findall(log)
    }
    return binary, used


@cache
def kernels(source: str, architecture: int) -> dict[str, Kernel]:
    """Every kernel of a source for an architecture."""
    binary, used = compiled(source, architecture)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        command = [disassembler(), "-c", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    parts = _SECTION.split(text)[1:]
    return {
        name: Kernel(name, *used[name], lines_of(part))
        for name, part in zip(parts[::2], parts[1::2], strict=True)
        if name in used
    }


def lines_of(listing: str) -> tuple[tuple[str, str], ...]:
    """Labels and instructions of a listing, in order."""
    return tuple(_LINE.findall(listing))


def opcode(instruction: str) -> str:
    """``LDG.E.U16.CONSTANT`` of ``@P0 LDG.E.U16.CONSTANT R1, …``."""
    return re.sub(r"^@\S+ ", "", instruction).split()[0]


@dataclass(eq=False)
class Block:
    """Instructions that run together, and where they go on: a conditional branch goes on in two places."""

    texts: list[str] = field(default_factory=list)
    to: list[int] = field(default_factory=list)

    @property
    def mix(self) -> Counter[str]:
        return Counter(opcode(text) for text in self.texts if not text.startswith("NOP"))


@dataclass(eq=False)
class Loop:
    """Blocks from a header back to it; ``mix`` counts what one turn holds."""

    header: int
    blocks: set[int]
    mix: Counter[str]
    inside: list[Loop] = field(default_factory=list)

    def holds(self, pattern: str) -> bool:
        return matching(self.mix, pattern) > 0


def matching(mix: Counter[str], pattern: str) -> float:
    """How many instructions' opcodes begin with a pattern."""
    return sum(count for name, count in mix.items() if re.match(pattern, name))


def blocks_of(kernel: Kernel) -> list[Block]:
    """The basic blocks in the order of the listing."""
    blocks: list[Block] = []
    labels: dict[str, int] = {}
    falls, fresh = False, True  # the last block goes on to the next; the next begins here
    targets: list[tuple[int, str]] = []
    for label, text in kernel.lines:
        if label:
            labels[label], fresh = len(blocks), True
            continue
        if fresh:
            if falls:
                blocks[-1].to.append(len(blocks))
            blocks.append(Block())
            falls, fresh = True, False
        blocks[-1].texts.append(text)
        branch = _BRANCH.match(text)
        if branch and ".DIV" not in text:
            falls, fresh = bool(branch[1] or branch[2]), True
            targets.append((len(blocks) - 1, branch[3]))
        elif re.match(r"EXIT|RET", text):
            falls, fresh = False, True
    for number, label in targets:
        if labels.get(label, len(blocks)) < len(blocks):
            blocks[number].to.append(labels[label])
    return blocks


def loops_of(blocks: list[Block]) -> list[Loop]:
    """The loops, outer ones first: a header that every way to its end passes, and what lies between."""
    reach = _reachable(blocks, 0)
    headers: dict[int, set[int]] = {}
    for number in reach:
        for to in blocks[number].to:
            if to <= number and number not in _reachable(blocks, 0, without=to):
                headers.setdefault(to, set()).update(_between(blocks, to, number) & reach)
    found = []
    for header, body in headers.items():
        mix = sum((blocks[number].mix for number in body), Counter())
        found.append(Loop(header, body, mix))
    for loop in found:
        loop.inside = [other for other in found if other.blocks < loop.blocks]
    return sorted(found, key=lambda loop: loop.header)


def _reachable(blocks: list[Block], start: int, without: int = -1) -> set[int]:
    seen, waiting = set(), [start]
    while waiting:
        number = waiting.pop()
        if number != without and number not in seen:
            seen.add(number)
            waiting += blocks[number].to
    return seen


def _between(blocks: list[Block], header: int, end: int) -> set[int]:
    """Blocks from which ``end`` is reached without passing the header, and both."""
    before: dict[int, list[int]] = {}
    for number, block in enumerate(blocks):
        for to in block.to:
            before.setdefault(to, []).append(number)
    seen, waiting = {header}, [end]
    while waiting:
        number = waiting.pop()
        if number not in seen:
            seen.add(number)
            waiting += before.get(number, [])
    return seen
