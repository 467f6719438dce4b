// Label maps: voxels name structures and are never mixed.

// The label with the largest sum of linear weights among eight voxels. Sums within TIE are tied; then the
// nearest voxel's label wins if it is among the tied, else the lowest. Weights are added in the order of
// gpuprep/ops/labels.py: a voxel's own first, then those of equal voxels ascending.
#define TIE 1e-9

template <class L>
__device__ __forceinline__ L elected(const L *labels, const double *weights, L nearest) {
    double sums[8], most = 0.0;
#pragma unroll
    for (int a = 0; a < 8; a++) {
        sums[a] = weights[a];
#pragma unroll
        for (int b = 0; b < 8; b++)
            if (b != a && labels[b] == labels[a]) sums[a] += weights[b];
        most = sums[a] > most ? sums[a] : most;
    }
    bool found = false, among = false;
    L lowest = labels[0];
#pragma unroll
    for (int a = 0; a < 8; a++) {
        if (!(sums[a] >= most - TIE)) continue;
        lowest = found && lowest < labels[a] ? lowest : labels[a];
        found = true;
        among = among || labels[a] == nearest;
    }
    return among ? nearest : lowest;
}

// vote_L: L out[outputs], from in, both of any strides; axes in in's memory order.
//   index_*   per axis of m outputs: m indices below, m above, m nearest (int32, inside the axis)
//   weight_*  per axis m float64 weights of the voxel above
//   grid      (ceil(columns / 128), rows, slices), the last two at most 65,535 (larger ones loop); block 128
template <class L>
__device__ __forceinline__ void vote(
    const L *__restrict__ in, const Strides &strides,
    const int32 *__restrict__ index_z, const double *__restrict__ weight_z,
    const int32 *__restrict__ index_y, const double *__restrict__ weight_y,
    const int32 *__restrict__ index_x, const double *__restrict__ weight_x,
    const Lengths &outputs, L *__restrict__ out, const Strides &out_strides)
{
    const int64 x = (int64)blockIdx.x * blockDim.x + threadIdx.x;
    if (x >= outputs.columns) return;
    for (int64 z = blockIdx.z; z < outputs.slices; z += gridDim.z)
        for (int64 y = blockIdx.y; y < outputs.rows; y += gridDim.y) {
            L labels[8];
            bool mixed = false;
#pragma unroll
            for (int k = 0; k < 8; k++) {
                labels[k] = in[offset_of(strides, index_z[(k >> 2) * outputs.slices + z],
                                         index_y[(k >> 1 & 1) * outputs.rows + y],
                                         index_x[(k & 1) * outputs.columns + x])];
                mixed = mixed || labels[k] != labels[0];
            }
            L winner = labels[0];
            if (mixed) {
                double weights[8];
#pragma unroll
                for (int k = 0; k < 8; k++)
                    weights[k] = (k & 4 ? weight_z[z] : 1.0 - weight_z[z]) *
                                 (k & 2 ? weight_y[y] : 1.0 - weight_y[y]) *
                                 (k & 1 ? weight_x[x] : 1.0 - weight_x[x]);
                const L nearest = in[offset_of(strides, index_z[2 * outputs.slices + z],
                                               index_y[2 * outputs.rows + y],
                                               index_x[2 * outputs.columns + x])];
                winner = elected(labels, weights, nearest);
            }
            out[offset_of(out_strides, z, y, x)] = winner;
        }
}

#define VOTE(L) \
    extern "C" __global__ void __launch_bounds__(128, 5) vote_##L( \
        const L *__restrict__ in, Strides strides, \
        const int32 *__restrict__ index_z, const double *__restrict__ weight_z, \
        const int32 *__restrict__ index_y, const double *__restrict__ weight_y, \
        const int32 *__restrict__ index_x, const double *__restrict__ weight_x, \
        Lengths outputs, L *__restrict__ out, Strides out_strides) \
    { vote<L>(in, strides, index_z, weight_z, index_y, weight_y, index_x, weight_x, outputs, out, out_strides); }
EACH_LABEL(VOTE)

// copy_L: L out[outputs] = in[index_z][index_y][index_x]; signed labels go by their bits. Grid as above.
template <class L>
__device__ __forceinline__ void copy(
    const L *__restrict__ in, const Strides &strides, const int32 *__restrict__ index_z,
    const int32 *__restrict__ index_y, const int32 *__restrict__ index_x, const Lengths &outputs,
    L *__restrict__ out, const Strides &out_strides)
{
    const int64 x = (int64)blockIdx.x * blockDim.x + threadIdx.x;
    if (x >= outputs.columns) return;
    for (int64 z = blockIdx.z; z < outputs.slices; z += gridDim.z)
        for (int64 y = blockIdx.y; y < outputs.rows; y += gridDim.y)
            out[offset_of(out_strides, z, y, x)] = in[offset_of(strides, index_z[z], index_y[y], index_x[x])];
}

#define COPY(L) \
    extern "C" __global__ void __launch_bounds__(128, 8) copy_##L( \
        const L *__restrict__ in, Strides strides, const int32 *__restrict__ index_z, \
        const int32 *__restrict__ index_y, const int32 *__restrict__ index_x, Lengths outputs, \
        L *__restrict__ out, Strides out_strides) \
    { copy<L>(in, strides, index_z, index_y, index_x, outputs, out, out_strides); }
COPY(uint8) COPY(uint16) COPY(uint32) COPY(uint64)
