// The median of every voxel's cube of 3 or 5 voxels along each axis (ops/median.py); beyond an edge its voxels
// go on. Equal in value to NumPy's and SciPy's, whatever the dtype; NaN is not expected.
//
// Values are compared as unsigned keys that order as they do, by networks of minima and maxima in registers:
// every index below is known when the source is compiled, so that arrays become registers, and whatever leads
// to no result is left out by the compiler. A thread finds two medians, one slice apart: their cubes share all
// but one slice each. Of the shared ones only the ranks are kept that the last slice can still make the median.
//
// Counted for 5 voxels, per result: about 1,270 minima and maxima. Bisection, the other way that needs no
// memory, reads 125 keys from shared memory for each of 16 or 32 bits, and compares and counts each of them.

#define ROWS 4
#define COLUMNS 32

// Bits as unsigned numbers that order as the values do, or back from these: the highest bit turned where it is
// a sign, and all bits of negative floating numbers.
enum Order : int32 { UNSIGNED, SIGNED, FLOATING };

template <class U> __device__ __forceinline__ U turned(U bits, int32 order, bool negative) {
    const U sign = (U)((U)1 << (8 * sizeof(U) - 1));
    return (U)(order == UNSIGNED ? bits : order == FLOATING && negative ? ~bits : bits ^ sign);
}
template <class U> __device__ __forceinline__ U key_of(U bits, int32 order) {
    return turned(bits, order, bits >> (8 * sizeof(U) - 1));
}
template <class U> __device__ __forceinline__ U bits_of(U key, int32 order) {
    return turned(key, order, !(key >> (8 * sizeof(U) - 1)));
}

// Keys are compared in registers of 32 or 64 bits.
template <class U> struct Register { typedef uint32 type; };
template <> struct Register<uint64> { typedef uint64 type; };

// Two ascending runs, every STEP-th of a and of b, as one: Batcher's odd-even merge (Knuth 3, 5.3.4).
template <int M, int N, int STEP, class K>
__device__ __forceinline__ void merge(const K *a, const K *b, K *out) {
    if constexpr (M == 0 || N == 0) {
#pragma unroll
        for (int i = 0; i < M + N; i++) out[i] = M ? a[i * STEP] : b[i * STEP];
    } else if constexpr (M == 1 && N == 1) {
        out[0] = min(*a, *b);
        out[1] = max(*a, *b);
    } else {
        constexpr int EVEN = (M + 1) / 2 + (N + 1) / 2, ODD = M / 2 + N / 2;
        K even[EVEN], odd[ODD];
        merge<(M + 1) / 2, (N + 1) / 2, 2 * STEP>(a, b, even);
        merge<M / 2, N / 2, 2 * STEP>(a + STEP, b + STEP, odd);
        out[0] = even[0];
#pragma unroll
        for (int i = 0; i < ODD; i++) {
            out[2 * i + 1] = i + 1 < EVEN ? min(odd[i], even[i + 1 < EVEN ? i + 1 : 0]) : odd[i];
            if (i + 1 < EVEN) out[2 * i + 2] = max(odd[i], even[i + 1]);
        }
        if constexpr (EVEN == ODD + 2) out[M + N - 1] = even[EVEN - 1];
    }
}

template <int N, class K> __device__ __forceinline__ void sort(K *run) {
    if constexpr (N > 1) {
        sort<N / 2>(run);
        sort<N - N / 2>(run + N / 2);
        K sorted[N];
        merge<N / 2, N - N / 2, 1>(run, run + N / 2, sorted);
#pragma unroll
        for (int i = 0; i < N; i++) run[i] = sorted[i];
    }
}

// The keys of SIZE rows and columns of a tile, ascending; `tile` is their first one.
template <int SIZE, class K> __device__ __forceinline__ void read_square(const K *tile, K *run) {
#pragma unroll
    for (int i = 0; i < SIZE * SIZE; i++) run[i] = tile[i / SIZE * (COLUMNS + SIZE - 1) + i % SIZE];
    sort<SIZE * SIZE>(run);
}

__device__ __forceinline__ int64 inside(int64 index, int64 length) {
    return index < 0 ? 0 : index < length ? index : length - 1;
}

