// One axis of a separable resampling as a product with a banded matrix, eight outputs per thread.
//
// The host cuts the matrix of an axis (gpuprep/ops/axis.py) in blocks of eight neighbouring outputs. Block
// b reads inputs first[b] ... first[b] + width[b] - 1 and has weights[(b * widest + j) * 8 + t] for its
// j-th input and its t-th output; weights outside the band are zero, and so are those of outputs beyond
// the axis. Every input is loaded once for eight outputs: at K = 26 taps and half resolution that is five
// loads per output instead of 26. Sums run over ascending inputs with fmaf, from zero.
//
// Neither the boundary nor the interpolation is known here; both are in the weights.

#define OUTPUTS 8     // of a block
#define LANES 32      // rows of the volume that a block of threads of rows_pass takes
#define WARPS 8       // blocks of outputs that it takes
#define TILE 128      // inputs in shared memory at a time
#define PITCH 129     // odd: 32 lanes read 32 banks

struct Band { int32 outputs, inputs, blocks, widest; };

__device__ __forceinline__ void add_input(float *sums, float v, const float *__restrict__ weights) {
    const float4 low = ((const float4 *)weights)[0], high = ((const float4 *)weights)[1];
    sums[0] = fmaf(low.x, v, sums[0]); sums[1] = fmaf(low.y, v, sums[1]);
    sums[2] = fmaf(low.z, v, sums[2]); sums[3] = fmaf(low.w, v, sums[3]);
    sums[4] = fmaf(high.x, v, sums[4]); sums[5] = fmaf(high.y, v, sums[5]);
    sums[6] = fmaf(high.z, v, sums[6]); sums[7] = fmaf(high.w, v, sums[7]);
}

// ---- along the columns (contiguous in memory), first pass: a tile of 32 rows in shared memory

// rows_pass_S: float32 out[slices][rows][outputs], C order = band x step(in[slices][rows][columns]).
//   in        voxels of type S with any strides; fast where |strides.column| = 1
//   lengths   of in; lengths.columns = band.inputs
//   grid      (ceil(slices * rows / 32), ceil(blocks / 8)); block 256; 32 * 129 floats of dynamic shared memory
template <class S>
__device__ __forceinline__ void rows_pass(
    const S *__restrict__ in, const Strides &strides, const Lengths &lengths, const STEP_OF(S) &step,
    const int32 *__restrict__ first, const int32 *__restrict__ width, const float *__restrict__ weights,
    const Band &band, float *__restrict__ out)
{
    extern __shared__ float tile[];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const int64 rows = lengths.slices * lengths.rows, row0 = (int64)blockIdx.x * LANES;
    const int b0 = blockIdx.y * WARPS, b1 = min(b0 + WARPS, band.blocks), b = b0 + warp;
    int begin = first[b0], end = begin;
    for (int k = b0; k < b1; k++) {
        begin = min(begin, first[k]);
        end = max(end, first[k] + width[k]);
    }
    float sums[OUTPUTS] = {0.f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f};
    for (int j0 = begin; j0 < end; j0 += TILE) {
        const int j1 = min(j0 + TILE, end);
        for (int r = warp; r < LANES && row0 + r < rows; r += WARPS) {
            const int64 slice = (row0 + r) / lengths.rows, row = (row0 + r) % lengths.rows;
            const S *line = in + offset_of(strides, slice, row, 0);
            for (int j = j0 + lane; j < j1; j += LANES)
                tile[r * PITCH + j - j0] = prepared<S>(line[j * strides.column], step);
        }
        __syncthreads();
        if (b < b1 && row0 + lane < rows) {
            const int from = max(j0, first[b]), to = min(j1, first[b] + width[b]);
            const float *w = weights + ((int64)b * band.widest + from - first[b]) * OUTPUTS;
            for (int j = from; j < to; j++, w += OUTPUTS) add_input(sums, tile[lane * PITCH + j - j0], w);
        }
        __syncthreads();
    }
    // through shared memory, so that neighbouring threads write neighbouring outputs
#pragma unroll
    for (int t = 0; t < OUTPUTS; t++) tile[lane * PITCH + warp * OUTPUTS + t] = sums[t];
    __syncthreads();
    const int o0 = b0 * OUTPUTS, count = min(WARPS * OUTPUTS, band.outputs - o0);
    for (int r = warp; r < LANES && row0 + r < rows; r += WARPS)
        for (int o = lane; o < count; o += LANES) out[(row0 + r) * band.outputs + o0 + o] = tile[r * PITCH + o];
}

#define ROWS_PASS(S) \
    extern "C" __global__ void __launch_bounds__(256, 4) rows_pass_##S( \
        const S *__restrict__ in, Strides strides, Lengths lengths, STEP_OF(S) step, \
        const int32 *__restrict__ first, const int32 *__restrict__ width, \
        const float *__restrict__ weights, Band band, float *__restrict__ out) \
    { rows_pass<S>(in, strides, lengths, step, first, width, weights, band, out); }
EACH_SOURCE(ROWS_PASS)

// ---- along the rows (strided in memory): neighbouring threads take neighbouring columns

