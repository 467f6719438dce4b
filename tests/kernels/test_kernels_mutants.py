"""Bugs put into copies of the kernels are caught: by a wrong result, an order, or a trap."""

import math
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from cuda_on_cpu.cpu_module import ORDERS, KernelFailure, missing
from kernel_engines import cpu_engine

from gpuprep.grids import GridMapping
from gpuprep.kernels.loader import SOURCES, Engine, read_source
from gpuprep.ops.device import measure_device, resample_device, resample_labels_device
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.pointwise import ClipAffine
from gpuprep.ops.resample import resample
from gpuprep.ops.statistics import measure

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "runs")


class Mutant(NamedTuple):
    """A text of a source (or of the preamble) and what stands there instead."""

    source: str
    right: str
    wrong: str


MUTANTS = {
    "no barrier after the tile is loaded": Mutant(
        "resample", "        __syncthreads();\n        if (b < b1", "        if (b < b1"
    ),
    "no barrier before the tile is loaded again": Mutant(
        "resample", "        __syncthreads();\n    }\n    // through", "    }\n    // through"
    ),
    "rows beyond the volume are written": Mutant(
        "resample",
        "r < LANES && row0 + r < rows; r += WARPS)\n        for",
        "r < LANES; r += WARPS)\n        for",
    ),
    "outputs beyond the axis are written": Mutant(
        "resample",
        "if (o + t < band.outputs) store(target",
        "store(target",
    ),
    "the second tile starts with the first weights": Mutant(
        "resample", "band.widest + from - first[b])", "band.widest)"
    ),
    "two outputs of a block exchanged": Mutant(
        "resample", "fmaf(low.y, v, sums[1])", "fmaf(low.z, v, sums[1])"
    ),
    "clipping forgotten": Mutant(
        "resample", "return v < low ? low : v > high ? high : v;", "return v;"
    ),
    "halves rounded up": Mutant("linear", "0xfffu + (size >> 13 & 1u)", "0x1000u"),
    "columns beyond the volume": Mutant(
        "linear", "if (x >= outputs.columns) return;\n    const Tap c", "const Tap c"
    ),
    "rows and slices exchanged": Mutant("linear", "k & 2 ? a.above", "k & 1 ? a.above"),
    "weights of the far line on the near one": Mutant(
        "linear",
        "fmaf(b.high, lines[1], b.low * lines[0])",
        "fmaf(b.low, lines[1], b.high * lines[0])",
    ),
    "a label votes twice": Mutant("labels", "b != a && labels[b]", "labels[b]"),
    "ties go to the lowest label": Mutant(
        "labels", "return among ? nearest : lowest", "return lowest"
    ),
    "ties are exact": Mutant("labels", "most - TIE", "most"),
    "every lane adds for the warp": Mutant(
        "statistics", "common >= 0 && threadIdx.x % 32 == 0", "common >= 0"
    ),
    "a chunk runs beyond its row": Mutant(
        "statistics", "min(begin + CHUNK, n.columns)", "begin + CHUNK"
    ),
    "the mask is not asked": Mutant("statistics", "(!source.mask || mask", "(source.mask || mask"),
    "negative keys are not turned over": Mutant(
        "statistics", "(uint32)((int32)bits >> 31) | 0x80000000u", "0x80000000u"
    ),
    "the last warp is not merged": Mutant(
        "statistics", "w < blockDim.x / 32; w++", "w + 1 < blockDim.x / 32; w++"
    ),
    "a vote that not all lanes reach": Mutant(
        "statistics",
        "        tally(own, present && bin",
        "        if (present) tally(own, present && bin",
    ),
}


def narrowed(text: str) -> str:
    """The source for few types: quick to compile."""
    text = re.sub(r"(#define EACH_SOURCE\(MAKE\)) .*", r"\1 MAKE(int16) MAKE(float32)", text)
    text = re.sub(
        r"(#define EACH_PAIR\(MAKE\)) \\\n.*\\\n.*",
        r"\1 MAKE(int16, float32) MAKE(int16, float16)",
        text,
    )
    text = re.sub(r"^VOTE\(.*", "VOTE(uint8)", text, flags=re.M)
    text = re.sub(r"^COPY\(.*", "", text, flags=re.M)
    text = re.sub(r"^HISTOGRAM\(.*", "HISTOGRAM(int16)", text, flags=re.M)
    return re.sub(r"^DIGITS\(.*", "DIGITS(float32)", text, flags=re.M)


