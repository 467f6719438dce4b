"""What kernels can reach on a GPU, by the instructions of the binaries that the loader loads.

The model is ``benchmarks/kernel_budget.py``; run with ``-s`` for the table. Limits are what an H100 is
predicted to reach: a kernel that comes to execute more fails here, long before anybody measures it.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpuprep.kernels.loader import SOURCES
from kernels.test_compile import need_nvrtc

pytestmark = pytest.mark.slow
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SHARES = {
    "linear": 0.7,
    "cubic": 0.4,
    "extent_int16": 0.6,
    "histogram_int16": 0.6,
    "moments_float32": 0.6,
}


@pytest.fixture(scope="module")
def budget() -> Any:
    """The model, where the binaries can be made and read."""
    need_nvrtc()
    if not BENCHMARKS.exists():
        pytest.skip("the benchmarks are not here")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        found = importlib.import_module("kernel_budget")
        if not found.disassembler():
            pytest.skip("nvdisasm is not installed: pip install nvidia-cuda-nvdisasm")
        yield found


@pytest.fixture(scope="module")
def sass(budget: Any) -> Any:
    return sys.modules["sass"]


@pytest.fixture(scope="module")
def usual_path(budget: Any) -> Any:
    return sys.modules["usual_path"]


def gpu(budget: Any, architecture: int) -> Any:
    return next(each for each in budget.GPUS if each.architecture == architecture)


@pytest.mark.parametrize("architecture", [80, 90, 100])
def test_predicted_shares_of_the_bound(budget: Any, architecture: int) -> None:
    found = budget.predictions(gpu(budget, architecture))
    shares = {group: told["share"] for group, told in found.items()}
    print(budget.report({f"sm_{architecture}": budget.told(gpu(budget, architecture))}))
    assert shares.keys() == SHARES.keys()
    if architecture == 90:
        assert {name: share for name, share in shares.items() if share < SHARES[name]} == {}


@pytest.mark.parametrize("architecture", [80, 90, 100])
def test_nothing_spills_and_subnormal_numbers_stay(
    budget: Any, sass: Any, architecture: int
) -> None:
    for source in SOURCES:
        for name, kernel in sass.kernels(source, architecture).items():
            assert not budget.flushes(kernel), name
            assert kernel.spilled == 0, name


@pytest.mark.parametrize("architecture", [80, 90, 100])
def test_sums_are_what_the_geometry_asks_for(budget: Any, architecture: int) -> None:
    """The model counts the products that the windows hold: no loop is missed, none counted twice."""
    for job in budget.jobs():
        if job.group == "cubic":
            executed = budget.executed(job, architecture)
            products = executed["FFMA"] * job.warps * 32
            assert products == pytest.approx(_products(budget, job.kernel), rel=0.03)


def _products(budget: Any, kernel: str) -> float:
    """Weights of all blocks' groups, times the lines that they are applied to."""
    z, _, x = budget.SOURCE
    _, oy, _ = budget.TARGET
    slices, rows, columns = (
        budget.windows_of(budget.axis_of(n, m), size)
        for n, m, size in zip(budget.SOURCE, budget.TARGET, (8, 16, 12), strict=True)
    )
    if kernel.startswith("last"):
        return _weights(slices) * np.ceil(oy * columns.blocks * 12 / 128) * 128
    lanes = np.ceil(columns.blocks / 8) * 8 / columns.blocks
    return z * (_weights(rows) * x + _weights(columns) * lanes * rows.blocks * 16)


def _weights(windows: Any) -> int:
    sizes = windows.sizes[0]
    groups = windows.weights.shape[2] // 4
    begin = [0, *sizes["begin"][: groups - 1]]
    end = [*sizes["end"][: groups - 1], sizes["length"]]
    return 4 * windows.blocks * sum(np.subtract(end, begin))


LISTING = """
.text:
        /*0000*/   MOV R1, R2 ;
        /*0010*/   @P0 BRA `(.L_skip) ;
        /*0020*/   IADD3 R1, R1, R1, RZ ;
.L_skip:
        /*0030*/   ISETP.GE.AND P0, PT, R1, R2, PT ;
.L_loop:
        /*0040*/   LDG.E R3, [R4.64] ;
        /*0050*/   LDG.E R3, [R4.64] ;
        /*0060*/   FFMA R5, R3, R3, R5 ;
        /*0070*/   @!P0 BRA `(.L_loop) ;
        /*0080*/   @P1 BRA `(.L_long) ;
        /*0090*/   STG.E [R4.64], R5 ;
        /*00a0*/   EXIT ;
.L_long:
        /*00b0*/   FADD R5, R5, R5 ;
        /*00c0*/   FADD R5, R5, R5 ;
        /*00d0*/   STG.E [R4.64], R5 ;
        /*00e0*/   EXIT ;
.L_end:
        /*00f0*/   BRA `(.L_end) ;
"""


def test_a_loop_runs_as_often_as_its_work_takes_and_guarded_code_runs_once(
    sass: Any, usual_path: Any
) -> None:
    kernel = sass.Kernel("own", 8, 0, sass.lines_of(LISTING))
    executed = usual_path.UsualPath(
        kernel, (usual_path.Work("LDG", 10), usual_path.Work("STG", 1))
    ).executed()
    assert executed["LDG.E"] == 10
    assert executed["FFMA"] == 5
    assert executed["IADD3"] == executed["MOV"] == 1
    assert executed["FADD"] == 0, "of two ways that do the same, the shorter"


def test_an_unrolled_loop_leaves_turns_behind_it(sass: Any, usual_path: Any) -> None:
    kernel = sass.Kernel("own", 8, 0, sass.lines_of(LISTING))
    executed = usual_path.UsualPath(kernel, (usual_path.Work("LDG", 11, each=(1,)),)).executed()
    assert executed["LDG.E"] == 10
