"""What GPUs have instructions for and the CPU works out: both must be one function, which NumPy's is.

PTX defines ``cvt.rn.f16.f32`` as IEEE 754's rounding, as NumPy's cast is, and ``max.NaN`` and ``min.NaN`` as
IEEE 754-2019's maximum and minimum. Here the stand-ins on the CPU are held against the same definitions.
"""

import numpy as np
import pytest

from gpuprep.kernels.compiler import read_source
from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.resample import resample_device
from gpuprep.ops.resample import Resampling
from gpuprep.values.grids import GridMapping
from kernels.cuda_on_cpu.cpu_module import CpuModule, missing

CLIP = """
extern "C" __global__ void clip_all(const float *v, const float *low, const float *high, float *out, int32 n)
{ for (int i = threadIdx.x; i < n; i += blockDim.x) out[i] = clipped(v[i], low[i], high[i]); }
"""


def around_every_half() -> np.ndarray:
    """Every finite float16, the middle of each two neighbours, and the float32 next to all of them."""
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    above = np.append(halves[1:], np.float32(65536))
    exact = np.concatenate([halves, (halves + above) / 2])
    near = np.concatenate([exact, np.nextafter(exact, np.inf), np.nextafter(exact, -np.inf)])
    return np.concatenate([near, -near])


def to_half(engine: Engine, values: np.ndarray) -> np.ndarray:
    array = values.reshape(1, -1, 64)
    how = Resampling(GridMapping(array.shape), "nearest")
    done = resample_device(engine, engine.xp.asarray(array), how, dtype=np.float16)
    return engine.to_host(done).ravel()


def test_float16_is_numpys_at_and_around_every_value(engine: Engine) -> None:
    values = around_every_half()
    values = np.resize(values, -(-len(values) // 64) * 64)
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    assert (to_half(engine, values).view(np.uint16) == expected.view(np.uint16)).all()


def test_float16_is_numpys_for_any_bits(engine: Engine) -> None:
    bits = np.random.default_rng(0).integers(0, 1 << 32, 1 << 18, np.uint32)
    values = bits.view(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = values.astype(np.float16)
    found = to_half(engine, values)
    number = ~np.isnan(values)
    assert (found[number].view(np.uint16) == expected[number].view(np.uint16)).all()
    assert np.isnan(found[~number]).all()


@pytest.mark.skipif(bool(missing()), reason=missing() or "runs")
def test_clipping_is_the_maximum_and_minimum_of_ieee_754() -> None:
    ends = np.float32([-np.inf, -1, -0.0, 0.0, 1e-45, 3, np.inf])
    values = np.float32([np.nan, -np.inf, -2, -1, -0.0, 0.0, 1e-45, 2, 3, 4, np.inf])
    v, low, high = (each.ravel().copy() for each in np.meshgrid(values, ends, ends))
    fits = (low < high) | ((low == high) & (np.signbit(low) >= np.signbit(high)))
    v, low, high = v[fits], low[fits], high[fits]
    out = np.empty_like(v)
    module = CpuModule(read_source("pointwise") + CLIP)
    arguments = v, low, high, out, np.int32(len(v))
    module.get_function("clip_all")((1,), (32,), arguments)
    for number, below, above, found in zip(v, low, high, out, strict=True):
        expected = min(max(number, below, key=rank), above, key=rank)
        assert np.isnan(found) if np.isnan(number) else found == expected
        assert np.isnan(number) or np.signbit(found) == np.signbit(expected)


def rank(number: np.float32) -> tuple[float, bool]:
    """The order of IEEE 754, in which the negative zero is below the positive."""
    return float(number), not np.signbit(number)
