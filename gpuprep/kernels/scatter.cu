// Boxes of voxels from decoded chunks to their places in a batch of patches. Voxels are moved as unsigned
// integers of their size, so that every bit stays.

// A box: where it begins in the decoded chunks and in the batch (in voxels), how far apart the slices and rows
// of its chunk lie, and how many slices, rows and columns it has. Host and device read it as 8 int64.
struct Box { int64 source, target, source_slice, source_row, slices, rows, columns, unused; };

#define ZEROS -1      // in place of the source: the chunk was not stored, its voxels are zero
#define PADDING -2    // the box lies outside of the volume

// scatter_T: every box of decoded is written to out.
//   boxes    they lie inside decoded and out, and those of out do not overlap
//   slice, row  how far apart slices and rows of out lie, in voxels
//   padding  the value outside of the volume
//   grid     (any, min(count, 65,535)), blocks of 128: a warp takes a row at a time, blocks loop
template <class T>
__device__ __forceinline__ void scatter(const T *__restrict__ decoded, const Box *__restrict__ boxes, int64 count,
                                        T *__restrict__ out, int64 slice, int64 row, T padding)
{
    const int64 warps = blockDim.x / 32, warp = blockIdx.x * warps + threadIdx.x / 32;
    for (int64 k = blockIdx.y; k < count; k += gridDim.y) {
        const Box box = boxes[k];
        for (int64 line = warp; line < box.slices * box.rows; line += gridDim.x * warps) {
            const int64 z = line / box.rows, y = line % box.rows;
            const int64 from = box.source + z * box.source_slice + y * box.source_row;
            T *to = out + box.target + z * slice + y * row;
            for (int64 x = threadIdx.x % 32; x < box.columns; x += 32)
                to[x] = box.source >= 0 ? decoded[from + x] : box.source == PADDING ? padding : (T)0;
        }
    }
}

#define SCATTER(T) \
    extern "C" __global__ void __launch_bounds__(128) scatter_##T( \
        const T *__restrict__ decoded, const int64 *__restrict__ boxes, int64 count, \
        T *__restrict__ out, int64 slice, int64 row, T padding) \
    { scatter<T>(decoded, (const Box *)boxes, count, out, slice, row, padding); }
SCATTER(uint8)
SCATTER(uint16)
SCATTER(uint32)
SCATTER(uint64)
