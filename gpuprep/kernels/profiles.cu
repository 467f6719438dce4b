// What a volume looks like along its axes: how many voxels of each slice, row and column count, and the
// extremes of each slice. Integers are added and compared atomically; no result depends on their order.
//
// Volumes have any strides, axes in memory order. Threads take neighbouring columns, and run over ROWS rows.

#define ROWS 256      // that a block takes at a time

// profiles_S: add to slices[], rows[] and columns[] the voxels in each that count under the rule.
//   grid      (ceil(columns / 128), ceil(rows / 256), slices), the last two at most 65,535 (larger ones loop)
//   block 128; 4 * 256 bytes of dynamic shared memory
template <class S>
__device__ __forceinline__ void profiles(const S *__restrict__ in, const Strides &strides, const Lengths &lengths,
                                         const Rule &rule, uint64 *__restrict__ slices, uint64 *__restrict__ rows,
                                         uint64 *__restrict__ columns) {
    extern __shared__ uint32 shared_rows[];
    uint32 *own = shared_rows;
    const int64 x = (int64)blockIdx.x * blockDim.x + threadIdx.x;
    for (int64 z = blockIdx.z; z < lengths.slices; z += gridDim.z)
        for (int64 y0 = (int64)blockIdx.y * ROWS; y0 < lengths.rows; y0 += (int64)gridDim.y * ROWS) {
            const int count = (int)min((int64)ROWS, lengths.rows - y0);
            for (int i = threadIdx.x; i < count; i += blockDim.x) own[i] = 0;
            __syncthreads();
            uint32 column = 0, slice = 0;
#pragma unroll 4
            for (int i = 0; i < count; i++) {
                const bool hit = x < lengths.columns && counts(in[offset_of(strides, z, y0 + i, x)], rule);
                const uint32 hits = __ballot_sync(ALL_LANES, hit);
                column += hit;
                if (hits && threadIdx.x % 32 == 0) atomicAdd(&own[i], (uint32)__popc(hits));
            }
            if (column) atomicAdd(&columns[x], (uint64)column);
            __syncthreads();
            for (int i = threadIdx.x; i < count; i += blockDim.x) {
                if (own[i]) atomicAdd(&rows[y0 + i], (uint64)own[i]);
                slice += own[i];
            }
            for (int distance = 16; distance; distance /= 2) slice += __shfl_down_sync(ALL_LANES, slice, distance);
            if (slice && threadIdx.x % 32 == 0) atomicAdd(&slices[z], (uint64)slice);
            // no barrier: each thread clears the counters that it has just read
        }
}

#define PROFILES(S) \
    extern "C" __global__ void __launch_bounds__(128, 8) profiles_##S( \
        const S *__restrict__ in, Strides strides, Lengths lengths, Rule rule, uint64 *__restrict__ slices, \
        uint64 *__restrict__ rows, uint64 *__restrict__ columns) \
    { profiles<S>(in, strides, lengths, rule, slices, rows, columns); }
EACH_LABEL(PROFILES) PROFILES(float32) PROFILES(float64)

// extremes_S: lows[i] and highs[i] (begun with the largest and the smallest key) take the smallest and the
// largest key of the voxels of slice i, or of column i. Grid and block as above, without shared memory.
template <class S, class K>
__device__ __forceinline__ void extremes(const S *__restrict__ in, const Strides &strides, const Lengths &lengths,
                                         int32 of_columns, K *__restrict__ lows, K *__restrict__ highs) {
    const int64 x = (int64)blockIdx.x * blockDim.x + threadIdx.x;
    for (int64 z = blockIdx.z; z < lengths.slices; z += gridDim.z)
        for (int64 y0 = (int64)blockIdx.y * ROWS; y0 < lengths.rows; y0 += (int64)gridDim.y * ROWS) {
            const int64 y1 = min(y0 + ROWS, lengths.rows);
            K low = ~(K)0, high = 0;
            if (x < lengths.columns)
#pragma unroll 4
                for (int64 y = y0; y < y1; y++) {
                    const K key = ordered_key(in[offset_of(strides, z, y, x)]);
                    low = min(low, key);
                    high = max(high, key);
                }
            if (!of_columns)
                for (int distance = 16; distance; distance /= 2) {
                    low = min(low, __shfl_down_sync(ALL_LANES, low, distance));
                    high = max(high, __shfl_down_sync(ALL_LANES, high, distance));
                }
            if (low > high || !(of_columns || threadIdx.x % 32 == 0)) continue;
            atomicMin(&lows[of_columns ? x : z], low);
            atomicMax(&highs[of_columns ? x : z], high);
        }
}

#define EXTREMES(S) \
    extern "C" __global__ void __launch_bounds__(128, 8) extremes_##S( \
        const S *__restrict__ in, Strides strides, Lengths lengths, int32 of_columns, \
        Key<S>::type *__restrict__ lows, Key<S>::type *__restrict__ highs) \
    { extremes<S>(in, strides, lengths, of_columns, lows, highs); }
EACH_SOURCE(EXTREMES)
