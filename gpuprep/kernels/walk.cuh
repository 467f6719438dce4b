// Visiting every voxel of a volume of any strides, with an optional volume of bytes beside it (a mask, or
// the ranks of labels) that has strides of its own.

#define CHUNK 4096    // neighbouring voxels of a row that a block takes at a time

template <class S> struct Source {
    const S *voxels;
    Strides strides;
    const uint8 *mask;
    Strides mask_strides;
    Lengths lengths;
};

// Call visit(flag, value) for every voxel, by all threads of a warp equally often: votes are legal. The flag
// is the byte beside the voxel (1 where there are none); it is 0, and so is the value, beyond the row.
template <class S, class Visit>
__device__ __forceinline__ void each_voxel(const Source<S> &source, Visit visit) {
    const Lengths &n = source.lengths;
    const int64 chunks = (n.columns + CHUNK - 1) / CHUNK, items = n.slices * n.rows * chunks;
    for (int64 item = blockIdx.x; item < items; item += gridDim.x) {
        const int64 slice = item / chunks / n.rows, row = item / chunks % n.rows;
        const S *voxels = source.voxels + offset_of(source.strides, slice, row, 0);
        const uint8 *mask = source.mask + offset_of(source.mask_strides, slice, row, 0);
        const int64 begin = item % chunks * CHUNK, end = min(begin + CHUNK, n.columns);
        for (int64 x0 = begin; x0 < end; x0 += blockDim.x) {
            const int64 x = x0 + threadIdx.x;
            const uint8 flag = x >= end ? 0 : source.mask ? mask[x * source.mask_strides.column] : 1;
            visit(flag, flag ? voxels[x * source.strides.column] : (S)0);
        }
    }
}
