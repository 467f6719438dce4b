// What every kernel file begins with (loader.py puts it in front; there are no includes): strides of any
// sign, chunked results, the folded intensity step, and conversions that round as NumPy does.
//
// Compiled with --fmad=false: a product and a sum are rounded separately unless fmaf is written. The same
// source then gives the same bits on a GPU and on a CPU.

typedef signed char int8;
typedef unsigned char uint8;
typedef short int16;
typedef unsigned short uint16;
typedef int int32;
typedef unsigned int uint32;
typedef long long int64;
typedef unsigned long long uint64;
typedef float float32;
typedef double float64;

// float16 as its bits, so that no header is needed.
struct float16 { uint16 bits; };

// Lengths and element strides of a volume along three axes that the host puts in order: the last is the
// one that neighbouring threads follow. A stride may be negative; pointers are to voxel (0, 0, 0).
struct Lengths { int64 slices, rows, columns; };
struct Strides { int64 slice, row, column; };

__device__ __forceinline__ int64 offset_of(const Strides &s, int64 slice, int64 row, int64 column) {
    return slice * s.slice + row * s.row + column * s.column;
}

// Where results lie: voxel i of an axis is voxel i % edge of chunk i / edge, the latter as i * inverse >> 32
// (the host keeps axes short enough). A plain array is one endless chunk: its inverse is 0.
struct Places { Strides chunks, voxels; uint32 edge, inverse; };

__device__ __forceinline__ int64 place_along(int64 index, const Places &p, int64 chunk_stride, int64 voxel_stride) {
    const uint32 i = (uint32)index, chunk = (uint32)((uint64)i * p.inverse >> 32);
    return chunk * chunk_stride + (i - chunk * p.edge) * voxel_stride;
}

__device__ __forceinline__ int64 place_of(const Places &p, int64 slice, int64 row, int64 column) {
    return place_along(slice, p, p.chunks.slice, p.voxels.slice) + place_along(row, p, p.chunks.row, p.voxels.row) +
           place_along(column, p, p.chunks.column, p.voxels.column);
}

// clip((v - zero) * scale + rest): the line through its own zero keeps small results exact, and clipping
// last meets the bounds exactly. NaN stays NaN.
template <class W> struct Step { W zero, scale, rest, low, high; };

// Of two zeros the positive one is larger, as in the hardware's minimum and maximum; NaN stays NaN.
__device__ __forceinline__ float clipped(float v, float low, float high) {
#if __CUDA_ARCH__ >= 800
    asm("max.NaN.f32 %0, %0, %1;" : "+f"(v) : "f"(low));
    asm("min.NaN.f32 %0, %0, %1;" : "+f"(v) : "f"(high));
#else
    v = v < low ? low : v == low ? __uint_as_float(__float_as_uint(v) & __float_as_uint(low)) : v;
    v = v > high ? high : v == high ? __uint_as_float(__float_as_uint(v) | __float_as_uint(high)) : v;
#endif
    return v;
}
__device__ __forceinline__ double clipped(double v, double low, double high) {
    return v < low ? low : v > high ? high : v;
}

template <class W> __device__ __forceinline__ W applied(W v, const Step<W> &step) {
    return clipped((v - step.zero) * step.scale + step.rest, step.low, step.high);
}

// The arithmetic of a stored type: float32 holds every value of at most 16 bits, float64 every int32.
template <class S> struct Arithmetic { typedef float type; };
template <> struct Arithmetic<int32> { typedef double type; };
template <> struct Arithmetic<float64> { typedef double type; };
#define STEP_OF(S) Step<typename Arithmetic<S>::type>

// SHIFT: the step is known to be v - zero, which gives the same bits with a third of the instructions.
template <class S, bool SHIFT> __device__ __forceinline__ float prepared(S v, const STEP_OF(S) &step) {
    const typename Arithmetic<S>::type wide = v;
    return (float)(SHIFT ? wide - step.zero : applied(wide, step));
}
template <class S> __device__ __forceinline__ float prepared(S v, const STEP_OF(S) &step) {
    return prepared<S, false>(v, step);
}

// float32 to float16, nearest, halves to even; from 65,520 on infinite. A GPU has an instruction for it; what
// stands in for it elsewhere gives the same bits, but for those of NaN.
__device__ __forceinline__ uint16 half_bits(float v) {
#ifdef __CUDA_ARCH__
    uint16 converted;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(converted) : "f"(v));
    return converted;