// What two cubes share, of which `kept` are the ranks that matter: SIZE² + 1 of them, in the middle.
template <int SIZE, class K> struct Shared {
    static constexpr int SQUARE = SIZE * SIZE, SLICE = (ROWS + SIZE - 1) * (COLUMNS + SIZE - 1);
    K kept[SQUARE + 1];

    // From the second slice of a tile on.
    __device__ __forceinline__ Shared(const K *tile) {
        K first[SQUARE], second[SQUARE], pair[2 * SQUARE];
        read_square<SIZE>(tile, first);
        read_square<SIZE>(tile + SLICE, second);
        merge<SQUARE, SQUARE, 1>(first, second, pair);
        if constexpr (SIZE == 3) {
            keep<SQUARE, 2 * SQUARE>(pair, kept);
        } else {  // a slice at a time needs fewer registers than two pairs
            // 3 slices: of rank r, r - 1 are below and 75 - r above; with 63 of either it is no median of 125
            K three[3 * SQUARE], four[4 * SQUARE - 24];
            read_square<SIZE>(tile + 2 * SLICE, first);
            merge<2 * SQUARE, SQUARE, 1>(pair, first, three);
            read_square<SIZE>(tile + 3 * SLICE, second);
            merge<3 * SQUARE - 24, SQUARE, 1>(three + 12, second, four);
            keep<SQUARE, 4 * SQUARE - 24>(four, kept);
        }
    }

    template <int KEPT, int OF> static __device__ __forceinline__ void keep(const K *run, K *kept) {
#pragma unroll
        for (int i = 0; i <= KEPT; i++) kept[i] = run[(OF - KEPT) / 2 + i];
    }

    // The median with one more square: the least of the bounds of i kept ones and as many others as that lacks.
    __device__ __forceinline__ K median_with(const K *tile) const {
        K run[SQUARE], found = kept[SQUARE];
        read_square<SIZE>(tile, run);
#pragma unroll
        for (int i = 0; i < SQUARE; i++) found = min(found, max(kept[i], run[SQUARE - 1 - i]));
        return found;
    }
};

// median_three_U, median_five_U: out[outputs], whose voxel (0, 0, 0) is voxel `begin` of in; both of any strides,
// axes in the order of in's memory. U is the unsigned type of the voxels' size, and `order` what their bits mean.
//   grid  (ceil(columns / 32), ceil(rows / 4), ceil(slices / 2)), the last two at most 65,535 (larger ones
//         loop); block 128: a thread per row and column of two slices
template <int SIZE, class U, class K>
__device__ __forceinline__ void median(
    const U *__restrict__ in, const Strides &strides, const Lengths &lengths, const Lengths &begin, int32 order,
    U *__restrict__ out, const Strides &out_strides, const Lengths &outputs, K *tile)
{
    constexpr int WIDTH = COLUMNS + SIZE - 1, SLICE = Shared<SIZE, K>::SLICE;
    const int column = threadIdx.x % COLUMNS, row = threadIdx.x / COLUMNS;
    const int64 x = (int64)blockIdx.x * COLUMNS;
    for (int64 z = 2 * (int64)blockIdx.z; z < outputs.slices; z += 2 * (int64)gridDim.z)
        for (int64 y = ROWS * (int64)blockIdx.y; y < outputs.rows; y += ROWS * (int64)gridDim.y) {
            __syncthreads();  // the tile before is done with
            for (int i = threadIdx.x; i < (SIZE + 1) * SLICE; i += ROWS * COLUMNS)
                tile[i] = key_of(in[offset_of(
                    strides, inside(begin.slices + z + i / SLICE - SIZE / 2, lengths.slices),
                    inside(begin.rows + y + i % SLICE / WIDTH - SIZE / 2, lengths.rows),
                    inside(begin.columns + x + i % WIDTH - SIZE / 2, lengths.columns))], order);
            __syncthreads();
            if (y + row >= outputs.rows || x + column >= outputs.columns) continue;
            const K *own = tile + row * WIDTH + column;
            const Shared<SIZE, K> shared(own + SLICE);
            U *to = out + offset_of(out_strides, z, y + row, x + column);
            *to = bits_of((U)shared.median_with(own), order);
            if (z + 1 < outputs.slices)
                to[out_strides.slice] = bits_of((U)shared.median_with(own + SIZE * SLICE), order);
        }
}

#define MEDIAN(NAME, SIZE, U, BLOCKS) \
    extern "C" __global__ void __launch_bounds__(128, BLOCKS) median_##NAME##_##U( \
        const U *__restrict__ in, Strides strides, Lengths lengths, Lengths begin, int32 order, \
        U *__restrict__ out, Strides out_strides, Lengths outputs) \
    { \
        typedef Register<U>::type K; \
        __shared__ K tile[(SIZE + 1) * Shared<SIZE, K>::SLICE]; \
        median<SIZE>(in, strides, lengths, begin, order, out, out_strides, outputs, tile); \
    }
#define MEDIANS_OF(U, OF_3, OF_5) MEDIAN(three, 3, U, OF_3) MEDIAN(five, 5, U, OF_5)
MEDIANS_OF(uint8, 8, 4) MEDIANS_OF(uint16, 8, 4) MEDIANS_OF(uint32, 8, 4) MEDIANS_OF(uint64, 6, 2)