def volume() -> np.ndarray:
    random = np.random.default_rng(3)
    edges = np.where(np.indices((5, 9, 300)).sum(0) // 4 % 2, 1500, -1000)
    return (edges + random.normal(0, 40, edges.shape)).astype(np.int16)


MAPPING = GridMapping((3, 7, 170), (1.5, 1.3, 1.77), (0.2, -0.3, 0.4))
LINE = ClipAffine(-800, 1400, 0.013, 0.7)


def check_resample(engine: Engine, interpolation: str = "cubic") -> None:
    """Three passes to float16, whose last places would show a sum out of order or rounded wrongly."""
    array = volume()
    for dtype in ("f2", "f4"):
        options = {"interpolation": interpolation, "epilogue": LINE, "dtype": dtype}
        result = resample_device(engine, engine.xp.asarray(array), MAPPING, **options)
        expected = resample(array, MAPPING, **options)
        allowed = 2e-6 * 2500 * 0.013
        differ = np.abs(result.astype(np.float64) - expected) > allowed
        assert differ.mean() < (0.005 if dtype == "f2" else 1e-9)


def check_linear(engine: Engine) -> None:
    array = volume()
    result = resample_device(engine, engine.xp.asarray(array), MAPPING)
    assert np.abs(result - resample(array, MAPPING)).max() < 2e-6 * 2600
    ties = np.arange(2049, 3000, 2, np.int16).reshape(1, 1, -1)  # between two float16 each
    same = GridMapping(ties.shape)
    result = resample_device(engine, engine.xp.asarray(ties), same, dtype=np.float16)
    assert (result == ties.astype(np.float16)).all()


def check_labels(engine: Engine) -> None:
    random = np.random.default_rng(0)
    for scale in (0.5, 2 / 3, 0.1):
        labels = random.integers(0, 4, (6, 7, 8)).astype(np.uint8)
        mapping = GridMapping((9, 9, 40), (scale,) * 3, (0.25, 0.5, 1 / 6))
        expected = resample_labels(labels, mapping, interpolation="linear")
        arguments = engine, engine.xp.asarray(labels), mapping
        assert (resample_labels_device(*arguments, interpolation="linear") == expected).all()


def check_statistics(engine: Engine) -> None:
    random = np.random.default_rng(1)
    integers = np.where(random.random((3, 4, 333)) < 0.7, -1000, 60).astype(np.int16)
    integers[0, 0] = random.integers(-9, 9, 333)
    integers[1] = -1000  # air, on which warps agree
    mask = (random.random(integers.shape) < 0.8).astype(np.uint8)
    for array in (integers, (integers * 0.37).astype(np.float32)):
        for flags in (None, mask):
            given = None if flags is None else engine.xp.asarray(flags)
            result = measure_device(engine, engine.xp.asarray(array), given)
            expected = measure(array, flags)
            assert result.count == expected.count
            assert result.percentiles((0, 30, 99)) == expected.percentiles((0, 30, 99))
            assert math.dist(result.moments(), expected.moments()) < 1e-9 * 1000


CHECKS: dict[str, Callable[[Engine], None]] = {
    "resample": check_resample,
    "linear": check_linear,
    "labels": check_labels,
    "statistics": check_statistics,
}


def survives(source: str, text: str) -> bool:
    """Whether the check of a source passes in every order of the threads."""
    for order in ORDERS:
        engine = cpu_engine(
            order, {name: narrowed(read_source(name)) for name in SOURCES} | {source: text}
        )
        try:
            CHECKS[source](engine)
        except (AssertionError, KernelFailure):
            return False
    return True


@pytest.mark.parametrize("source", SOURCES)
def test_the_kernels_themselves_survive(source: str) -> None:
    assert survives(source, narrowed(read_source(source)))


@pytest.mark.parametrize("name", MUTANTS)
def test_every_bug_is_caught(name: str) -> None:
    source, right, wrong = MUTANTS[name]
    text = narrowed(read_source(source))
    assert text.count(right) == 1
    assert not survives(source, text.replace(right, wrong))
