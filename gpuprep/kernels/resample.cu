// One axis of a separable resampling as a product with a banded matrix, eight outputs at a time (bands: see window.cuh).

#define OUTPUTS 8     // of a block
#define LINES 4       // that a thread takes
#define GROUP 128     // neighbouring lines that a warp takes, 32 apart for each lane
#define LANES 32      // rows of the volume that a block of threads of rows_pass takes
#define WARPS 8       // blocks of outputs that it takes
#define TILE 160      // inputs in shared memory at a time: at half resolution eight blocks of a cubic band need 150
#define PITCH 161     // odd: 32 lanes read 32 banks

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
