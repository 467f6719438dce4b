// Contrast-limited adaptive histogram equalization (ops/clahe.py): bins of voxels, their counts in every tile, a
// curve for each tile, voxels through the curves of the eight tiles about them. Counts are exact, and numbers are
// rounded as NumPy rounds them, so that both give the same bits.
//
// bins[] and results are volumes in C order, z, y, x: `lengths` are slices, rows and columns.

#define MOST_BINS 256

// ---- the bin of every voxel

// Grid (ceil(columns / 128), rows, slices), the last two at most 65,535 (larger ones loop); block 128. `in` has any
// strides, in the order z, y, x.
template <class S, class Bin>
__device__ __forceinline__ void binned(const S *__restrict__ in, const Strides &strides, const Lengths &lengths,
                                       uint8 *__restrict__ bins, Bin bin) {
    const int64 x = (int64)blockIdx.x * blockDim.x + threadIdx.x;
    if (x >= lengths.columns) return;
    for (int64 z = blockIdx.z; z < lengths.slices; z += gridDim.z)
        for (int64 y = blockIdx.y; y < lengths.rows; y += gridDim.y)
            bins[(z * lengths.rows + y) * lengths.columns + x] = bin(in[offset_of(strides, z, y, x)]);
}

// looked_up_S, U the unsigned type of its size: `table` holds the bin of every value, at its bits' place.
#define LOOKED_UP(S, U) \
    extern "C" __global__ void __launch_bounds__(128, 8) looked_up_##S( \
        const S *__restrict__ in, Strides strides, Lengths lengths, const uint8 *__restrict__ table, \
        uint8 *__restrict__ bins) \
    { binned(in, strides, lengths, bins, [=](S v) { return table[(U)v]; }); }
LOOKED_UP(int8, uint8) LOOKED_UP(uint8, uint8) LOOKED_UP(int16, uint16) LOOKED_UP(uint16, uint16)

// levelled_S: `table` holds the bins of 65,536 levels, of which 0 is at `low` and the last one `width` above;
// what is no number is at `low`.
#define LEVELLED(S) \
    extern "C" __global__ void __launch_bounds__(128, 8) levelled_##S( \
        const S *__restrict__ in, Strides strides, Lengths lengths, double low, double width, \
        const uint8 *__restrict__ table, uint8 *__restrict__ bins) \
    { binned(in, strides, lengths, bins, [=](S v) { \
          const double share = is_nan(v) ? 0.0 : clipped(((double)v - low) / width, 0.0, 1.0); \
          return table[(int)rint(share * 65535.0)]; }); }
LEVELLED(int32) LEVELLED(float32) LEVELLED(float64)

// ---- the counts of every tile

// A place beyond the end, led back as in a mirror that lies on the last voxel.
__device__ __forceinline__ int32 mirrored(int32 i, int32 length) {
    if (i < length) return i;
    if (length == 1) return 0;
    const int32 folded = i % (2 * length - 2);
    return min(folded, 2 * length - 2 - folded);
}

// Voxels of a tile along the axes, and tiles along them; the last tile of an axis may reach beyond.
struct Tiles { int32 slices, rows, columns, across_slices, across_rows, across_columns; };

// tile_counts: counts[tile * number + bin] += the tile's voxels of that bin; tiles in C order, of less than 2^31
// voxels each. Grid (any, tiles at most 65,535; more loop): the blocks of a tile share its voxels; block 256.
extern "C" __global__ void __launch_bounds__(256, 4) tile_counts(
    const uint8 *__restrict__ bins, Lengths lengths, Tiles tiles, int32 number, uint64 *__restrict__ counts)
{
    __shared__ uint32 own[MOST_BINS];
    const bool first_lane = threadIdx.x % 32 == 0;
    const uint32 plane = (uint32)tiles.rows * tiles.columns, voxels = plane * tiles.slices;
    const int64 every = (int64)tiles.across_slices * tiles.across_rows * tiles.across_columns;
    for (int64 tile = blockIdx.y; tile < every; tile += gridDim.y) {
        const int32 k = (int32)(tile % tiles.across_columns), j = (int32)(tile / tiles.across_columns);
        const int32 z0 = j / tiles.across_rows * tiles.slices, y0 = j % tiles.across_rows * tiles.rows;
        const int32 x0 = k * tiles.columns;
        clear(own, number);
        for (uint32 first = blockIdx.x * blockDim.x; first < voxels; first += gridDim.x * blockDim.x) {
            const uint32 i = first + threadIdx.x, row = i / tiles.columns;
            int bin = -1;
            if (i < voxels) {
                const int64 z = mirrored(z0 + (int32)(i / plane), (int32)lengths.slices);
                const int64 y = mirrored(y0 + (int32)(row % tiles.rows), (int32)lengths.rows);
                const int64 x = mirrored(x0 + (int32)(i - row * tiles.columns), (int32)lengths.columns);
                bin = bins[(z * lengths.rows + y) * lengths.columns + x];
            }
            tally(own, bin, first_lane);
        }
        add_to(counts + tile * number, own, number);  // then each thread clears the counters that it has read
    }
}

// ---- the curve of every tile

__device__ __forceinline__ int32 sum_of_warp(int32 v) {
    for (int distance = 16; distance; distance /= 2) v += __shfl_xor_sync(ALL_LANES, v, distance);
    return v;
}

#define EACH 8    // bins of a lane, 32 apart

