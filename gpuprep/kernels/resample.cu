// One axis of a separable resampling as a product with a banded matrix, eight or 16 outputs at a time.
//
// The host cuts the matrix of an axis in blocks of neighbouring outputs (gpuprep/ops/device/windows.py). Every
// input is loaded once for all outputs of a block, every weight once for four lines: at K = 26 taps and half
// resolution that is five loads per output instead of 26. Sums run over ascending inputs with fmaf, from zero.
//
// Neither the boundary nor the interpolation is known here; both are in the weights.

#define OUTPUTS 8     // of a block, but for the rows of plane_pass
#define LINES 4       // that a thread takes
#define GROUP 128     // neighbouring lines that a warp takes, 32 apart for each lane
#define LANES 32      // rows of the volume that a block of threads of rows_pass takes
#define WARPS 8       // blocks of outputs that it takes
#define TILE 160      // inputs in shared memory at a time: at half resolution eight blocks of a cubic band need 150
#define PITCH 161     // odd: 32 lanes read 32 banks

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

// Inputs j ... end - 1 of a window of 8, 12 or 16 outputs.
template <int UNROLL, class Next>
__device__ __forceinline__ void add_window(float (*sums)[8], int j, int end, const Window &window,
                                           const float *__restrict__ weights, int64 stride, Next next) {
    weights += j * stride;
    add_run<0, 0, UNROLL>(sums, j, min(here(end), window.begin[0]), weights, stride, next);
    add_run<0, 1, UNROLL>(sums, j, min(here(end), window.end[0]), weights, stride, next);
    add_run<1, 1, UNROLL>(sums, j, end, weights, stride, next);
}
template <int UNROLL, class Next>
__device__ __forceinline__ void add_window(float (*sums)[12], int j, int end, const Window &window,
                                           const float *__restrict__ weights, int64 stride, Next next) {
    weights += j * stride;
    add_run<0, 0, UNROLL>(sums, j, min(here(end), window.begin[0]), weights, stride, next);
    add_run<0, 1, UNROLL>(sums, j, min(here(end), window.begin[1]), weights, stride, next);
    add_run<0, 2, UNROLL>(sums, j, min(here(end), window.end[0]), weights, stride, next);
    add_run<1, 2, UNROLL>(sums, j, min(here(end), window.end[1]), weights, stride, next);
    add_run<2, 2, UNROLL>(sums, j, end, weights, stride, next);
}
template <int UNROLL, class Next>
__device__ __forceinline__ void add_window(float (*sums)[16], int j, int end, const Window &window,
                                           const float *__restrict__ weights, int64 stride, Next next) {
    weights += j * stride;
    add_run<0, 0, UNROLL>(sums, j, min(here(end), window.begin[0]), weights, stride, next);
    add_run<0, 1, UNROLL>(sums, j, min(here(end), window.begin[1]), weights, stride, next);
    add_run<0, 2, UNROLL>(sums, j, min(here(end), window.begin[2]), weights, stride, next);
    add_run<0, 3, UNROLL>(sums, j, min(here(end), window.end[0]), weights, stride, next);
    add_run<1, 3, UNROLL>(sums, j, min(here(end), window.end[1]), weights, stride, next);
    add_run<2, 3, UNROLL>(sums, j, min(here(end), window.end[2]), weights, stride, next);
    add_run<3, 3, UNROLL>(sums, j, end, weights, stride, next);
}

// ---- along the columns (contiguous in memory), first pass: a tile of 32 rows in shared memory

