// Exact statistics: counts per value, counts of the digits of ordered keys, moments merged in fixed order.
//
// Only integers are added atomically, so that results never depend on which block comes first.

#define CHUNK 4096    // neighbouring voxels of a row that a block takes at a time

// A volume of any strides, with an optional mask beside it that has strides of its own.
template <class S> struct Source {
    const S *voxels;
    Strides strides;
    const uint8 *mask;
    Strides mask_strides;
    Lengths lengths;
};

// Call visit(flag, value) for every voxel, by all threads of a warp equally often: votes are legal. The flag
// is the byte beside the voxel (1 where there are none); it is 0, and so is the value, beyond the row.
template <class S, class Visit>
__device__ __forceinline__ void each_voxel(const Source<S> &source, Visit visit) {
    const Lengths &n = source.lengths;
    const int64 chunks = (n.columns + CHUNK - 1) / CHUNK, items = n.slices * n.rows * chunks;
    for (int64 item = blockIdx.x; item < items; item += gridDim.x) {
        const int64 slice = item / chunks / n.rows, row = item / chunks % n.rows;
        const S *voxels = source.voxels + offset_of(source.strides, slice, row, 0);
        const uint8 *mask = source.mask + offset_of(source.mask_strides, slice, row, 0);
        const int64 begin = item % chunks * CHUNK, end = min(begin + CHUNK, n.columns);
        for (int64 x0 = begin; x0 < end; x0 += blockDim.x) {
            const int64 x = x0 + threadIdx.x;
            const uint8 flag = x >= end ? 0 : source.mask ? mask[x * source.mask_strides.column] : 1;
            visit(flag, flag ? voxels[x * source.strides.column] : (S)0);
        }
    }
}

__device__ __forceinline__ void clear(uint32 *bins, int count) {
    for (int i = threadIdx.x; i < count; i += blockDim.x) bins[i] = 0;
    __syncthreads();
}

// Count a bin (-1: none). A warp that agrees, as in air, adds once.
__device__ __forceinline__ void tally(uint32 *bins, int bin) {
    const int common = __shfl_sync(ALL_LANES, bin, 0);
    if (__all_sync(ALL_LANES, bin == common)) {
        if (common >= 0 && threadIdx.x % 32 == 0) atomicAdd(&bins[common], 32u);
    } else if (bin >= 0)
        atomicAdd(&bins[bin], 1u);
}

__device__ __forceinline__ void add_to(uint64 *__restrict__ totals, const uint32 *bins, int count) {
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += blockDim.x)
        if (bins[i]) atomicAdd(&totals[i], (uint64)bins[i]);
}

// histogram_S: counts[i] += voxels of value start + i, for i < bins; other values are left out, so that a
// wide range is counted in several launches. Dynamic shared memory 4 * bins bytes; block a multiple of 32.
template <class S>
__device__ __forceinline__ void histogram(const Source<S> &source, int32 start, int32 bins,
                                          uint64 *__restrict__ counts) {
    extern __shared__ uint32 shared_bins[];
    uint32 *own = shared_bins;
    clear(own, bins);
    each_voxel(source, [=](bool present, S value) {
        const int64 bin = (int64)value - start;
        tally(own, present && bin >= 0 && bin < bins ? (int)bin : -1);
    });
    add_to(counts, own, bins);
}

#define HISTOGRAM(S) \
    extern "C" __global__ void __launch_bounds__(256, 4) histogram_##S( \
        const S *__restrict__ in, Strides strides, const uint8 *__restrict__ mask, Strides mask_strides, \
        Lengths lengths, int32 start, int32 bins, uint64 *__restrict__ counts) \
    { const Source<S> source = {in, strides, mask, mask_strides, lengths}; \
      histogram<S>(source, start, bins, counts); }
HISTOGRAM(int8) HISTOGRAM(uint8) HISTOGRAM(int16) HISTOGRAM(uint16) HISTOGRAM(int32)

// digits_S, one round of a radix selection: counts[q << bits | d] += finite voxels whose key begins with
// prefixes[q] (distinct) and goes on with the digit d of `bits` bits, below which `shift` bits remain.
// Dynamic shared memory 4 * (prefix_count << bits) bytes; block a multiple of 32.
template <class S, class K>
__device__ __forceinline__ void digits(const Source<S> &source, const K *__restrict__ prefixes, int32 prefix_count,
                                       int32 shift, int32 bits, uint64 *__restrict__ counts) {
    extern __shared__ uint32 shared_bins[];
    uint32 *own = shared_bins;
    clear(own, prefix_count << bits);
    each_voxel(source, [=](bool present, S value) {
        const K key = ordered_key(value);
        const K prefix = shift + bits < 8 * (int)sizeof(K) ? key >> (shift + bits) : 0u;
        int bin = -1;
        if (present && is_finite(value))
            for (int q = 0; q < prefix_count; q++)
                if (prefix == prefixes[q]) bin = q << bits | (int)(key >> shift & ((1u << bits) - 1u));
        tally(own, bin);
    });
    add_to(counts, own, prefix_count << bits);
}

