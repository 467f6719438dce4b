// What every kernel file begins with (loader.py puts it in front; there are no includes): strides of any
// sign, the folded intensity step, and conversions that round as NumPy does.
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

// float16 as its bits, so that no header is needed.
struct float16 { uint16 bits; };

// Lengths and element strides of a volume along three axes that the host puts in order: the last is the
// one that neighbouring threads follow. A stride may be negative; pointers are to voxel (0, 0, 0).
struct Lengths { int64 slices, rows, columns; };
struct Strides { int64 slice, row, column; };

__device__ __forceinline__ int64 offset_of(const Strides &s, int64 slice, int64 row, int64 column) {
    return slice * s.slice + row * s.row + column * s.column;
}

// clip((v - zero) * scale + rest): the line through its own zero keeps small results exact, and clipping
// last meets the bounds exactly. NaN stays NaN.
template <class W> struct Step { W zero, scale, rest, low, high; };

template <class W> __device__ __forceinline__ W clipped(W v, W low, W high) {
    return v < low ? low : v > high ? high : v;
}

template <class W> __device__ __forceinline__ W applied(W v, const Step<W> &step) {
    return clipped((v - step.zero) * step.scale + step.rest, step.low, step.high);
}

// The arithmetic of a stored type: float32 holds every value of at most 16 bits, float64 every int32.
template <class S> struct Arithmetic { typedef float type; };
template <> struct Arithmetic<int32> { typedef double type; };
#define STEP_OF(S) Step<typename Arithmetic<S>::type>

template <class S> __device__ __forceinline__ float prepared(S v, const STEP_OF(S) &step) {
    return (float)applied((typename Arithmetic<S>::type)v, step);
}

// float32 to float16, nearest, halves to even; beyond 65,520 infinite.
__device__ __forceinline__ uint16 half_bits(float v) {
    const uint32 bits = __float_as_uint(v), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
    if (size > 0x7f800000u) return (uint16)(sign | 0x7e00u);                    // NaN
    if (size >= 0x477ff000u) return (uint16)(sign | 0x7c00u);                   // from 65,520
    if (size >= 0x38800000u)                                                    // normal from 2^-14
        return (uint16)(sign | (size + 0xfffu + (size >> 13 & 1u) - 0x38000000u) >> 13);
    if (size <= 0x33000000u) return (uint16)sign;                               // up to 2^-25
    const uint32 shift = 126u - (size >> 23), mantissa = (size & 0x7fffffu) | 0x800000u;
    const uint32 whole = mantissa >> shift, rest = mantissa & ((1u << shift) - 1u), half = 1u << (shift - 1u);
    return (uint16)(sign | (whole + (rest > half || (rest == half && (whole & 1u)))));
}

__device__ __forceinline__ void store(float32 *out, float v) { *out = v; }
__device__ __forceinline__ void store(float32 *out, double v) { *out = (float)v; }
__device__ __forceinline__ void store(float16 *out, float v) { out->bits = half_bits(v); }
__device__ __forceinline__ void store(float16 *out, double v) { out->bits = half_bits((float)v); }
__device__ __forceinline__ void store(int16 *out, float v) {
    *out = (int16)clipped(rintf(v), -32768.f, 32767.f);
}
__device__ __forceinline__ void store(int16 *out, double v) {
    *out = (int16)clipped(rint(v), -32768.0, 32767.0);
}

// MAKE(S) for every stored type of an image, MAKE(S, T) for every pair with a type of a result.
#define EACH_SOURCE(MAKE) MAKE(int8) MAKE(uint8) MAKE(int16) MAKE(uint16) MAKE(int32) MAKE(float32)
#define EACH_TARGET_OF(MAKE, S) MAKE(S, float32) MAKE(S, float16) MAKE(S, int16)
#define EACH_PAIR(MAKE) \
    EACH_TARGET_OF(MAKE, int8) EACH_TARGET_OF(MAKE, uint8) EACH_TARGET_OF(MAKE, int16) \
    EACH_TARGET_OF(MAKE, uint16) EACH_TARGET_OF(MAKE, int32) EACH_TARGET_OF(MAKE, float32)
