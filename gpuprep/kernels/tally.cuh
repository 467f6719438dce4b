// A block's counters in shared memory, which become those of all blocks. Only integers are added atomically, so
// that results never depend on which block comes first. All threads of a block take part; block a multiple of 32.

__device__ __forceinline__ void clear(uint32 *bins, int count) {
    for (int i = threadIdx.x; i < count; i += blockDim.x) bins[i] = 0;
    __syncthreads();
}

// Count a bin (-1: none). A warp that agrees, as in air, adds once, by its first lane.
__device__ __forceinline__ void tally(uint32 *bins, int bin, bool first_lane) {
    const bool together = __all_sync(ALL_LANES, bin == __shfl_sync(ALL_LANES, bin, 0));
    if (bin >= 0 && (first_lane || !together)) atomicAdd(&bins[bin], together ? 32u : 1u);
}

__device__ __forceinline__ void add_to(uint64 *__restrict__ totals, const uint32 *bins, int count) {
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += blockDim.x)
        if (bins[i]) atomicAdd(&totals[i], (uint64)bins[i]);
}
