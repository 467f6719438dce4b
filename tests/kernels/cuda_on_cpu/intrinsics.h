// Device functions: atomics, bit casts, minima and maxima.
#pragma once

#define READ_MODIFY_WRITE(NAME, RESULT) \
    template <class T, class U> inline T NAME(T *p, U u) { \
        const T v = (T)u; \
        T old, result; \
        __atomic_load(p, &old, __ATOMIC_RELAXED); \
        do result = (RESULT); \
        while (!__atomic_compare_exchange(p, &old, &result, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)); \
        return old; \
    }
READ_MODIFY_WRITE(atomicAdd, old + v)
READ_MODIFY_WRITE(atomicSub, old - v)
READ_MODIFY_WRITE(atomicMin, v < old ? v : old)
READ_MODIFY_WRITE(atomicMax, old < v ? v : old)
READ_MODIFY_WRITE(atomicOr, old | v)
READ_MODIFY_WRITE(atomicAnd, old & v)
READ_MODIFY_WRITE(atomicExch, v)

template <class To, class From> inline To same_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "a bit cast keeps the size");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
inline int __float_as_int(float v) { return same_bits<int>(v); }
inline unsigned __float_as_uint(float v) { return same_bits<unsigned>(v); }
inline long long __double_as_longlong(double v) { return same_bits<long long>(v); }
inline float __int_as_float(int v) { return same_bits<float>(v); }
inline float __uint_as_float(unsigned v) { return same_bits<float>(v); }

inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __clz(int v) { return v ? __builtin_clz(v) : 32; }
inline int __ffs(int v) { return __builtin_ffs(v); }
template <class T> inline T __ldg(const T *p) { return *p; }

#define MIN_MAX(T) \
    inline T min(T a, T b) { return b < a ? b : a; } \
    inline T max(T a, T b) { return a < b ? b : a; }
MIN_MAX(int) MIN_MAX(unsigned) MIN_MAX(long) MIN_MAX(unsigned long) MIN_MAX(long long) MIN_MAX(unsigned long long)
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
