// Grids that need few voxels per output, in one kernel without intermediate volumes: linear interpolation
// from eight voxels, and picks (nearest neighbour, crops, grids that coincide) from one.

// Of one output index along an axis: offsets of the two voxels around it, and their weights.
struct Tap { int64 below, above; float low, high; };

// Tables of an axis lie behind one another: m indices below, m above; m weights of the one, m of the other.
__device__ __forceinline__ Tap tap_of(const int32 *__restrict__ index, const float *__restrict__ weight,
                                      int64 m, int64 o, int64 stride) {
    const Tap tap = {index[o] * stride, index[m + o] * stride, weight[o], weight[m + o]};
    return tap;
}

// linear_S_T: T out[outputs] = store(after(linear(before(in)))), one thread per output.
//   in        any strides; axes in its memory order, so that threads of a warp read neighbouring voxels
//   out       any strides or chunks
//   index*, weight*  of the slices, rows and columns: see tap_of; indices lie inside the axis
//   outputs   lengths of out
//   grid      (ceil(columns / 128), rows, slices), the last two at most 65,535 (larger ones loop); block 128
template <class S, class T>
__device__ __forceinline__ void linear(
    const S *__restrict__ in, const Strides &strides, const STEP_OF(S) &before,
    const int32 *__restrict__ index_z, const float *__restrict__ weight_z,
    const int32 *__restrict__ index_y, const float *__restrict__ weight_y,
    const int32 *__restrict__ index_x, const float *__restrict__ weight_x,
    const Lengths &outputs, const Step<float> &after, T *__restrict__ out, const Places &places)
{
    const int64 x = (int64)blockIdx.x * blockDim.x + threadIdx.x;
    if (x >= outputs.columns) return;
    const Tap c = tap_of(index_x, weight_x, outputs.columns, x, strides.column);
    for (int64 z = blockIdx.z; z < outputs.slices; z += gridDim.z) {
        const Tap a = tap_of(index_z, weight_z, outputs.slices, z, strides.slice);
        for (int64 y = blockIdx.y; y < outputs.rows; y += gridDim.y) {
            const Tap b = tap_of(index_y, weight_y, outputs.rows, y, strides.row);
            float lines[4];
#pragma unroll
            for (int k = 0; k < 4; k++) {
                const S *line = in + ((k & 2 ? a.above : a.below) + (k & 1 ? b.above : b.below));
                lines[k] = fmaf(c.high, prepared<S>(line[c.above], before),
                                c.low * prepared<S>(line[c.below], before));
            }
            const float near = fmaf(b.high, lines[1], b.low * lines[0]);
            const float far = fmaf(b.high, lines[3], b.low * lines[2]);
            store(out + place_of(places, z, y, x), applied(fmaf(a.high, far, a.low * near), after));
        }
    }
}

#define LINEAR(S, T) \
    extern "C" __global__ void __launch_bounds__(128, 8) linear_##S##_##T( \
        const S *__restrict__ in, Strides strides, STEP_OF(S) before, \
        const int32 *__restrict__ index_z, const float *__restrict__ weight_z, \
        const int32 *__restrict__ index_y, const float *__restrict__ weight_y, \
        const int32 *__restrict__ index_x, const float *__restrict__ weight_x, \
        Lengths outputs, Step<float> after, T *__restrict__ out, Places places) \
    { linear<S, T>(in, strides, before, index_z, weight_z, index_y, weight_y, index_x, weight_x, \
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
