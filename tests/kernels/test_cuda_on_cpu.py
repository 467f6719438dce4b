"""The harness that runs CUDA on the CPU finds what it promises to find."""

import numpy as np
import pytest

from kernels.cuda_on_cpu.cpu_module import ORDERS, CpuModule, KernelFailure, missing
from kernels.cuda_on_cpu.guarded import GuardedArrays

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "runs")

KERNELS = r"""
struct Pair { int a; float b; };

// out[i] = in[n - 1 - i] within a block, through shared memory
template <class T> __device__ void reversed(const T *in, T *out, int n, bool synchronize) {
    extern __shared__ T tile[];
    const int i = threadIdx.x, base = blockIdx.x * blockDim.x;
    tile[i] = in[base + i];
    if (synchronize) __syncthreads();
    out[base + i] = tile[blockDim.x - 1 - i];
}
#define REVERSED(T) \
    extern "C" __global__ void __launch_bounds__(256) reversed_##T( \
        const T *in, T *out, int n, int synchronize) \
    { reversed<T>(in, out, n, synchronize); }
REVERSED(float) REVERSED(short)

extern "C" __global__ void sum(const int *in, unsigned long long *total, int *ballots) {
    __shared__ int warps[32];
    int v = in[blockIdx.x * blockDim.x + threadIdx.x];
    const unsigned odd = __ballot_sync(0xffffffffu, v & 1);
    for (int d = 16; d; d /= 2) v += __shfl_down_sync(0xffffffffu, v, d);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
    __syncthreads();
    if (threadIdx.x == 0)
        for (int w = 0; w < blockDim.x / 32; w++) atomicAdd(total, (unsigned long long)warps[w]);
    if (threadIdx.x % 32 == 0) atomicAdd(ballots, __popc(odd));
}

extern "C" __global__ void shuffles(int *out) {
    const int lane = threadIdx.x;
    out[lane] = __shfl_xor_sync(0xffffffffu, lane, 5);
    out[32 + lane] = __shfl_up_sync(0xffffffffu, lane, 3);
    out[64 + lane] = __shfl_sync(0xffffffffu, lane, 7, 8);
    out[96 + lane] = __all_sync(0xffffffffu, lane < 32) + 2 * __any_sync(0xffffffffu, lane == 40);
}

extern "C" __global__ void by_value(Pair pair, long long n, float *out) {
    if (threadIdx.x < n) out[threadIdx.x] = pair.a + pair.b;
}

extern "C" __global__ void read_at(const float *in, float *out, int at) { out[threadIdx.x] = in[at]; }

extern "C" __global__ void uninitialised(unsigned *out) {
    __shared__ unsigned word;
    out[threadIdx.x] = word;
}

extern "C" __global__ void divergent_barrier(int *out) {
    if (threadIdx.x < 16) __syncthreads();
    out[threadIdx.x] = 1;
}

extern "C" __global__ void two_barriers(int *out) {
    if (threadIdx.x < 16) __syncthreads();
    else
        __syncthreads();
    out[threadIdx.x] = 1;
}

extern "C" __global__ void divergent_shuffle(int *out) {
    if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
}
"""


@pytest.fixture(scope="module", params=ORDERS)
def module(request: pytest.FixtureRequest) -> CpuModule:
    return CpuModule(KERNELS, order=request.param)


def run(
    module: CpuModule, name: str, grid: int, block: int, *arguments, shared_mem: int = 0
) -> None:
    module.get_function(name)((grid,), (block,), arguments, shared_mem=shared_mem)


@pytest.mark.parametrize("kind", ["float", "short"])
def test_shared_memory_and_barriers(module: CpuModule, kind: str) -> None:
    array = np.arange(256, dtype={"float": "f4", "short": "i2"}[kind])
    out = np.zeros_like(array)
    run(module, f"reversed_{kind}", 4, 64, array, out, np.int32(64), np.int32(1), shared_mem=256)
    assert (out == array.reshape(4, 64)[:, ::-1].ravel()).all()


def test_a_missing_barrier_depends_on_the_order() -> None:
    results = []
    for order in ORDERS:
        array, out = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
        module = CpuModule(KERNELS, order=order)
        scalars = np.int32(64), np.int32(0)
        run(module, "reversed_float", 1, 64, array, out, *scalars, shared_mem=256)
        results.append(out)
    assert any((results[0] != other).any() for other in results[1:])