#else
    const uint32 bits = __float_as_uint(v), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
    if (size > 0x7f800000u) return (uint16)(sign | 0x7e00u);                    // NaN
    if (size >= 0x477ff000u) return (uint16)(sign | 0x7c00u);                   // from 65,520
    if (size >= 0x38800000u)                                                    // normal from 2^-14
        return (uint16)(sign | (size + 0xfffu + (size >> 13 & 1u) - 0x38000000u) >> 13);
    if (size <= 0x33000000u) return (uint16)sign;                               // up to 2^-25
    const uint32 shift = 126u - (size >> 23), mantissa = (size & 0x7fffffu) | 0x800000u;
    const uint32 whole = mantissa >> shift, rest = mantissa & ((1u << shift) - 1u), half = 1u << (shift - 1u);
    return (uint16)(sign | (whole + (rest > half || (rest == half && (whole & 1u)))));
#endif
}

// float64 to float32 for a second rounding: towards zero, with the last bit set where anything is lost.
__device__ __forceinline__ float rounded_to_odd(double v) {
    const float near = (float)v;
    if ((double)near == v) return near;
    const uint32 bits = __float_as_uint(near);
    return __uint_as_float((fabs((double)near) > fabs(v) ? bits - 1u : bits) | 1u);
}

__device__ __forceinline__ void store(float32 *out, float v) { *out = v; }
__device__ __forceinline__ void store(float32 *out, double v) { *out = (float)v; }
__device__ __forceinline__ void store(float16 *out, float v) { out->bits = half_bits(v); }
__device__ __forceinline__ void store(float16 *out, double v) { out->bits = half_bits(rounded_to_odd(v)); }
__device__ __forceinline__ void store(int16 *out, float v) {
    *out = (int16)clipped(rintf(v), -32768.f, 32767.f);
}
__device__ __forceinline__ void store(int16 *out, double v) {
    *out = (int16)clipped(rint(v), -32768.0, 32767.0);
}

// Unsigned numbers that order as the values do; integers of at most 32 bits go as int32.
template <class S> struct Key { typedef uint32 type; };
template <> struct Key<float64> { typedef uint64 type; };

__device__ __forceinline__ uint32 ordered_key(int32 v) { return (uint32)v ^ 0x80000000u; }
__device__ __forceinline__ uint32 ordered_key(float v) {
    const uint32 bits = __float_as_uint(v);
    return bits ^ ((uint32)((int32)bits >> 31) | 0x80000000u);
}
__device__ __forceinline__ uint64 ordered_key(double v) {
    const uint64 bits = (uint64)__double_as_longlong(v);
    return bits ^ ((uint64)((int64)bits >> 63) | 0x8000000000000000ull);
}

template <class S> __device__ __forceinline__ bool is_nan(S v) { return v != v; }
template <class S> __device__ __forceinline__ bool is_finite(S v) { return v - v == v - v; }
template <class S> __device__ __forceinline__ bool is_infinite(S v) { return v == v && !is_finite(v); }

// Which voxels count: of the finite ones those above the threshold, or all that are not zero.
struct Rule { double threshold; int32 above; };

template <class S> __device__ __forceinline__ bool counts(S v, const Rule &rule) {
    return is_finite(v) && (rule.above ? (double)v > rule.threshold : v != (S)0);
}

#define ALL_LANES 0xffffffffu

// MAKE(S) for every stored type of an image, MAKE(S, T) for every pair with a type of a result; MAKE(L) for
// every type of a label map.
#define EACH_SOURCE(MAKE) \
    MAKE(int8) MAKE(uint8) MAKE(int16) MAKE(uint16) MAKE(int32) MAKE(float32) MAKE(float64)
#define EACH_TARGET_OF(MAKE, S) MAKE(S, float32) MAKE(S, float16) MAKE(S, int16)
#define EACH_PAIR(MAKE) \
    EACH_TARGET_OF(MAKE, int8) EACH_TARGET_OF(MAKE, uint8) EACH_TARGET_OF(MAKE, int16) \
    EACH_TARGET_OF(MAKE, uint16) EACH_TARGET_OF(MAKE, int32) EACH_TARGET_OF(MAKE, float32) \
    EACH_TARGET_OF(MAKE, float64)
#define EACH_LABEL(MAKE) \
    MAKE(int8) MAKE(uint8) MAKE(int16) MAKE(uint16) MAKE(int32) MAKE(uint32) MAKE(int64) MAKE(uint64)
