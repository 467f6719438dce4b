// Devices: how many there are, which is current in a thread, and what they say of themselves.
#include "cpucuda.h"

#include <cstdlib>
#include <cstring>
#include <sstream>

namespace cpucuda {

static thread_local int current = 0;

int current_device() { return current; }

// As CUDA reads CUDA_VISIBLE_DEVICES: numbers up to the first that is none.
static std::vector<int> visible() {
    std::vector<int> numbers;
    const char *named = getenv("CUDA_VISIBLE_DEVICES");
    if (!named) {
        for (int number = 0; number < settings.devices; number++) numbers.push_back(number);
        return numbers;
    }
    std::stringstream parts(named);
    std::string part;
    while (std::getline(parts, part, ',')) {
        char *end;
        const long number = strtol(part.c_str(), &end, 10);
        if (end == part.c_str() || number < 0 || number >= settings.devices) break;
        numbers.push_back(number);
    }
    return numbers;
}
int visible_devices() { return visible().size(); }

} // namespace cpucuda

using namespace cpucuda;

API cudaError_t cudaGetDeviceCount(int *count) {
    return (cudaError_t)call_without_context(__func__, [&] { return *count = visible_devices(), *count ? 0 : 100; });
}
API cudaError_t cudaGetDevice(int *device) {
    return (cudaError_t)call_without_context(__func__, [&] { return *device = current_device(), 0; });
}
API cudaError_t cudaSetDevice(int device) {
    return (cudaError_t)call_without_context(__func__, [&] {
        if (device < 0 || device >= visible_devices()) return 101;
        current = device;
        return 0;
    });
}
API cudaError_t cudaRuntimeGetVersion(int *version) { return *version = CUDART_VERSION, cudaSuccess; }
API cudaError_t cudaDriverGetVersion(int *version) { return *version = CUDART_VERSION, cudaSuccess; }

API cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
    return (cudaError_t)call_without_context(__func__, [&] {
        static const std::map<int, int> values = {
            {cudaDevAttrComputeCapabilityMajor, 9},       {cudaDevAttrComputeCapabilityMinor, 0},
            {cudaDevAttrMultiProcessorCount, 132},        {cudaDevAttrMaxThreadsPerBlock, 1024},
            {cudaDevAttrMaxSharedMemoryPerBlock, 49152},  {cudaDevAttrMaxSharedMemoryPerBlockOptin, 232448},
            {cudaDevAttrWarpSize, 32},                    {cudaDevAttrClockRate, 1755000},
            {cudaDevAttrMemoryClockRate, 2619000},        {cudaDevAttrGlobalMemoryBusWidth, 5120},
        };
        if (device < 0 || device >= visible_devices()) return 101;
        const auto found = values.find(attribute);
        *value = found == values.end() ? 0 : found->second;
        return 0;
    });
}
API cudaError_t cudaGetDeviceProperties(cudaDeviceProp *made, int device) {
    return (cudaError_t)call_without_context(__func__, [&] {
        if (device < 0 || device >= visible_devices()) return 101;
        memset(made, 0, sizeof *made);
        const int number = visible()[device];
        strcpy(made->name, ("Imaginary" + (number ? " " + std::to_string(number) : "")).c_str());
        made->totalGlobalMem = settings.memory;
        made->major = 9;
        made->multiProcessorCount = 132;
        made->warpSize = 32;
        made->sharedMemPerBlock = 49152;
        made->maxThreadsPerBlock = 1024;
        made->memoryBusWidth = 5120;
        return 0;
    });
}
API cudaError_t cudaDeviceCanAccessPeer(int *can, int, int) { return *can = 0, cudaSuccess; }
API cudaError_t cudaDeviceSynchronize() {
    return (cudaError_t)call(__func__, [] { return finish_device(current_device()), 0; });
}
API cudaError_t cudaProfilerStart() { return cudaSuccess; }
API cudaError_t cudaProfilerStop() { return cudaSuccess; }