def test_shuffles_votes_and_atomics(module: CpuModule) -> None:
    array = np.random.default_rng(0).integers(0, 1000, 512, np.int32)
    total, odd = np.zeros(1, np.uint64), np.zeros(1, np.int32)
    run(module, "sum", 4, 128, array, total, odd)
    assert total[0] == array.sum()
    assert odd[0] == (array & 1).sum()
    out = np.zeros(128, np.int32)
    run(module, "shuffles", 1, 32, out)
    lanes = np.arange(32)
    assert (out[:32] == lanes ^ 5).all()
    assert (out[32:64] == np.where(lanes < 3, lanes, lanes - 3)).all()
    assert (out[64:96] == lanes // 8 * 8 + 7).all()
    assert (out[96:] == 1).all()


def test_structures_pass_by_value(module: CpuModule) -> None:
    pair = np.array([(3, 0.25)], np.dtype([("a", "i4"), ("b", "f4")]))
    out = np.zeros(8, np.float32)
    run(module, "by_value", 1, 8, pair, np.int64(5), out)
    assert out.tolist() == [3.25] * 5 + [0] * 3


@pytest.mark.parametrize("side", ["begin", "end"])
def test_accesses_beyond_an_array_are_caught(module: CpuModule, side: str) -> None:
    arrays = GuardedArrays(side)
    array, out = arrays.zeros(100, np.float32), arrays.empty(32, np.float32)
    beyond = 100 if side == "end" else -1
    with pytest.raises(KernelFailure, match=r"signal .* block \(0,0,0\) thread"):
        run(module, "read_at", 1, 32, array, out, np.int32(beyond))
    run(module, "read_at", 1, 32, array, out, np.int32(99))
    assert (out == 0).all()
    if side == "end":  # a write
        with pytest.raises(KernelFailure, match="signal"):
            run(module, "read_at", 1, 32, array, arrays.empty(31, np.float32), np.int32(0))


def test_accesses_beyond_dynamic_shared_memory_trap(module: CpuModule) -> None:
    array = np.arange(64, dtype=np.float32)
    scalars = np.int32(64), np.int32(1)
    with pytest.raises(KernelFailure, match="signal 11"):
        run(module, "reversed_float", 1, 64, array, array.copy(), *scalars, shared_mem=224)


def test_shared_memory_starts_as_poison(module: CpuModule) -> None:
    out = np.zeros(32, np.uint32)
    run(module, "uninitialised", 1, 32, out)
    assert (out == 0xCBCBCBCB).all()


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("divergent_barrier", "of 32 threads left before __syncthreads|dead-lock"),
        ("two_barriers", "different __syncthreads"),
        ("divergent_shuffle", "lanes that have left"),
    ],
)
def test_divergence_is_caught(module: CpuModule, kernel: str, message: str) -> None:
    with pytest.raises(KernelFailure, match=message):
        run(module, kernel, 1, 32, np.zeros(32, np.int32))


def test_wrong_launches_are_refused(module: CpuModule) -> None:
    pair = np.array([(3, 0.25)], np.dtype([("a", "i4"), ("b", "f4")]))
    out = np.zeros(8, np.float32)
    for arguments in (
        (pair, np.int64(5)),
        (pair, np.int32(5), out),
        (pair, 5, out),
        (pair, np.int64(5), out.astype(np.float64)),
        (pair, np.int64(5), np.float32(1)),
        (np.zeros(1, np.int32), np.int64(5), out),
    ):
        with pytest.raises(TypeError, match="by_value"):
            run(module, "by_value", 1, 8, *arguments)
    with pytest.raises(ValueError, match="launch_bounds"):
        run(module, "reversed_float", 1, 512, out, out, np.int32(1), np.int32(1))
    with pytest.raises(KernelFailure, match="invalid launch"):
        run(module, "shuffles", 0, 32, np.zeros(128, np.int32))
    with pytest.raises(KeyError):
        module.get_function("absent")


def test_guarded_arrays_are_arrays() -> None:
    for side in ("begin", "end"):
        arrays = GuardedArrays(side)
        source = np.arange(24).reshape(2, 3, 4)[:, ::-1]
        copy = arrays.asarray(source)
        assert (copy == source).all()
        assert copy.flags.c_contiguous
        assert arrays.zeros((0, 3), np.int16).shape == (0, 3)
        assert (arrays.empty(5, np.uint8) == 0xCB).all()