// rows_pass_S: float32 out[slices][rows][outputs], C order = band x step(in[slices][rows][columns]).
//   in        voxels of type S with any strides; fast where |strides.column| = 1
//   lengths   of in; lengths.columns = band.inputs
//   grid      ceil(slices * rows / 32) * ceil(blocks / 8), blocks of one row beside one another; block 256;
//             32 * 161 floats of dynamic shared memory
template <class S>
__device__ __forceinline__ void rows_pass(
    const S *__restrict__ in, const Strides &strides, const Lengths &lengths, const STEP_OF(S) &step,
    const int32 *__restrict__ first, const float *__restrict__ weights, const Window &band, float *__restrict__ out)
{
    extern __shared__ float tile[];
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const uint32 groups = (band.blocks + WARPS - 1) / WARPS, rows = (uint32)lengths.rows;
    const int b0 = blockIdx.x % groups * WARPS, b1 = min(b0 + WARPS, band.blocks), b = b0 + warp;
    const int64 row0 = (int64)(blockIdx.x / groups) * LANES;
    const int count = (int)min((int64)LANES, lengths.slices * rows - row0);
    int begin = first[b0], end = begin;
    for (int k = b0; k < b1; k++) {
        begin = min(begin, first[k]);
        end = max(end, first[k] + band.length);
    }
    begin = max(begin, 0);
    end = min(end, band.inputs);
    const int own = first[min(b, band.blocks - 1)];
    float sums[OUTPUTS] = {};
    for (int j0 = begin; j0 < end; j0 += TILE) {
        const int j1 = min(j0 + TILE, end);
        int64 slice = row0 / rows, row = row0 - slice * rows + warp;
        for (int r = warp; r < count; r += WARPS, row += WARPS) {
            for (; row >= rows; row -= rows) slice++;
            const S *line = in + offset_of(strides, slice, row, j0 + lane);
            for (int j = lane; j < j1 - j0; j += LANES, line += LANES * strides.column)
                tile[r * PITCH + j] = prepared<S>(*line, step);
        }
        __syncthreads();
        if (b < b1 && lane < count) {
            const int from = max(j0, own), to = min(j1, own + band.length);
            const float4 *w = (const float4 *)(weights + ((int64)b * band.length + from - own) * OUTPUTS);
#pragma unroll 4
            for (int j = from; j < to; j++, w += 2) {
                const float v = tile[lane * PITCH + j - j0];
                add_four(sums, v, w[0]);
                add_four(sums + 4, v, w[1]);
            }
        }
        __syncthreads();
    }
    // through shared memory, so that neighbouring threads write neighbouring outputs
#pragma unroll
    for (int t = 0; t < OUTPUTS; t++) tile[lane * PITCH + warp * OUTPUTS + t] = sums[t];
    __syncthreads();
    const int o0 = b0 * OUTPUTS, outputs = min(WARPS * OUTPUTS, band.outputs - o0);
    for (int r = warp; r < count; r += WARPS)
        for (int o = lane; o < outputs; o += LANES) out[(row0 + r) * band.outputs + o0 + o] = tile[r * PITCH + o];
}

#define ROWS_PASS(S) \
    extern "C" __global__ void __launch_bounds__(256, 4) rows_pass_##S( \
        const S *__restrict__ in, Strides strides, Lengths lengths, STEP_OF(S) step, \
        const int32 *__restrict__ first, const float *__restrict__ weights, Window band, float *__restrict__ out) \
    { rows_pass<S>(in, strides, lengths, step, first, weights, band, out); }
EACH_SOURCE(ROWS_PASS)

// ---- along the rows (strided in memory): neighbouring threads take neighbouring columns, of four slices each

// What a thread takes: four slices (the last ones again where there are no more), a column, a block of outputs.
struct Lines { int32 slice, column, block; bool any; };

// Blocks of threads: for each 8 * 32 columns of four slices all blocks of outputs, one after another.
__device__ __forceinline__ Lines lines_of(const Lengths &lengths, const Window &band) {
    const uint32 groups = (uint32)((lengths.columns + 31) / 32);
    const uint32 task = blockIdx.x / band.blocks * (blockDim.x / 32) + threadIdx.x / 32;
    const int32 slice = task / groups * LINES, column = task % groups * 32 + threadIdx.x % 32;
    const Lines lines = {slice, column, (int32)(blockIdx.x % band.blocks),
                         slice < lengths.slices && column < lengths.columns};
    return lines;
}

template <class S, bool PREPARE>
__device__ __forceinline__ void sum_lines(
    float (*sums)[OUTPUTS], const Lines &lines, const S *__restrict__ in, const Strides &strides,
    const Lengths &lengths, const STEP_OF(S) &step, const int32 *__restrict__ first,
    const float *__restrict__ weights, const Window &band)
{
    const int start = first[lines.block], j = max(0, -start);
    const S *line = in + offset_of(strides, lines.slice, start + j, lines.column);
    int32 apart[LINES];
#pragma unroll
    for (int i = 0; i < LINES; i++)
        apart[i] = (min(lines.slice + i, (int32)lengths.slices - 1) - lines.slice) * (int32)strides.slice;
    add_window<1>(sums, j, min(band.length, band.inputs - start), band,
                                weights + (int64)lines.block * band.length * OUTPUTS, OUTPUTS, [&](float *v) {
#pragma unroll
        for (int i = 0; i < LINES; i++) v[i] = PREPARE ? prepared<S>(line[apart[i]], step) : (float)line[apart[i]];
        line += strides.row;
    });
}

