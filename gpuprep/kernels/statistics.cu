// Exact statistics: counts per value, counts of the digits of ordered keys, moments merged in fixed order.
//
// Only integers are added atomically, so that results never depend on which block comes first.

#define CHUNK 4096    // neighbouring voxels of a row that a block takes at a time; at most 2^32 of them in all
#define AHEAD 8       // voxels that a thread loads at a time

// A volume of any strides, with an optional mask beside it that has strides of its own.
template <class S> struct Source {
    const S *voxels;
    Strides strides;
    const uint8 *mask;
    Strides mask_strides;
    Lengths lengths;
};

// Part of a row: `count` voxels from a place on, and flags beside them where there is a mask. Threads take
// neighbouring voxels, several each, and load them all before they look at the first.
template <bool WHOLE, bool MASKED, class S, class Visit>
__device__ __forceinline__ void each_of(const S *__restrict__ voxels, int64 stride, const uint8 *__restrict__ mask,
                                        int64 mask_stride, int count, Visit visit) {
    uint8 flags[AHEAD];
    S values[AHEAD];
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
        const bool inside = WHOLE || (int)(k * blockDim.x + threadIdx.x) < count;
        flags[k] = !inside ? 0 : MASKED ? *mask : 1;
        values[k] = flags[k] ? *voxels : (S)0;
        voxels += blockDim.x * stride;
        if (MASKED) mask += blockDim.x * mask_stride;
    }
#pragma unroll
    for (int k = 0; k < AHEAD; k++) visit(WHOLE && !MASKED ? 1 : flags[k], values[k]);
}

// Call visit(flag, value) for every voxel, by all threads of a warp equally often: votes are legal. The flag
// is the byte beside the voxel (1 where there are none); it is 0, and so is the value, beyond the row.
template <class S, class Visit>
__device__ __forceinline__ void each_voxel(const Source<S> &source, Visit visit) {
    const Lengths &n = source.lengths;
    const uint32 chunks = (uint32)((n.columns + CHUNK - 1) / CHUNK), rows = (uint32)n.rows;
    const uint32 items = (uint32)n.slices * rows * chunks;
    const int64 stride = source.strides.column, mask_stride = source.mask_strides.column;
    const int step = AHEAD * blockDim.x;
    for (uint32 item = blockIdx.x; item < items; item += gridDim.x) {
        const uint32 line = item / chunks, slice = line / rows, row = line - slice * rows;
        const int64 begin = (int64)(item - line * chunks) * CHUNK, x = begin + threadIdx.x;
        const S *voxels = source.voxels + offset_of(source.strides, slice, row, x);
        const uint8 *mask = source.mask + offset_of(source.mask_strides, slice, row, x);
        for (int left = (int)min((int64)CHUNK, n.columns - begin); left > 0; left -= step) {
            if (source.mask) each_of<false, true>(voxels, stride, mask, mask_stride, left, visit);
            else if (left >= step) each_of<true, false>(voxels, stride, mask, mask_stride, left, visit);
            else each_of<false, false>(voxels, stride, mask, mask_stride, left, visit);
            voxels += step * stride;
            mask += step * mask_stride;
        }
    }
}

// histogram_S: counts[i] += voxels of value start + i, for i < bins; other values are left out, so that a
// wide range is counted in several launches. Dynamic shared memory 4 * bins bytes; block a multiple of 32.
template <class S>
__device__ __forceinline__ void histogram(const Source<S> &source, int32 start, int32 bins,
                                          uint64 *__restrict__ counts) {
    extern __shared__ uint32 shared_bins[];
    uint32 *own = shared_bins;
    const bool first_lane = threadIdx.x % 32 == 0;
    clear(own, bins);
    each_voxel(source, [=](bool present, S value) {
        const uint32 bin = (uint32)value - (uint32)start;
        tally(own, present && bin < (uint32)bins ? (int)bin : -1, first_lane);
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
    const bool first_lane = threadIdx.x % 32 == 0;
    clear(own, prefix_count << bits);
    each_voxel(source, [=](bool present, S value) {
        const K key = ordered_key(value);
        const K prefix = shift + bits < 8 * (int)sizeof(K) ? key >> (shift + bits) : 0u;
        int bin = -1;
        if (present && is_finite(value))
            for (int q = 0; q < prefix_count; q++)
                if (prefix == prefixes[q]) bin = q << bits | (int)(key >> shift & ((1u << bits) - 1u));
        tally(own, bin, first_lane);
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

// extent_S: the same for integers of at most 16 bits, without sums: a histogram has them.
template <class S>
__device__ __forceinline__ void extent(const Source<S> &source, double *__restrict__ reals,
                                       uint64 *__restrict__ counts) {
    int32 low = 1 << 30, high = -(1 << 30);
    uint32 present = 0;
    each_voxel(source, [&](bool flag, S value) {
        low = min(low, flag ? (int32)value : low);
        high = max(high, flag ? (int32)value : high);
        present += flag;
    });
    Moments m = NO_VOXELS;
    if (present) {
        m.minimum = low;
        m.maximum = high;
        m.finite = present;
    }
    write_block(m, reals, counts);
}

#define EXTENT(S) \
    extern "C" __global__ void __launch_bounds__(256, 4) extent_##S( \
        const S *__restrict__ in, Strides strides, const uint8 *__restrict__ mask, Strides mask_strides, \
        Lengths lengths, double *__restrict__ reals, uint64 *__restrict__ counts) \
    { const Source<S> source = {in, strides, mask, mask_strides, lengths}; \
      extent<S>(source, reals, counts); }
EXTENT(int8) EXTENT(uint8) EXTENT(int16) EXTENT(uint16)

#define MOMENTS(S) \
    extern "C" __global__ void __launch_bounds__(256, 4) moments_##S( \
        const S *__restrict__ in, Strides strides, const uint8 *__restrict__ mask, Strides mask_strides, \
        Lengths lengths, double low, double high, double shift, double *__restrict__ reals, \
        uint64 *__restrict__ counts) \
    { const Source<S> source = {in, strides, mask, mask_strides, lengths}; \
      moments<S>(source, low, high, shift, reals, counts); }
MOMENTS(int32) MOMENTS(float32) MOMENTS(float64)

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
