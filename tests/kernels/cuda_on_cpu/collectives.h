// Barriers and warp operations. Each notes the source line it stands in: lanes that meet at different
// lines have not met.
#pragma once

namespace cuda_on_cpu {

UNWATCHED void barrier(int line) {
    current->line = line;
    wait(AT_BARRIER);
}

template <class T> UNWATCHED void collect(unsigned mask, T value, int vote, int line) {
    static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
    current->published = 0;
    memcpy(&current->published, &value, sizeof value);
    current->mask = mask;
    current->vote = vote;
    current->line = line;
    wait(IN_WARP);
}

template <class T> UNWATCHED T received(unsigned lane) {      // poison from lanes that took no part
    T value;
    memcpy(&value, &current->received[lane & 31], sizeof value);
    if (!(current->present >> (lane & 31) & 1)) memset(&value, POISON, sizeof value);
    return value;
}

UNWATCHED unsigned own_lane() { return current->index & 31; }
UNWATCHED unsigned votes() { return (unsigned)current->votes; }

template <class T> inline T shuffle(int line, unsigned mask, T value, int source, int width = 32) {
    collect(mask, value, 0, line);
    return received<T>((own_lane() & ~(unsigned)(width - 1)) | (source & (width - 1)));
}
template <class T> inline T shuffle_down(int line, unsigned mask, T value, unsigned distance, int width = 32) {
    collect(mask, value, 0, line);
    return (own_lane() & (width - 1)) + distance < (unsigned)width ? received<T>(own_lane() + distance) : value;
}
template <class T> inline T shuffle_up(int line, unsigned mask, T value, unsigned distance, int width = 32) {
    collect(mask, value, 0, line);
    return (own_lane() & (width - 1)) >= distance ? received<T>(own_lane() - distance) : value;
}
template <class T> inline T shuffle_xor(int line, unsigned mask, T value, int lanes, int width = 32) {
    collect(mask, value, 0, line);
    const unsigned target = own_lane() ^ lanes, group = ~(width - 1u);
    return (target & group) == (own_lane() & group) ? received<T>(target) : value;
}
inline unsigned ballot(int line, unsigned mask, int predicate) {
    collect(mask, 0, predicate != 0, line);
    return votes() & mask;
}

} // namespace cuda_on_cpu

#define __syncthreads() cuda_on_cpu::barrier(__LINE__)
#define __syncwarp() cuda_on_cpu::collect(0xffffffffu, 0, 0, __LINE__)
#define __shfl_sync(...) cuda_on_cpu::shuffle(__LINE__, __VA_ARGS__)
#define __shfl_down_sync(...) cuda_on_cpu::shuffle_down(__LINE__, __VA_ARGS__)
#define __shfl_up_sync(...) cuda_on_cpu::shuffle_up(__LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...) cuda_on_cpu::shuffle_xor(__LINE__, __VA_ARGS__)
#define __ballot_sync(...) cuda_on_cpu::ballot(__LINE__, __VA_ARGS__)
#define __any_sync(...) (cuda_on_cpu::ballot(__LINE__, __VA_ARGS__) != 0)
#define __all_sync(mask, ...) (cuda_on_cpu::ballot(__LINE__, mask, __VA_ARGS__) == (unsigned)(mask))
#ifdef __SANITIZE_THREAD__
#define threadIdx watched_thread()
#define blockIdx watched_block()
#endif
