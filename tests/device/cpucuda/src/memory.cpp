// Device memory that the host cannot touch, and page-locked host memory; both finite, both full of 0xCB.
//
// Device memory is mapped without any right, and opened while the device works. A host access in between is
// a fault whose message names the address; one at the very time at which the device works is not seen.
#include "cpucuda.h"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace cpucuda {
namespace {

const size_t PAGE = 4096;
const int POISON = 0xCB;

using Blocks = std::map<char *, Block>;
Blocks device_blocks, pinned_blocks;
std::map<int, size_t> used;
size_t pinned_used;

size_t pages(size_t size) { return (size + PAGE - 1) / PAGE * PAGE; }

const Block *find(const Blocks &blocks, const void *at) {
    auto next = blocks.upper_bound((char *)at);
    if (next == blocks.begin()) return nullptr;
    const Block &block = (--next)->second;
    return (char *)at < block.begin + block.size ? &block : nullptr;
}

// Memory with an unmapped page behind it, or null.
char *map_block(size_t size, int rights) {
    void *begin = mmap(nullptr, size + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (begin == MAP_FAILED) return nullptr;
    memset(begin, POISON, size);
    mprotect((char *)begin + size, PAGE, PROT_NONE);
    mprotect(begin, size, rights);
    return (char *)begin;
}

Status release(Blocks &blocks, void *at, size_t &total) {
    auto found = blocks.find((char *)at);
    if (found == blocks.end()) return 1;
    munmap(at, found->second.size + PAGE);
    total -= found->second.size;
    blocks.erase(found);
    return 0;
}

struct sigaction before;

// Say what the fault is; without our handler the same access then faults again, as it would have.
void on_fault(int, siginfo_t *information, void *) {
    if (find(device_blocks, information->si_addr)) {
        static const char text[] = "[cpucuda] the host touched device memory\n";
        if (write(2, text, sizeof text - 1) < 0) _exit(139);
    }
    sigaction(SIGSEGV, &before, nullptr);
}

const bool watching = [] {
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    return sigaction(SIGSEGV, &action, &before) == 0;
}();

void give_rights(int device, int rights) {
    for (auto &[begin, block] : device_blocks)
        if (device < 0 || block.device == device) mprotect(begin, block.size, rights);
}

} // namespace

const Block *device_block(const void *at) { return find(device_blocks, at); }
const Block *pinned_block(const void *at) { return find(pinned_blocks, at); }
size_t device_bytes(int device) { return used[device]; }
size_t pinned_bytes() { return pinned_used; }

bool within(const Block *block, const void *at, size_t size) {
    return block && (char *)at + size <= block->begin + block->size;
}

DeviceWorks::DeviceWorks(int device) : device(device) { give_rights(device, PROT_READ | PROT_WRITE); }
DeviceWorks::~DeviceWorks() { give_rights(device, PROT_NONE); }

} // namespace cpucuda

using namespace cpucuda;

API cudaError_t cudaMemGetInfo(size_t *free, size_t *total) {
    return (cudaError_t)call(__func__, [&] {
        *total = settings.memory;
        const size_t taken = device_bytes(current_device());
        *free = taken < *total ? *total - taken : 0;
        return 0;
    });
}
API cudaError_t cudaMalloc(void **out, size_t size) {
    return (cudaError_t)call(__func__, [&] {
        const int device = current_device();
        const size_t whole = pages(size);
        if (used[device] + whole > settings.memory) return 2;
        char *begin = map_block(whole, PROT_NONE);
        if (!begin) return 2;
        device_blocks[begin] = {begin, whole, device};
        used[device] += whole;
        *out = begin;
        return 0;
    });
}
API cudaError_t cudaFree(void *at) {
    return (cudaError_t)call(__func__, [&]() -> Status {
        if (!at) return 0;
        const Block *block = device_block(at);
        const int device = block ? block->device : current_device();
        finish_device(device);
        return release(device_blocks, at, used[device]);
    });
}
API cudaError_t cudaHostAlloc(void **out, size_t size, unsigned) {
    return (cudaError_t)call(__func__, [&] {
        const size_t whole = pages(size);
        if (pinned_used + whole > settings.pinned) return 2;
        char *begin = map_block(whole, PROT_READ | PROT_WRITE);
        if (!begin) return 2;
        pinned_blocks[begin] = {begin, whole, -1};
        pinned_used += whole;
        *out = begin;
        return 0;
    });
}
API cudaError_t cudaFreeHost(void *at) {
    return (cudaError_t)call(__func__, [&] {
        for (int device = 0; device < settings.devices; device++) finish_device(device);
        return release(pinned_blocks, at, pinned_used);
    });
}
API cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *made, const void *at) {
    return (cudaError_t)call(__func__, [&] {
        memset(made, 0, sizeof *made);
        const Block *block = device_block(at);
        made->type = block ? cudaMemoryTypeDevice : pinned_block(at) ? cudaMemoryTypeHost : cudaMemoryTypeUnregistered;
        made->device = block ? block->device : made->type == cudaMemoryTypeHost ? 0 : -2;
        made->devicePointer = made->type == cudaMemoryTypeUnregistered ? nullptr : (void *)at;
        made->hostPointer = block ? nullptr : (void *)at;
        return 0;
    });
}
