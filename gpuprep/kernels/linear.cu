// Grids that need few voxels per output, in one kernel without intermediate volumes: linear interpolation
// from eight voxels, and picks (nearest neighbour, crops, grids that coincide) from one.

#define DEPTH 4       // slices of outputs that a thread takes at a time

// Of one output index along an axis: the first of the two voxels around it, and their weights. The second lies
// `apart` voxels further: one, or none where the axis only picks.
struct Tap { int64 below; float low, high; };

// Weights of an axis lie behind one another: m of the voxels below, m of those above.
__device__ __forceinline__ Tap tap_of(const int32 *__restrict__ index, const float *__restrict__ weight,
                                      int64 m, int64 o, int64 stride) {
    const Tap tap = {index[o] * stride, weight[o], weight[m + o]};
    return tap;
}

// The value between four voxels of a slice, of which `v` is the first.
template <class S, bool SHIFT>
__device__ __forceinline__ float within_slice(const S *v, int64 right, int64 down, const Tap &row, const Tap &column,
                                              const STEP_OF(S) &before) {
    float lines[2];
#pragma unroll
    for (int k = 0; k < 2; k++, v += down)
        lines[k] = fmaf(column.high, prepared<S, SHIFT>(v[right], before),
                        column.low * prepared<S, SHIFT>(v[0], before));
    return fmaf(row.high, lines[1], row.low * lines[0]);
}

// linear_S_T: T out[outputs] = store(after(linear(before(in)))); a thread takes four slices of a row and column.
//   in        any strides; axes in its memory order, so that threads of a warp read neighbouring voxels
//   out       any strides or chunks
//   index*, weight*  of the slices, rows and columns: see tap_of; both voxels lie inside the axis
//   outputs   lengths of out
//   grid      (ceil(columns / 128), rows, ceil(slices / 4)), the last two at most 65,535 (larger ones loop); block 128
template <class S, class T, bool SHIFT>
__device__ __forceinline__ void linear(
    const S *__restrict__ in, const Strides &strides, const Lengths &apart, const STEP_OF(S) &before,
    const int32 *__restrict__ index_z, const float *__restrict__ weight_z,
    const int32 *__restrict__ index_y, const float *__restrict__ weight_y,
    const int32 *__restrict__ index_x, const float *__restrict__ weight_x,
    const Lengths &outputs, const Step<float> &after, T *__restrict__ out, const Places &places)
{
    const int64 x = (int64)blockIdx.x * blockDim.x + threadIdx.x;
    if (x >= outputs.columns) return;
    const Tap c = tap_of(index_x, weight_x, outputs.columns, x, strides.column);
    const int64 right = apart.columns * strides.column, down = apart.rows * strides.row;
    const int64 behind = apart.slices * strides.slice;
    T *column = out + place_along(x, places, places.chunks.column, places.voxels.column);
    for (int64 y = blockIdx.y; y < outputs.rows; y += gridDim.y) {
        const Tap b = tap_of(index_y, weight_y, outputs.rows, y, strides.row);
        const S *line = in + c.below + b.below;
        T *target = column + place_along(y, places, places.chunks.row, places.voxels.row);
        for (int64 z0 = (int64)blockIdx.z * DEPTH; z0 < outputs.slices; z0 += (int64)gridDim.z * DEPTH) {
#pragma unroll
            for (int k = 0; k < DEPTH; k++) {
                const int64 z = z0 + k;
                if (z >= outputs.slices) break;
                const Tap a = tap_of(index_z, weight_z, outputs.slices, z, strides.slice);
                const S *v = line + a.below;
                const float near = within_slice<S, SHIFT>(v, right, down, b, c, before);
                const float far = within_slice<S, SHIFT>(v + behind, right, down, b, c, before);
                store(target + place_along(z, places, places.chunks.slice, places.voxels.slice),
                      applied(fmaf(a.high, far, a.low * near), after));
            }
        }
    }
}

#define LINEAR(S, T) \
    extern "C" __global__ void __launch_bounds__(128, 8) linear_##S##_##T( \
        const S *__restrict__ in, Strides strides, Lengths apart, STEP_OF(S) before, int32 shift, \
        const int32 *__restrict__ index_z, const float *__restrict__ weight_z, \
        const int32 *__restrict__ index_y, const float *__restrict__ weight_y, \
        const int32 *__restrict__ index_x, const float *__restrict__ weight_x, \
        Lengths outputs, Step<float> after, T *__restrict__ out, Places places) \
    { if (shift) \
          linear<S, T, true>(in, strides, apart, before, index_z, weight_z, index_y, weight_y, index_x, weight_x, \
                             outputs, after, out, places); \
      else \
          linear<S, T, false>(in, strides, apart, before, index_z, weight_z, index_y, weight_y, index_x, weight_x, \
                              outputs, after, out, places); }
EACH_PAIR(LINEAR)

// pick_S_T: T out[outputs] = store(step(in[index_z][index_y][index_x])); grid and block as above.
template <class S, class T>
__device__ __forceinline__ void pick(
    const S *__restrict__ in, const Strides &strides, const int32 *__restrict__ index_z,
    const int32 *__restrict__ index_y, const int32 *__restrict__ index_x, const Lengths &outputs,
    const STEP_OF(S) &step, T *__restrict__ out, const Places &places)
{
    const int64 x = (int64)blockIdx.x * blockDim.x + threadIdx.x;
    if (x >= outputs.columns) return;
    for (int64 z = blockIdx.z; z < outputs.slices; z += gridDim.z)
        for (int64 y = blockIdx.y; y < outputs.rows; y += gridDim.y) {
            const S v = in[offset_of(strides, index_z[z], index_y[y], index_x[x])];
            store(out + place_of(places, z, y, x), applied((typename Arithmetic<S>::type)v, step));
        }
}

#define PICK(S, T) \
    extern "C" __global__ void __launch_bounds__(128, 8) pick_##S##_##T( \
        const S *__restrict__ in, Strides strides, const int32 *__restrict__ index_z, \
        const int32 *__restrict__ index_y, const int32 *__restrict__ index_x, Lengths outputs, \
        STEP_OF(S) step, T *__restrict__ out, Places places) \
    { pick<S, T>(in, strides, index_z, index_y, index_x, outputs, step, out, places); }
EACH_PAIR(PICK)