// The sums of block blockIdx.y for one (slice, column) of the volume; false where there is none.
template <class S, bool PREPARE>
__device__ __forceinline__ bool strided_sums(
    const S *__restrict__ in, const Strides &strides, const Lengths &lengths, const STEP_OF(S) &step,
    const int32 *__restrict__ first, const int32 *__restrict__ width, const float *__restrict__ weights,
    const Band &band, int64 &slice, int64 &column, float *sums)
{
    const int64 line = (int64)blockIdx.x * blockDim.x + threadIdx.x;
    slice = line / lengths.columns;
    column = line % lengths.columns;
    if (slice >= lengths.slices) return false;
    const int from = first[blockIdx.y], taps = width[blockIdx.y];
    const S *v = in + offset_of(strides, slice, from, column);
    const float *w = weights + (int64)blockIdx.y * band.widest * OUTPUTS;
#pragma unroll
    for (int t = 0; t < OUTPUTS; t++) sums[t] = 0.f;
#pragma unroll 4
    for (int j = 0; j < taps; j++, v += strides.row, w += OUTPUTS)
        add_input(sums, PREPARE ? prepared<S>(*v, step) : (float)*v, w);
    return true;
}

// columns_pass_S: float32 out[slices][outputs][columns] = band x step(in[slices][rows][columns]) for a first
// pass; columns_pass_between: the same on float32 without a step.
//   in, out   any strides; lengths are in's, lengths.rows = band.inputs
//   grid      (ceil(slices * columns / 256), blocks); block 256
template <class S, bool PREPARE>
__device__ __forceinline__ void columns_pass(
    const S *__restrict__ in, const Strides &strides, const Lengths &lengths, const STEP_OF(S) &step,
    const int32 *__restrict__ first, const int32 *__restrict__ width, const float *__restrict__ weights,
    const Band &band, float *__restrict__ out, const Strides &out_strides)
{
    int64 slice, column;
    float sums[OUTPUTS];
    if (!strided_sums<S, PREPARE>(in, strides, lengths, step, first, width, weights, band, slice, column, sums))
        return;
    const int o = blockIdx.y * OUTPUTS;
    float *target = out + offset_of(out_strides, slice, o, column);
#pragma unroll
    for (int t = 0; t < OUTPUTS; t++)
        if (o + t < band.outputs) target[t * out_strides.row] = sums[t];
}

#define COLUMNS_PASS(S) \
    extern "C" __global__ void __launch_bounds__(256, 4) columns_pass_##S( \
        const S *__restrict__ in, Strides strides, Lengths lengths, STEP_OF(S) step, \
        const int32 *__restrict__ first, const int32 *__restrict__ width, \
        const float *__restrict__ weights, Band band, float *__restrict__ out, Strides out_strides) \
    { columns_pass<S, true>(in, strides, lengths, step, first, width, weights, band, out, out_strides); }
EACH_SOURCE(COLUMNS_PASS)

extern "C" __global__ void __launch_bounds__(256, 4) columns_pass_between(
    const float *__restrict__ in, Strides strides, Lengths lengths, const int32 *__restrict__ first,
    const int32 *__restrict__ width, const float *__restrict__ weights, Band band,
    float *__restrict__ out, Strides out_strides)
{
    const Step<float> none = {};
    columns_pass<float, false>(in, strides, lengths, none, first, width, weights, band, out, out_strides);
}

// Smallest and largest sums, by slice, row (of outputs) or column: entry i of `count` lows, then highs, where
// i goes along the one axis whose stride is 1.
struct Limits { Strides along; int64 count; };

// last_pass_T: T out[slices][outputs][columns] = store(step(clip(band x in[slices][rows][columns]))), in float32.
//   in        any strides; grid and block as above
//   limits    float32, what sums are clipped to first; none where null
//   out       any strides (a permuted or flipped out costs no copy) or chunks
template <class T>
__device__ __forceinline__ void last_pass(
    const float *__restrict__ in, const Strides &strides, const Lengths &lengths,
    const int32 *__restrict__ first, const int32 *__restrict__ width, const float *__restrict__ weights,
    const Band &band, const float *__restrict__ limits, const Limits &reach, const Step<float> &step,
    T *__restrict__ out, const Places &places)
{
    int64 slice, column;
    float sums[OUTPUTS];
    if (!strided_sums<float, false>(in, strides, lengths, step, first, width, weights, band, slice, column, sums))
        return;
    const int64 o = (int64)blockIdx.y * OUTPUTS;
    T *target = out + place_of(places, slice, 0, column);
#pragma unroll
    for (int t = 0; t < OUTPUTS; t++) {
        if (o + t >= band.outputs) break;
        float v = sums[t];
        if (limits) {
            const float *low = limits + offset_of(reach.along, slice, o + t, column);
            v = clipped(v, low[0], low[reach.count]);
        }
        store(target + place_along(o + t, places, places.chunks.row, places.voxels.row), applied(v, step));
    }
}

#define LAST_PASS(T) \
    extern "C" __global__ void __launch_bounds__(256, 4) last_pass_##T( \
        const float *__restrict__ in, Strides strides, Lengths lengths, const int32 *__restrict__ first, \
        const int32 *__restrict__ width, const float *__restrict__ weights, Band band, \
        const float *__restrict__ limits, Limits reach, Step<float> step, T *__restrict__ out, Places places) \
    { last_pass<T>(in, strides, lengths, first, width, weights, band, limits, reach, step, out, places); }
LAST_PASS(float32) LAST_PASS(float16) LAST_PASS(int16)
