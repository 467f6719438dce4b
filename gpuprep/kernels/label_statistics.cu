// Sums and extremes per label in one pass over image and labels.
//
// Labels go by rank: uint8, 0 for voxels that belong to no label, k for the k-th. Every warp adds to a table
// of its own in shared memory, in the order of its voxels, and tables are merged in a fixed order: sums
// of float64 come out the same every time.

#define WARPS 4       // of a block

// ranked_L: uint8 out = place (from 1) of each label among `count` ascending names (at most 255), 0 if absent.
//   grid (ceil(columns / 128), rows, slices), the last two at most 65,535 (larger ones loop); block 128
template <class L>
__device__ __forceinline__ void ranked(const L *__restrict__ in, const Strides &strides, const Lengths &lengths,
                                       const int64 *__restrict__ names, int32 count, uint8 *__restrict__ out,
                                       const Strides &out_strides) {
    const int64 x = (int64)blockIdx.x * blockDim.x + threadIdx.x;
    if (x >= lengths.columns) return;
    for (int64 z = blockIdx.z; z < lengths.slices; z += gridDim.z)
        for (int64 y = blockIdx.y; y < lengths.rows; y += gridDim.y) {
            const int64 label = (int64)in[offset_of(strides, z, y, x)];
            int below = 0;                       // names known to be below the label
            for (int step = 128; step; step /= 2)
                if (below + step <= count && names[below + step - 1] < label) below += step;
            const bool found = below < count && names[below] == label;
            out[offset_of(out_strides, z, y, x)] = (uint8)(found ? below + 1 : 0);
        }
}

#define RANKED(L) \
    extern "C" __global__ void __launch_bounds__(128, 8) ranked_##L( \
        const L *__restrict__ in, Strides strides, Lengths lengths, const int64 *__restrict__ names, \
        int32 count, uint8 *__restrict__ out, Strides out_strides) \
    { ranked<L>(in, strides, lengths, names, count, out, out_strides); }
EACH_LABEL(RANKED)

// Sums of integers of at most 16 bits are exact; those of other voxels are float64.
template <class S> struct Total { typedef int64 type; };
template <> struct Total<int32> { typedef double type; };
template <> struct Total<float32> { typedef double type; };
template <> struct Total<float64> { typedef double type; };

// Of the voxels of one label; sums and extremes are of those that are finite.
template <class T> struct Group {
    T sum, squares;
    double low, high;
    uint32 finite, other;
};

template <class T> __device__ __forceinline__ Group<T> no_voxels() {
    const Group<T> none = {0, 0, 1.0 / 0.0, -1.0 / 0.0, 0, 0};
    return none;
}

template <class T> __device__ __forceinline__ void merge(Group<T> &a, const Group<T> &b) {
    a.sum += b.sum;
    a.squares += b.squares;
    a.low = b.low < a.low ? b.low : a.low;
    a.high = b.high > a.high ? b.high : a.high;
    a.finite += b.finite;
    a.other += b.other;
}

template <class T, class S> __device__ __forceinline__ void add(Group<T> &group, S value) {
    const bool finite = !is_nan(value) && !is_infinite(value);
    const T v = finite ? (T)value : (T)0;
    group.sum += v;
    group.squares += v * v;
    group.low = finite && (double)v < group.low ? (double)v : group.low;
    group.high = finite && (double)v > group.high ? (double)v : group.high;
    group.finite += finite;
    group.other += !finite;
}

// All lanes of a warp together, added to the warp's table by its first lane; `group` is empty afterwards.
template <class T> __device__ __forceinline__ void add_lanes(Group<T> *table, int rank, Group<T> &group) {
    for (int distance = 16; distance; distance /= 2) {
        const Group<T> other = {
            __shfl_down_sync(ALL_LANES, group.sum, distance), __shfl_down_sync(ALL_LANES, group.squares, distance),
            __shfl_down_sync(ALL_LANES, group.low, distance), __shfl_down_sync(ALL_LANES, group.high, distance),
            __shfl_down_sync(ALL_LANES, group.finite, distance), __shfl_down_sync(ALL_LANES, group.other, distance)};
        merge(group, other);
    }
    if (threadIdx.x % 32 == 0) merge(table[rank - 1], group);
    group = no_voxels<T>();
}

// grouped_S: per block and rank (from 1) sums[2 *] = sum and sum of squares, ends[2 *] = minimum and maximum,
// numbers[2 *] = finite and other voxels; entries are numbered block * ranks + rank - 1.
//   in, mask  as in walk.cuh; the mask holds the ranks, those beyond `ranks` are left out
//   block 128; 4 * 40 * ranks bytes of dynamic shared memory
template <class S, class T>
__device__ __forceinline__ void grouped(const Source<S> &source, int32 ranks, T *__restrict__ sums,
                                        double *__restrict__ ends, uint64 *__restrict__ numbers) {
    extern __shared__ double shared_groups[];
    Group<T> *tables = (Group<T> *)shared_groups;
    for (int i = threadIdx.x; i < WARPS * ranks; i += blockDim.x) tables[i] = no_voxels<T>();
    __syncthreads();
    Group<T> *own = tables + threadIdx.x / 32 * ranks, run = no_voxels<T>();
    int current = 1;                             // the rank that `run` collects, while lanes agree on it
    each_voxel(source, [&](int rank, S value) {
        if (rank > ranks) rank = 0;
        const int common = __shfl_sync(ALL_LANES, rank, 0);
        if (__all_sync(ALL_LANES, rank == common)) {
            if (common == 0) return;
            if (common != current) add_lanes(own, current, run);
            current = common;
            add(run, value);
            return;
        }
        for (uint32 left = __ballot_sync(ALL_LANES, rank != 0); left;) {
            const int chosen = __shfl_sync(ALL_LANES, rank, __ffs(left) - 1);
            Group<T> group = no_voxels<T>();
            if (rank == chosen) add(group, value);
            add_lanes(own, chosen, group);
            left &= ~__ballot_sync(ALL_LANES, rank == chosen);
        }
    });
    add_lanes(own, current, run);
    __syncthreads();
    for (int i = threadIdx.x; i < ranks; i += blockDim.x) {
        Group<T> group = tables[i];
        for (int w = 1; w < WARPS; w++) merge(group, tables[w * ranks + i]);
        const int64 entry = 2 * ((int64)blockIdx.x * ranks + i);
        sums[entry] = group.sum;
        sums[entry + 1] = group.squares;
        ends[entry] = group.low;
        ends[entry + 1] = group.high;
        numbers[entry] = group.finite;
        numbers[entry + 1] = group.other;
    }
}

#define GROUPED(S) \
    extern "C" __global__ void __launch_bounds__(128, 8) grouped_##S( \
        const S *__restrict__ in, Strides strides, const uint8 *__restrict__ mask, Strides mask_strides, \
        Lengths lengths, int32 ranks, Total<S>::type *__restrict__ sums, double *__restrict__ ends, \
        uint64 *__restrict__ numbers) \
    { const Source<S> source = {in, strides, mask, mask_strides, lengths}; \
      grouped<S>(source, ranks, sums, ends, numbers); }
EACH_SOURCE(GROUPED)
