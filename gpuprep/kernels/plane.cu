// Rows and columns of a slice resampled in one go, so that no volume is written in between (bands: see window.cuh).

#define PLANE_GROUP 128  // neighbouring columns that a warp takes, 32 apart for each lane
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
    for (int begin = warp * PLANE_GROUP; begin < n; begin += warps * PLANE_GROUP) {
        const int k = min(begin, n - PLANE_GROUP) + lane, j = max(0, -first);
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