#define DIGITS(S) \
    extern "C" __global__ void __launch_bounds__(256, 4) digits_##S( \
        const S *__restrict__ in, Strides strides, const uint8 *__restrict__ mask, Strides mask_strides, \
        Lengths lengths, const Key<S>::type *__restrict__ prefixes, int32 prefix_count, int32 shift, \
        int32 bits, uint64 *__restrict__ counts) \
    { const Source<S> source = {in, strides, mask, mask_strides, lengths}; \
      digits<S>(source, prefixes, prefix_count, shift, bits, counts); }
DIGITS(int32) DIGITS(float32) DIGITS(float64)

// ---- moments: float64, every thread over its own voxels, then trees of fixed shape

// Sums are of (clip(v, low, high) - shift) over finite v; minimum and maximum of all v but NaN, unclipped.
struct Moments { double sum, squares, minimum, maximum; uint64 finite, nan, infinite; };

#define NO_VOXELS {0.0, 0.0, 1.0 / 0.0, -1.0 / 0.0, 0, 0, 0}

__device__ __forceinline__ void merge(Moments &a, const Moments &b) {
    a.sum += b.sum;
    a.squares += b.squares;
    a.minimum = b.minimum < a.minimum ? b.minimum : a.minimum;
    a.maximum = b.maximum > a.maximum ? b.maximum : a.maximum;
    a.finite += b.finite;
    a.nan += b.nan;
    a.infinite += b.infinite;
}

__device__ __forceinline__ Moments lower_lane(const Moments &m, int distance) {
    const Moments other = {
        __shfl_down_sync(ALL_LANES, m.sum, distance), __shfl_down_sync(ALL_LANES, m.squares, distance),
        __shfl_down_sync(ALL_LANES, m.minimum, distance), __shfl_down_sync(ALL_LANES, m.maximum, distance),
        __shfl_down_sync(ALL_LANES, m.finite, distance), __shfl_down_sync(ALL_LANES, m.nan, distance),
        __shfl_down_sync(ALL_LANES, m.infinite, distance)};
    return other;
}

// The block's threads together, written by thread 0 as entry blockIdx.x; block a multiple of 32.
__device__ void write_block(Moments m, double *__restrict__ reals, uint64 *__restrict__ counts) {
    __shared__ Moments warps[32];
    for (int distance = 16; distance; distance /= 2) merge(m, lower_lane(m, distance));
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = m;
    __syncthreads();
    if (threadIdx.x) return;
    for (int w = 1; w < blockDim.x / 32; w++) merge(m, warps[w]);
    const double four[4] = {m.sum, m.squares, m.minimum, m.maximum};
    const uint64 three[3] = {m.finite, m.nan, m.infinite};
    for (int i = 0; i < 4; i++) reals[4 * (int64)blockIdx.x + i] = four[i];
    for (int i = 0; i < 3; i++) counts[3 * (int64)blockIdx.x + i] = three[i];
}

// moments_S: per block b its reals[4 b ...] = sum, squares, minimum, maximum and counts[3 b ...] = finite,
// NaN, infinite. The split over blocks follows from gridDim and lengths, not from the device.
template <class S>
__device__ __forceinline__ void moments(const Source<S> &source, double low, double high, double shift,
                                        double *__restrict__ reals, uint64 *__restrict__ counts) {
    Moments m = NO_VOXELS;
    each_voxel(source, [&](bool present, S value) {
        if (!present) return;
        const double v = (double)value, d = clipped(v, low, high) - shift;
        m.minimum = v < m.minimum ? v : m.minimum;
        m.maximum = v > m.maximum ? v : m.maximum;
        if (is_nan(value)) m.nan++;
        else if (is_infinite(value)) m.infinite++;
        else {
            m.sum += d;
            m.squares = fma(d, d, m.squares);
            m.finite++;
        }
    });
    write_block(m, reals, counts);
}

#define MOMENTS(S) \
    extern "C" __global__ void __launch_bounds__(256, 4) moments_##S( \
        const S *__restrict__ in, Strides strides, const uint8 *__restrict__ mask, Strides mask_strides, \
        Lengths lengths, double low, double high, double shift, double *__restrict__ reals, \
        uint64 *__restrict__ counts) \
    { const Source<S> source = {in, strides, mask, mask_strides, lengths}; \
      moments<S>(source, low, high, shift, reals, counts); }
EACH_SOURCE(MOMENTS)

// merge_moments: the entries of `blocks` blocks as one, in index order per thread. One block of threads.
extern "C" __global__ void __launch_bounds__(256, 4) merge_moments(
    const double *__restrict__ reals, const uint64 *__restrict__ counts, int32 blocks,
    double *__restrict__ merged_reals, uint64 *__restrict__ merged_counts)
{
    Moments m = NO_VOXELS;
    for (int64 b = threadIdx.x; b < blocks; b += blockDim.x) {
        const Moments part = {reals[4 * b], reals[4 * b + 1], reals[4 * b + 2], reals[4 * b + 3],
                              counts[3 * b], counts[3 * b + 1], counts[3 * b + 2]};
        merge(m, part);
    }
    write_block(m, merged_reals, merged_counts);
}
