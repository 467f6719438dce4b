// A band in blocks of neighbouring outputs, for the passes of resample.cu and plane.cu.
//
// The host cuts the matrix of an axis in blocks (gpuprep/ops/device/windows.py). Every input is loaded once for all
// outputs of a block, every weight once for four lines: at K = 26 taps and half resolution that is five loads per
// output instead of 26. Sums run over ascending inputs with fmaf, from zero.
//
// Neither the boundary nor the interpolation is known here; both are in the weights.

// The matrix of an axis in blocks of 8, 12 or 16 outputs. Block b reads the inputs first[b] ... first[b] + length - 1
// (those that exist); weights[(b * length + j) * outputs of a block + t] is the weight of its j-th input for its
// t-th output, zero outside the band and for outputs beyond the axis. Of the inputs, group g of four outputs needs
// those from begin[g - 1] to end[g] - 1: begins and ends ascend, and the last group begins before the first ends.
struct Window { int32 outputs, inputs, blocks, length, begin[3], end[3]; };

__device__ __forceinline__ void add_four(float *sums, float v, const float4 &w) {
    sums[0] = fmaf(w.x, v, sums[0]); sums[1] = fmaf(w.y, v, sums[1]);
    sums[2] = fmaf(w.z, v, sums[2]); sums[3] = fmaf(w.w, v, sums[3]);
}

// The inputs from j to `end` - 1 are added to the sums of the groups FROM ... TO of four lines. `next(v)` gives the
// lines' next inputs; the weights of the next input lie `stride` floats further.
template <int FROM, int TO, int UNROLL, int N, class Next>
__device__ __forceinline__ void add_run(float (*sums)[N], int &j, int end, const float *__restrict__ &weights,
                                        int64 stride, Next &next) {
#pragma unroll UNROLL
    for (; j < end; j++, weights += stride) {
        float v[4];
        next(v);
#pragma unroll
        for (int g = FROM; g <= TO; g++) {
            const float4 w = ((const float4 *)weights)[g];
#pragma unroll
            for (int i = 0; i < 4; i++) add_four(sums[i] + 4 * g, v[i], w);
        }
    }
}

// The number itself, but unknown before: the ends of later runs would be worked out, and spilled, ahead of the first.
__device__ __forceinline__ int here(int number) {
#ifdef __CUDA_ARCH__
    asm volatile("" : "+r"(number));
#endif
    return number;
}

// Inputs j ... end - 1 of a window of 8, 12 or 16 outputs. More and more groups need the inputs, then fewer and fewer:
// run RUN is that of the groups FROM ... TO, and ends where the next group begins or the first one ends.
template <int UNROLL, int RUN = 0, int N, class Next>
__device__ __forceinline__ void add_runs(float (*sums)[N], int &j, int end, const Window &window,
                                         const float *__restrict__ &weights, int64 stride, Next &next) {
    constexpr int LAST = N / 4 - 1, FROM = RUN > LAST ? RUN - LAST : 0, TO = RUN < LAST ? RUN : LAST;
    if constexpr (RUN == 2 * LAST) {
        add_run<FROM, TO, UNROLL>(sums, j, end, weights, stride, next);
    } else {
        const int stop = RUN < LAST ? window.begin[RUN % 3] : window.end[FROM];
        add_run<FROM, TO, UNROLL>(sums, j, min(here(end), stop), weights, stride, next);
        add_runs<UNROLL, RUN + 1>(sums, j, end, window, weights, stride, next);
    }
}
template <int UNROLL, int N, class Next>
__device__ __forceinline__ void add_window(float (*sums)[N], int j, int end, const Window &window,
                                           const float *__restrict__ weights, int64 stride, Next next) {
    weights += j * stride;
    add_runs<UNROLL>(sums, j, end, window, weights, stride, next);
}
