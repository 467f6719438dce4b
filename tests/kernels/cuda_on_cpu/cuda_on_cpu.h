// Runs CUDA C++ kernels on a CPU, for tests: g++ >= 10 on x86-64 Linux, one OS thread.
//
// Every CUDA thread of a block is a fiber with a stack of its own; blocks run one after another. The
// threads' order is a choice of the launch (forward, reverse, random), so that a missing barrier shows as
// a result that depends on it. Found besides: barriers and warp operations that not all threads reach,
// dead-locks, shared memory read before it is written (it starts as 0xCB), and accesses beyond arrays
// that touch unmapped pages. With -fsanitize=thread, data races between barriers, too.
//
// Not modelled: textures, cooperative groups, inline PTX, waiting between blocks, memory ordering, time.
// Kernels are extern "C" __global__; `extern __shared__` is rewritten by cpu_module.py.
#pragma once
#include <cmath>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>
#include <sys/mman.h>

// ---- the language: keywords, built-in variables, vector types

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define __shared__ static __attribute__((section("static_shared")))   // one block runs at a time

struct uint3 { unsigned x, y, z; };
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
#define VECTORS_OF(T, NAME) \
    struct alignas(2 * sizeof(T)) NAME##2 { T x, y; }; \
    struct alignas(4 * sizeof(T)) NAME##4 { T x, y, z, w; };
VECTORS_OF(short, short) VECTORS_OF(unsigned short, ushort) VECTORS_OF(int, int)
VECTORS_OF(unsigned, uint) VECTORS_OF(float, float) VECTORS_OF(unsigned char, uchar)

static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
static constexpr int warpSize = 32;

#include "races.h"
#include "fibers.h"
#include "launch.h"
#include "collectives.h"
#include "intrinsics.h"