// columns_pass_S: float32 out[slices][outputs][columns] = band x step(in[slices][rows][columns]) for a first
// pass; columns_pass_between: the same on float32 without a step.
//   in, out   any strides, but four slices lie within 2^31 voxels; lengths are in's, lengths.rows = band.inputs
//   grid      ceil(ceil(slices / 4) * ceil(columns / 32) / 8) * blocks; block 256
template <class S, bool PREPARE>
__device__ __forceinline__ void columns_pass(
    const S *__restrict__ in, const Strides &strides, const Lengths &lengths, const STEP_OF(S) &step,
    const int32 *__restrict__ first, const float *__restrict__ weights, const Window &band,
    float *__restrict__ out, const Strides &out_strides)
{
    const Lines lines = lines_of(lengths, band);
    if (!lines.any) return;
    float sums[LINES][OUTPUTS] = {};
    sum_lines<S, PREPARE>(sums, lines, in, strides, lengths, step, first, weights, band);
    const int o = lines.block * OUTPUTS;
#pragma unroll
    for (int i = 0; i < LINES; i++) {
        const int slice = here(lines.slice + i);
        if (slice >= lengths.slices) break;
        float *target = out + offset_of(out_strides, slice, o, lines.column);
#pragma unroll
        for (int t = 0; t < OUTPUTS; t++)
            if (o + t < band.outputs) target[t * out_strides.row] = sums[i][t];
    }
}

#define COLUMNS_PASS(S) \
    extern "C" __global__ void __launch_bounds__(256, 3) columns_pass_##S( \
        const S *__restrict__ in, Strides strides, Lengths lengths, STEP_OF(S) step, \
        const int32 *__restrict__ first, const float *__restrict__ weights, Window band, \
        float *__restrict__ out, Strides out_strides) \
    { columns_pass<S, true>(in, strides, lengths, step, first, weights, band, out, out_strides); }
EACH_SOURCE(COLUMNS_PASS)

extern "C" __global__ void __launch_bounds__(256, 3) columns_pass_between(
    const float *__restrict__ in, Strides strides, Lengths lengths, const int32 *__restrict__ first,
    const float *__restrict__ weights, Window band, float *__restrict__ out, Strides out_strides)
{
    const Step<float> none = {};
    columns_pass<float, false>(in, strides, lengths, none, first, weights, band, out, out_strides);
}

// Smallest and largest sums, by slice, row (of outputs) or column: entry i of `count` lows, then highs, where
// i goes along the one axis whose stride is 1.
struct Limits { Strides along; int64 count; };

// last_pass_T: T out[slices][outputs][columns] = store(step(clip(band x in[slices][rows][columns]))), in float32.
//   in        neighbouring columns beside one another; a warp takes 128 lines that are neighbours in memory, and may
//             read 127 floats beyond the last
//   joined    whether slices lie behind one another, with less than 2^31 floats in all, so that lines of several
//             are neighbours
//   limits    float32, what sums are clipped to first; none where null
//   out       any strides (a permuted or flipped out costs no copy) or chunks
//   grid      ceil(warps / 8) * blocks, with a warp for 128 lines of all slices (joined) or of each; block 256
struct Line { int32 slice, column; bool any; };

// The line k places behind the first of a slice (of the first slice, if joined).
__device__ __forceinline__ Line line_at(uint32 k, int32 slice, int32 joined, const Strides &strides,
                                        const Lengths &lengths) {
    const uint32 pitch = (uint32)strides.slice, own = joined ? k / pitch : slice, column = joined ? k - own * pitch : k;
    const Line line = {(int32)own, (int32)column, own < lengths.slices && column < lengths.columns};
    return line;
}

