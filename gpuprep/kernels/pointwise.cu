// Kernels that look at each voxel by itself: constants, cleaning, foreground masks, products with a mask.
//
// One thread per voxel; all arrays have the same shape and any strides, axes in the order of the first's
// memory. Grid (ceil(columns / 128), rows, slices), the last two at most 65,535 (larger ones loop); block 128.

template <class Visit> __device__ __forceinline__ void each_place(const Lengths &lengths, Visit visit) {
    const int64 x = (int64)blockIdx.x * blockDim.x + threadIdx.x;
    if (x >= lengths.columns) return;
    for (int64 z = blockIdx.z; z < lengths.slices; z += gridDim.z)
        for (int64 y = blockIdx.y; y < lengths.rows; y += gridDim.y) visit(z, y, x);
}

// fill_T: T out[lengths] = number, of any strides or chunks; floating numbers go by their bits.
template <class T>
__device__ __forceinline__ void fill(const Lengths &lengths, T number, T *__restrict__ out, const Places &places) {
    each_place(lengths, [=](int64 z, int64 y, int64 x) { out[place_of(places, z, y, x)] = number; });
}

#define FILL(T) \
    extern "C" __global__ void __launch_bounds__(128, 8) fill_##T( \
        Lengths lengths, T number, T *__restrict__ out, Places places) \
    { fill<T>(lengths, number, out, places); }
FILL(uint16) FILL(uint32)

// cleaned_S: S out = in, with other numbers for NaN and the infinities.
template <class S>
__device__ __forceinline__ void cleaned(const S *__restrict__ in, const Strides &strides, const Lengths &lengths,
                                        S nan, S above, S below, S *__restrict__ out, const Strides &out_strides) {
    each_place(lengths, [=](int64 z, int64 y, int64 x) {
        const S v = in[offset_of(strides, z, y, x)];
        out[offset_of(out_strides, z, y, x)] = is_nan(v) ? nan : !is_infinite(v) ? v : v > (S)0 ? above : below;
    });
}

#define CLEANED(S) \
    extern "C" __global__ void __launch_bounds__(128, 8) cleaned_##S( \
        const S *__restrict__ in, Strides strides, Lengths lengths, S nan, S above, S below, \
        S *__restrict__ out, Strides out_strides) \
    { cleaned<S>(in, strides, lengths, nan, above, below, out, out_strides); }
CLEANED(float32) CLEANED(float64)

// restored_S_T: T out = in where that is not finite; the other voxels of out stay.
template <class S, class T>
__device__ __forceinline__ void restored(const S *__restrict__ in, const Strides &strides, const Lengths &lengths,
                                         T *__restrict__ out, const Strides &out_strides) {
    each_place(lengths, [=](int64 z, int64 y, int64 x) {
        const S v = in[offset_of(strides, z, y, x)];
        if (!is_finite(v)) out[offset_of(out_strides, z, y, x)] = (T)v;
    });
}

#define RESTORED(S, T) \
    extern "C" __global__ void __launch_bounds__(128, 8) restored_##S##_##T( \
        const S *__restrict__ in, Strides strides, Lengths lengths, T *__restrict__ out, Strides out_strides) \
    { restored<S, T>(in, strides, lengths, out, out_strides); }
RESTORED(float32, float32) RESTORED(float64, float32) RESTORED(float64, float64)

// marked_S: uint8 out = 1 where the voxel counts under the rule, or (`join`) where out was 1 before; else 0.
template <class S>
__device__ __forceinline__ void marked(const S *__restrict__ in, const Strides &strides, const Lengths &lengths,
                                       const Rule &rule, int32 join, uint8 *__restrict__ out,
                                       const Strides &out_strides) {
    each_place(lengths, [=](int64 z, int64 y, int64 x) {
        uint8 &mark = out[offset_of(out_strides, z, y, x)];
        mark = counts(in[offset_of(strides, z, y, x)], rule) || (join && mark);
    });
}

#define MARKED(S) \
    extern "C" __global__ void __launch_bounds__(128, 8) marked_##S( \
        const S *__restrict__ in, Strides strides, Lengths lengths, Rule rule, int32 join, \
        uint8 *__restrict__ out, Strides out_strides) \
    { marked<S>(in, strides, lengths, rule, join, out, out_strides); }
EACH_LABEL(MARKED) MARKED(float32) MARKED(float64)

// outside_L: L out = mark where in and the mask are 0, else in.
template <class L>
__device__ __forceinline__ void outside(const L *__restrict__ in, const Strides &strides, const Lengths &lengths,
                                        L mark, const uint8 *__restrict__ mask, const Strides &mask_strides,
                                        L *__restrict__ out, const Strides &out_strides) {
    each_place(lengths, [=](int64 z, int64 y, int64 x) {
        const L v = in[offset_of(strides, z, y, x)];
        out[offset_of(out_strides, z, y, x)] = v == 0 && !mask[offset_of(mask_strides, z, y, x)] ? mark : v;
    });
}

#define OUTSIDE(L) \
    extern "C" __global__ void __launch_bounds__(128, 8) outside_##L( \
        const L *__restrict__ in, Strides strides, Lengths lengths, L mark, \
        const uint8 *__restrict__ mask, Strides mask_strides, L *__restrict__ out, Strides out_strides) \
    { outside<L>(in, strides, lengths, mark, mask, mask_strides, out, out_strides); }
OUTSIDE(int8) OUTSIDE(int16) OUTSIDE(int32)

// masked_S: float32 out = step(in) where mask is not 0 and the voxel is finite, else 0.
template <class S>
__device__ __forceinline__ void masked(const S *__restrict__ in, const Strides &strides, const Lengths &lengths,
                                       const STEP_OF(S) &step, const uint8 *__restrict__ mask,
                                       const Strides &mask_strides, float *__restrict__ out,
                                       const Strides &out_strides) {
    each_place(lengths, [=](int64 z, int64 y, int64 x) {
        const S v = in[offset_of(strides, z, y, x)];
        const bool inside = is_finite(v) && mask[offset_of(mask_strides, z, y, x)];
        out[offset_of(out_strides, z, y, x)] = inside ? prepared<S>(v, step) : 0.f;
    });
}

#define MASKED(S) \
    extern "C" __global__ void __launch_bounds__(128, 8) masked_##S( \
        const S *__restrict__ in, Strides strides, Lengths lengths, STEP_OF(S) step, \
        const uint8 *__restrict__ mask, Strides mask_strides, float *__restrict__ out, Strides out_strides) \
    { masked<S>(in, strides, lengths, step, mask, mask_strides, out, out_strides); }
EACH_SOURCE(MASKED)
