// Copies and fills. From and to pinned memory they happen late; pageable memory is staged, as CUDA documents it.
#include "cpucuda.h"

#include <cstring>

namespace cpucuda {
namespace {

Status beyond(const char *what) {
    complain(std::string("a copy runs beyond ") + what);
    return 1;
}

// Whether the host's side is pinned; where it is, all of it must be.
Status pinned_side(const void *at, size_t size, bool &pinned) {
    const Block *block = pinned_block(at);
    pinned = block;
    return !block || within(block, at, size) ? 0 : beyond("a block of pinned memory");
}

Status upload(void *to, const void *from, size_t size, Stream *stream) {
    bool pinned;
    if (!within(device_block(to), to, size)) return beyond("the device memory it writes");
    if (Status status = pinned_side(from, size, pinned)) return status;
    if (pinned) {
        enqueue(stream, "H2D pinned", [=] { return memcpy(to, from, size), 0; }, -1);
        return 0;
    }
    auto staged = std::make_shared<std::vector<char>>((const char *)from, (const char *)from + size);
    enqueue(stream, "H2D pageable", [=] { return memcpy(to, staged->data(), size), 0; }, -1);
    return 0;
}

Status download(void *to, const void *from, size_t size, Stream *stream) {
    bool pinned;
    if (!within(device_block(from), from, size)) return beyond("the device memory it reads");
    if (Status status = pinned_side(to, size, pinned)) return status;
    enqueue(stream, pinned ? "D2H pinned" : "D2H pageable", [=] { return memcpy(to, from, size), 0; }, -1);
    if (!pinned) finish(stream);
    return 0;
}

Status copy(void *to, const void *from, size_t size, cudaMemcpyKind kind, Stream *stream) {
    if (!size) return 0;
    const bool writes = kind == cudaMemcpyDefault ? device_block(to) != nullptr
                                                  : kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool reads = kind == cudaMemcpyDefault ? device_block(from) != nullptr
                                                 : kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (!writes && !reads) return complain("a copy from host to host"), 1;
    if (!reads) return upload(to, from, size, stream);
    if (!writes) return download(to, from, size, stream);
    if (!within(device_block(to), to, size)) return beyond("the device memory it writes");
    if (!within(device_block(from), from, size)) return beyond("the device memory it reads");
    enqueue(stream, "D2D", [=] { return memmove(to, from, size), 0; }, -1);
    return 0;
}

Status fill(void *at, int value, size_t size, Stream *stream) {
    if (!within(device_block(at), at, size)) return beyond("the device memory it fills");
    enqueue(stream, "memset", [=] { return memset(at, value, size), 0; }, -1);
    return 0;
}

} // namespace
} // namespace cpucuda

using namespace cpucuda;

API cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t size, cudaMemcpyKind kind, cudaStream_t where) {
    return (cudaError_t)call(__func__, [&] {
        Stream *stream = find_stream(where);
        return stream ? copy(to, from, size, kind, stream) : 400;
    });
}
// The default stream is waited for before. Behind, pageable bytes may still be on their way to the device, and
// so may a copy within it.
API cudaError_t cudaMemcpy(void *to, const void *from, size_t size, cudaMemcpyKind kind) {
    return (cudaError_t)call(__func__, [&] {
        Stream *stream = find_stream(nullptr);
        finish(stream);
        const Status status = copy(to, from, size, kind, stream);
        if (pinned_block(to) || pinned_block(from)) finish(stream);
        return status;
    });
}
API cudaError_t cudaMemsetAsync(void *at, int value, size_t size, cudaStream_t where) {
    return (cudaError_t)call(__func__, [&] {
        Stream *stream = find_stream(where);
        return stream ? fill(at, value, size, stream) : 400;
    });
}
API cudaError_t cudaMemset(void *at, int value, size_t size) {
    return (cudaError_t)call(__func__, [&] { return fill(at, value, size, find_stream(nullptr)); });
}