// tile_curves: curves[tile * number + bin] = what the tile's voxels up to that bin are of 16,383, times `factor`. No
// bin keeps more than `most` of the tile's `voxels`: what is above goes to the others in equal parts, and what is
// left then to those that have room, one each, evenly spread. Grid: tiles; block 32.
extern "C" __global__ void __launch_bounds__(32) tile_curves(
    const uint64 *__restrict__ counts, int32 number, int32 voxels, int32 most, double factor,
    float *__restrict__ curves)
{
    const int32 lane = threadIdx.x;
    const uint64 *own = counts + (int64)blockIdx.x * number;
    int32 filled[EACH], kept = 0, more = 0;
#pragma unroll
    for (int32 k = 0; k < EACH; k++) {
        const bool any = 32 * k + lane < number;  // else it counts as one that is full
        filled[k] = any ? (int32)min(own[32 * k + lane], (uint64)most) : most;
        kept += any ? filled[k] : 0;
    }
    int32 left = voxels - sum_of_warp(kept);
    const int32 share = left / number;
#pragma unroll
    for (int32 k = 0; k < EACH; k++) {
        const int32 before = filled[k];
        if (filled[k] < most - share) filled[k] += share;
        if (filled[k] >= most - share) filled[k] = most;
        more += filled[k] - before;
    }
    left -= sum_of_warp(more);
    for (int32 before = left + 1; left > 0 && left < before;) {
        before = left;
        for (int32 first = 0; first < number && left > 0; first++) {
            int32 room = 0, given = 0;
#pragma unroll
            for (int32 k = 0; k < EACH; k++) room += __popc(__ballot_sync(ALL_LANES, filled[k] < most));
            const int32 step = max(1, room / left);
#pragma unroll
            for (int32 k = 0; k < EACH; k++) {
                const int32 behind = 32 * k + lane - first;
                const bool takes = filled[k] < most && behind >= 0 && behind % step == 0;
                filled[k] += takes;
                given += __popc(__ballot_sync(ALL_LANES, takes));
            }
            left -= given;
        }
    }
    int32 before = 0;
#pragma unroll
    for (int32 k = 0; k < EACH; k++) {
        int32 sum = filled[k];
        for (int32 distance = 1; distance < 32; distance *= 2) {
            const int32 lower = __shfl_up_sync(ALL_LANES, sum, distance);
            if (lane >= distance) sum += lower;
        }
        if (32 * k + lane < number)
            curves[(int64)blockIdx.x * number + 32 * k + lane] = (float)floor(min((before + sum) * factor, 16383.0));
        before += __shfl_sync(ALL_LANES, sum, 31);
    }
}

// ---- voxels through the curves about them

// Of an axis of voxels: of each the tile whose centre lies behind it (one more than the number of tiles where
// there is none), and how far it is from the centre before, of the way to that behind.
struct Corner { int64 before, behind; };

__device__ __forceinline__ Corner corner_of(int32 place, int32 tiles) {
    const Corner corner = {max(place - 1, 0), min(place, tiles - 1)};
    return corner;
}

// mixed: out = the voxel's bin through the curves of the tiles before and behind it, in a straight line along z, then
// bilinear. Places and shares as above, int32 and float32 for every slice, row and column. Grid and block as for bins.
extern "C" __global__ void __launch_bounds__(128, 8) mixed(
    const uint8 *__restrict__ bins, Lengths lengths, Tiles tiles, int32 number, const float *__restrict__ curves,
    const int32 *__restrict__ slices, const float *__restrict__ along_slices, const int32 *__restrict__ rows,
    const float *__restrict__ along_rows, const int32 *__restrict__ columns, const float *__restrict__ along_columns,
    float *__restrict__ out)
{
    const int64 x = (int64)blockIdx.x * blockDim.x + threadIdx.x;
    if (x >= lengths.columns) return;
    const Corner across = corner_of(columns[x], tiles.across_columns);
    const float wx = along_columns[x];
    for (int64 z = blockIdx.z; z < lengths.slices; z += gridDim.z)
        for (int64 y = blockIdx.y; y < lengths.rows; y += gridDim.y) {
            const Corner over = corner_of(slices[z], tiles.across_slices), down = corner_of(rows[y], tiles.across_rows);
            const float wy = along_rows[y], wz = along_slices[z];
            const int64 i = (z * lengths.rows + y) * lengths.columns + x;
            const float *own = curves + bins[i];
            const auto at = [=](int64 row, int64 column) {
                const int64 before = (over.before * tiles.across_rows + row) * tiles.across_columns + column;
                const int64 behind = (over.behind * tiles.across_rows + row) * tiles.across_columns + column;
                return own[before * number] * (1.f - wz) + own[behind * number] * wz;
            };
            const float corner = at(down.before, across.before), right = at(down.before, across.behind);
            const float below = at(down.behind, across.before), far = at(down.behind, across.behind);
            const float first = (far - right - below + corner) * wx + (below - corner);
            out[i] = first * wy + ((right - corner) * wx + corner);
        }
}

// stretched: voxels = (voxels - low) * scale, in place. Grid any, loops; block 256.
extern "C" __global__ void __launch_bounds__(256, 4) stretched(
    float *__restrict__ voxels, int64 count, float low, float scale)
{
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (int64)gridDim.x * blockDim.x)
        voxels[i] = (voxels[i] - low) * scale;
}