// Store what was summed, held within limits first where there are any.
template <bool LIMITED, class T>
__device__ __forceinline__ void store_lines(
    float (*sums)[OUTPUTS], uint32 k, int32 slice, int32 joined, const Strides &strides, const Lengths &lengths,
    int o, const Window &band, const float *__restrict__ limits, const Limits &reach, const Step<float> &step,
    T *__restrict__ out, const Places &places)
{
    Line lines[LINES];
    T *target[LINES];
#pragma unroll
    for (int i = 0; i < LINES; i++) {
        lines[i] = line_at(here(k) + 32 * i, slice, joined, strides, lengths);
        target[i] = out + place_of(places, lines[i].slice, 0, lines[i].column);
    }
#pragma unroll
    for (int t = 0; t < OUTPUTS; t++) {
        if (o + t >= band.outputs) break;
        const int64 row = place_along(o + t, places, places.chunks.row, places.voxels.row);
#pragma unroll
        for (int i = 0; i < LINES; i++) {
            if (!lines[i].any) continue;
            float v = sums[i][t];
            if (LIMITED) {
                const float *low = limits + offset_of(reach.along, lines[i].slice, o + t, lines[i].column);
                v = clipped(v, low[0], low[reach.count]);
            }
            store(target[i] + row, applied(v, step));
        }
    }
}

template <class T>
__device__ __forceinline__ void last_pass(
    const float *__restrict__ in, const Strides &strides, const Lengths &lengths, int32 joined,
    const int32 *__restrict__ first, const float *__restrict__ weights, const Window &band,
    const float *__restrict__ limits, const Limits &reach, const Step<float> &step,
    T *__restrict__ out, const Places &places)
{
    const uint32 columns = (uint32)lengths.columns, slices = (uint32)lengths.slices;
    const uint32 groups = ((joined ? (slices - 1) * (uint32)strides.slice + columns : columns) + GROUP - 1) / GROUP;
    const uint32 task = blockIdx.x / band.blocks * (blockDim.x / 32) + threadIdx.x / 32;
    const uint32 slice = task / groups, k = (task - slice * groups) * GROUP + threadIdx.x % 32;
    if (slice >= (joined ? 1 : slices)) return;
    const int b = blockIdx.x % band.blocks, start = first[b], j = max(0, -start);
    const float *line = in + slice * strides.slice + (start + j) * strides.row + k;
    float sums[LINES][OUTPUTS] = {};
    add_window<2>(sums, j, min(band.length, band.inputs - start), band, weights + (int64)b * band.length * OUTPUTS,
                  OUTPUTS, [&](float *v) {
#pragma unroll
        for (int i = 0; i < LINES; i++) v[i] = line[32 * i];
        line += strides.row;
    });
    const int o = b * OUTPUTS;
    if (limits) store_lines<true>(sums, k, slice, joined, strides, lengths, o, band, limits, reach, step, out, places);
    else store_lines<false>(sums, k, slice, joined, strides, lengths, o, band, limits, reach, step, out, places);
}

#define LAST_PASS(T) \
    extern "C" __global__ void __launch_bounds__(256, 3) last_pass_##T( \
        const float *__restrict__ in, Strides strides, Lengths lengths, int32 joined, \
        const int32 *__restrict__ first, const float *__restrict__ weights, Window band, \
        const float *__restrict__ limits, Limits reach, Step<float> step, T *__restrict__ out, Places places) \
    { last_pass<T>(in, strides, lengths, joined, first, weights, band, limits, reach, step, out, places); }
LAST_PASS(float32) LAST_PASS(float16) LAST_PASS(int16)

// ---- within planes: rows and columns of a slice in one go, so that no volume is written in between

#define PLANE_ROWS 16    // rows of outputs that a block of threads takes
#define PLANE_PITCH 20   // floats from column to column in shared memory: 16 rows, and no two lanes in a bank
// Blocks of threads that share a multiprocessor; on others than these, shared memory has no room for more than three.
#if __CUDA_ARCH__ == 900 || __CUDA_ARCH__ == 1000 || __CUDA_ARCH__ == 1030
#define PLANE_BLOCKS 4
#else
#define PLANE_BLOCKS 3
#endif

// Inputs at a time along the rows: two where registers suffice.
template <class S, bool SHIFT> struct Ahead { static const int inputs = 1; };
template <> struct Ahead<int16, true> { static const int inputs = 2; };
template <> struct Ahead<float32, true> { static const int inputs = 2; };

template <int N> __device__ __forceinline__ void store_line(float *to, const float *sums) {
#pragma unroll
    for (int t = 0; t < N; t += 4) {
        const float4 four = {sums[t], sums[t + 1], sums[t + 2], sums[t + 3]};
        *(float4 *)(to + t) = four;
    }
}

