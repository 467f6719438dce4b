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

// An integer of 1, 2, 4 or 8 bytes (negative: signed) as 64 bits, and back as far as it fits.
__device__ __forceinline__ int64 read_integer(const void *at, int64 k, int kind)
{
    switch (kind) {
    case 1: return ((const uint8 *)at)[k];
    case -1: return ((const int8 *)at)[k];
    case 2: return ((const uint16 *)at)[k];
    case -2: return ((const int16 *)at)[k];
    case 4: return ((const uint32 *)at)[k];
    case -4: return ((const int32 *)at)[k];
    default: return ((const int64 *)at)[k];
    }
}

__device__ __forceinline__ void write_integer(void *at, int64 k, int kind, int64 value)
{
    switch (kind) {
    case 1: case -1: ((uint8 *)at)[k] = (uint8)value; break;
    case 2: case -2: ((uint16 *)at)[k] = (uint16)value; break;
    case 4: case -4: ((uint32 *)at)[k] = (uint32)value; break;
    default: ((int64 *)at)[k] = value;
    }
}

// convert_integers: voxels of one kind are written as another; misfits is 1 if a value is not the same there.
//   kinds    bytes of an integer, negative where it is signed
//   grid     (any), blocks of 128: threads loop
extern "C" __global__ void __launch_bounds__(128) convert_integers(
    const uint8 *__restrict__ source, int kind, int64 count, uint8 *__restrict__ out, int out_kind,
    uint64 *__restrict__ misfits)
{
    bool misfit = false;
    #pragma unroll 1
    for (int64 k = blockIdx.x * (int64)blockDim.x + threadIdx.x; k < count; k += gridDim.x * (int64)blockDim.x) {
        const int64 value = read_integer(source, k, kind);
        write_integer(out, k, out_kind, value);
        const bool beyond = value < 0 && (kind == 8) != (out_kind == 8);   // one of the two is not negative
        misfit |= beyond || read_integer(out, k, out_kind) != value;
    }
    if (misfit) *misfits = 1;
}
