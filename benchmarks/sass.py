"""What a warp executes of a kernel, read off its machine code: no GPU is needed.

``nvdisasm`` (``pip install nvidia-cuda-nvdisasm``, or a CUDA toolkit's) turns the binary that the loader
loads into a listing. It is cut in basic blocks, loops are found by their backward branches, and what the
usual path executes is added up. How often a loop runs follows from work that the caller knows: "a warp loads
32 voxels in this loop, and one turn holds eight such loads".
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Callable
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


@cache
def kernels(source: str, architecture: int) -> dict[str, Kernel]:
    """Every kernel of a source, as the loader's compiler makes it for an architecture."""
    target = f"sm_{architecture}"
    binary, log = compile_text(read_source(source), f"{source}.cu", target, "-Xptxas=-v")
    used = {name: [int(number) for number in numbers] for name, *numbers in _ENTRY.findall(log)}
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary + b"\0")  # CuPy takes the last byte for a string's end
        file.flush()
        command = [disassembler(), "-c", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    parts = _SECTION.split(text)[1:]
    found = {}
    for name, part in zip(parts[::2], parts[1::2], strict=True):
        if name in used:
            stack, stores, loads, registers = used[name]
            found[name] = Kernel(
                name, registers, stack + stores + loads, tuple(_LINE.findall(part))
            )
    return found


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
    falls, fresh = (
        False,
        True,
    )  # whether the last block goes on to the next, and whether that begins here
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


class Told(NamedTuple):
    """What is known of a loop: so many instructions of a kind in all, and in one turn of the source."""

    marker: str
    total: float
    each: float


class Work:
    """What a warp does in some loops per turn of the loop around them: ``totals`` instructions of a kind.

    Means the innermost loops that hold the ``marker`` (or, with ``outer``, those around others): the first in
    the listing has the first total, and so on; where there are more loops than totals, as in code made twice
    for different steps, totals come again. With ``each``, the instructions of one turn as the source has it,
    loops that were unrolled leave turns to the code behind them.
    """

    def __init__(
        self, marker: str, *totals: float, each: tuple[float, ...] = (), outer: bool = False
    ) -> None:
        self.marker, self.totals, self.each, self.outer = marker, totals, each, outer

    def turns(self, loops: list[Loop]) -> dict[int, Told]:
        """By header what is known of a loop."""
        meant = [
            loop for loop in loops if bool(loop.inside) == self.outer and loop.holds(self.marker)
        ]
        found = {}
        for k, loop in enumerate(meant):
            each = self.each[k % len(self.totals) % len(self.each)] if self.each else 0.0
            found[loop.header] = Told(self.marker, self.totals[k % len(self.totals)], each)
        return found


class UsualPath:
    """The path that most warps take through a kernel.

    Guarded code runs. Of two ways, the one with more of the known work is taken; where both do the same, the
    shorter: the other is for borders, masks, and steps that do more than shift. Calls (divisions of 64 bits)
    are avoided. A loop of known work runs as often as that takes, any other once.
    """

    def __init__(self, kernel: Kernel, work: tuple[Work, ...] = ()) -> None:
        self._blocks = blocks_of(kernel)
        self._loops = loops_of(self._blocks)
        self._markers = [each.marker for each in work]
        self._known: dict[int, Told] = {}
        for each in work:
            self._known = each.turns(self._loops) | self._known

    def executed(self) -> Counter[str]:
        """Opcodes, each as often as a warp executes it (fractions where it is an average)."""
        return self._region(0, set(range(len(self._blocks))), None)

    def turn(self, loop: Loop) -> Counter[str]:
        """What one turn of a loop executes."""
        return self._region(loop.header, loop.blocks, loop.header)

    def innermost(self) -> list[Loop]:
        return [loop for loop in self._loops if not loop.inside and loop.header in self._known]

    def _region(self, entry: int, inside: set[int], header: int | None) -> Counter[str]:
        """The path from an entry to where it leaves some blocks or comes back to their header."""
        inner = self._outermost(inside, header)
        done: dict[int, Counter[str]] = {}

        def ways(number: int) -> list[int]:
            loop = inner.get(number)
            to = self._blocks[number].to if loop is None else self._exits(loop)
            return [way for way in dict.fromkeys(to) if way in inside and way != header]

        def onwards(number: int) -> Counter[str]:
            if number not in done:
                loop = inner.get(number)
                own = self._blocks[number].mix if loop is None else self._all_turns(loop)
                done[number] = own + self._choice(ways(number), onwards, ways)
            return done[number]

        return onwards(entry)

    def _all_turns(self, loop: Loop) -> Counter[str]:
        turn = self.turn(loop)
        if loop.header not in self._known:
            return turn
        told = self._known[loop.header]
        held = matching(turn, told.marker)
        left = held - told.each if told.each else 0  # at most, as guarded code behind the loop
        turns = (told.total - left) / held
        return Counter({name: count * turns for name, count in turn.items()})  # type: ignore[misc]

    def _outermost(self, inside: set[int], header: int | None) -> dict[int, Loop]:
        fits = [loop for loop in self._loops if loop.header != header and loop.blocks <= inside]
        within = {id(other) for loop in fits for other in loop.inside}
        return {loop.header: loop for loop in fits if id(loop) not in within}

    def _exits(self, loop: Loop) -> list[int]:
        return [
            to
            for number in sorted(loop.blocks)
            for to in self._blocks[number].to
            if to not in loop.blocks
        ]

    def _choice(
        self,
        starts: list[int],
        onwards: Callable[[int], Counter[str]],
        ways: Callable[[int], list[int]],
    ) -> Counter[str]:
        if not starts:
            return Counter()
        for start in starts:  # code that is guarded leads to where the other way goes at once
            if len(starts) == 2 and sum(starts) - start in _following(start, ways):
                return onwards(start)
        paths = [onwards(start) for start in starts]
        free = [path for path in paths if not matching(path, "RET|CALL.ABS")] or paths
        done = [sum(matching(path, marker) for marker in self._markers) for path in free]
        most = [path for path, work in zip(free, done, strict=True) if work >= 0.99 * max(done)]
        return min(most, key=lambda path: path.total())


def _following(start: int, ways: Callable[[int], list[int]]) -> set[int]:
    seen: set[int] = set()
    waiting = ways(start)
    while waiting:
        number = waiting.pop()
        if number not in seen:
            seen.add(number)
            waiting += ways(number)
    return seen