// plane_pass_S: float32 out[slices][rows.outputs][pitch] = columns' band x rows' band x step(in[slice]).
//   in        neighbouring columns lie beside one another, forwards or backwards; at least 128 of them
//   first_*, weights_*  windows: 16 rows and weights_y[block][input][16], 12 columns and weights_x[input][block][12]
//   left, right  columns of zeros, for what windows reach before the first and beyond the last
//   pitch     floats from row to row of out: 12 for every block of columns, or more; a multiple of 4
//   grid      (rows.blocks, slices), the latter at most 65,535; block 128;
//             80 bytes of dynamic shared memory for each column and those left and right
template <class S, bool SHIFT>
__device__ __forceinline__ void plane_pass(
    const S *__restrict__ in, const Strides &strides, const STEP_OF(S) &step,
    const int32 *__restrict__ first_y, const float *__restrict__ weights_y, const Window &rows,
    const int32 *__restrict__ first_x, const float *__restrict__ weights_x, const Window &columns,
    int32 left, int32 right, float *__restrict__ out, int64 pitch)
{
    extern __shared__ float plane[];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    const int n = columns.inputs, first = first_y[blockIdx.x];
    const bool backwards = strides.column < 0;
    float *lines = plane + left * PLANE_PITCH;
    for (int i = threadIdx.x; i < (left + right) * PLANE_PITCH; i += blockDim.x)
        plane[i < left * PLANE_PITCH ? i : n * PLANE_PITCH + i] = 0.f;
    const int64 slice = blockIdx.y;
    // along the rows: a lane takes four columns, 32 apart, a warp 128. The last 128 begin early enough to be
    // whole; the columns before them are left to others.
    for (int begin = warp * GROUP; begin < n; begin += warps * GROUP) {
        const int k = min(begin, n - GROUP) + lane, j = max(0, -first);
        const S *row = in + slice * strides.slice + (first + j) * strides.row + (backwards ? 1 - n : 0) + k;
        float sums[4][16] = {};
        const float *weights = weights_y + (int64)blockIdx.x * rows.length * 16;
        add_window<Ahead<S, SHIFT>::inputs>(sums, j, min(rows.length, rows.inputs - first), rows, weights, 16, [&](float *v) {
#pragma unroll
            for (int i = 0; i < 4; i++) v[i] = prepared<S, SHIFT>(row[32 * i], step);
            row += strides.row;
        });
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (k + 32 * i >= begin)
                store_line<16>(lines + (backwards ? n - 1 - k - 32 * i : k + 32 * i) * PLANE_PITCH, sums[i]);
    }
    __syncthreads();
    // along the columns: a lane takes four rows of a block, a warp 16 rows of eight blocks
    const int64 y = blockIdx.x * PLANE_ROWS + lane % 4 * 4;
    for (int b = warp * 8 + lane / 4; b < columns.blocks; b += warps * 8) {
        const float *column = lines + first_x[b] * PLANE_PITCH + here(lane) % 4 * 4;
        float sums[4][12] = {};
        add_window<2>(sums, 0, columns.length, columns, weights_x + b * 12, columns.blocks * 12, [&](float *v) {
            const float4 four = *(const float4 *)column;
            v[0] = four.x; v[1] = four.y; v[2] = four.z; v[3] = four.w;
            column += PLANE_PITCH;
        });
        float *target = out + (slice * rows.outputs + y) * pitch + b * 12;
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (y + i < rows.outputs) store_line<12>(target + i * pitch, sums[i]);
    }
}

#define PLANE_PASS(S) \
    extern "C" __global__ void __launch_bounds__(128, PLANE_BLOCKS) plane_pass_##S( \
        const S *__restrict__ in, Strides strides, STEP_OF(S) step, int32 shift, \
        const int32 *__restrict__ first_y, const float *__restrict__ weights_y, Window rows, \
        const int32 *__restrict__ first_x, const float *__restrict__ weights_x, Window columns, \
        int32 left, int32 right, float *__restrict__ out, int64 pitch) \
    { if (shift) \
          plane_pass<S, true>(in, strides, step, first_y, weights_y, rows, first_x, weights_x, columns, \
                              left, right, out, pitch); \
      else \
          plane_pass<S, false>(in, strides, step, first_y, weights_y, rows, first_x, weights_x, columns, \
                               left, right, out, pitch); }
EACH_SOURCE(PLANE_PASS)
