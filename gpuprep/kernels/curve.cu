// Monotone curves of straight segments, voxel by voxel (ops/curve.py): float32 out = curve(in), from 3-D arrays
// of one shape and any strides, axes in the order of the first's memory. With a mask (uint8, or null), voxels
// that are not finite or where it is 0 become 0; without one, what is not finite becomes NaN.
//
// One thread per voxel. Grid (ceil(columns / 128), rows, slices), the last two at most 65,535 (larger ones
// loop); block 128.

template <class S, class Value>
__device__ __forceinline__ void curved(const S *__restrict__ in, const Strides &strides, const Lengths &lengths,
                                       const uint8 *__restrict__ mask, const Strides &mask_strides,
                                       float *__restrict__ out, const Strides &out_strides, Value value) {
    const int64 x = (int64)blockIdx.x * blockDim.x + threadIdx.x;
    if (x >= lengths.columns) return;
    for (int64 z = blockIdx.z; z < lengths.slices; z += gridDim.z)
        for (int64 y = blockIdx.y; y < lengths.rows; y += gridDim.y) {
            const S v = in[offset_of(strides, z, y, x)];
            float found = mask ? 0.f : __uint_as_float(0x7fc00000u);
            if (is_finite(v) && (!mask || mask[offset_of(mask_strides, z, y, x)])) found = value(v);
            out[offset_of(out_strides, z, y, x)] = found;
        }
}

// looked_up_S, U the unsigned type of its size: `table` holds the result of every value, at its bits' place.
#define LOOKED_UP(S, U) \
    extern "C" __global__ void __launch_bounds__(128, 8) looked_up_##S( \
        const S *__restrict__ in, Strides strides, Lengths lengths, const float *__restrict__ table, \
        const uint8 *__restrict__ mask, Strides mask_strides, float *__restrict__ out, Strides out_strides) \
    { curved(in, strides, lengths, mask, mask_strides, out, out_strides, [=](S v) { return table[(U)v]; }); }
LOOKED_UP(int8, uint8) LOOKED_UP(uint8, uint8) LOOKED_UP(int16, uint16) LOOKED_UP(uint16, uint16)

// What a number is held in; where its bucket is: (bits(v - first) >> shift) - base, of `buckets` ones; and how
// many knots a bucket may hold.
struct Curve { float low, high, first; int32 base, shift, buckets, hops; };

// segmented_float32: the segment is that in which the voxel's bucket begins (`starts`), or one of the `hops`
// after it. Of each segment: `x` its knot, `y` the result there, `slopes`, `following` the next one's knot.
extern "C" __global__ void __launch_bounds__(128, 8) segmented_float32(
    const float *__restrict__ in, Strides strides, Lengths lengths, Curve curve, const int32 *__restrict__ starts,
    const float *__restrict__ x, const float *__restrict__ y, const float *__restrict__ slopes,
    const float *__restrict__ following, const uint8 *__restrict__ mask, Strides mask_strides,
    float *__restrict__ out, Strides out_strides) {
    curved(in, strides, lengths, mask, mask_strides, out, out_strides, [=](float voxel) {
        const float v = clipped(voxel, curve.low, curve.high), above = v - curve.first;
        const int32 bits = above > 0.f ? (int32)__float_as_uint(above) : 0;
        const int32 bucket = (bits >> curve.shift) - curve.base;
        int32 k = starts[bucket < 0 ? 0 : bucket >= curve.buckets ? curve.buckets - 1 : bucket];
        for (int32 hop = 0; hop < curve.hops && v >= following[k]; ++hop) ++k;
        return (v - x[k]) * slopes[k] + y[k];
    });
}

// bisected_S, in float64: `count` segments, of which the outer two go on; x ascends.
template <class S>
__device__ __forceinline__ float bisected(S voxel, double low, double high, int32 count, const double *__restrict__ x,
                                          const double *__restrict__ y, const double *__restrict__ slopes) {
    const double v = clipped((double)voxel, low, high);
    int32 first = 0, after = count;
    while (after - first > 1) {
        const int32 middle = (first + after) >> 1;
        if (v >= x[middle]) first = middle; else after = middle;
    }
    return (float)((v - x[first]) * slopes[first] + y[first]);
}

#define BISECTED(S) \
    extern "C" __global__ void __launch_bounds__(128, 8) bisected_##S( \
        const S *__restrict__ in, Strides strides, Lengths lengths, double low, double high, int32 count, \
        const double *__restrict__ x, const double *__restrict__ y, const double *__restrict__ slopes, \
        const uint8 *__restrict__ mask, Strides mask_strides, float *__restrict__ out, Strides out_strides) \
    { curved(in, strides, lengths, mask, mask_strides, out, out_strides, \
             [=](S v) { return bisected(v, low, high, count, x, y, slopes); }); }
BISECTED(int32) BISECTED(float64)
