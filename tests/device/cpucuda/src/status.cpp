// Calls, their statuses, and failures that tests ask for.
//
// A status is sticky where CUDA says that the process must be ended: the device's context is then broken and
// every later call for that device returns it. Others (memory, arguments) leave the context as it was.
#include "cpucuda.h"

#include <dlfcn.h>
#include <mutex>

namespace cpucuda {
namespace {

struct Failure { long after; Status status; long times; };
struct Name { Status status; const char *runtime, *driver, *text; bool sticky; };

const Name NAMES[] = {
    {0, "cudaSuccess", "CUDA_SUCCESS", "no error", false},
    {1, "cudaErrorInvalidValue", "CUDA_ERROR_INVALID_VALUE", "invalid argument", false},
    {2, "cudaErrorMemoryAllocation", "CUDA_ERROR_OUT_OF_MEMORY", "out of memory", false},
    {3, "cudaErrorInitializationError", "CUDA_ERROR_NOT_INITIALIZED", "initialization error", false},
    {9, "cudaErrorInvalidConfiguration", "CUDA_ERROR_UNKNOWN", "invalid configuration argument", false},
    {35, "cudaErrorInsufficientDriver", "CUDA_ERROR_UNKNOWN",
     "CUDA driver version is insufficient for CUDA runtime version", false},
    {46, "cudaErrorDevicesUnavailable", "CUDA_ERROR_DEVICE_UNAVAILABLE",
     "CUDA-capable device(s) is/are busy or unavailable", false},
    {100, "cudaErrorNoDevice", "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected", false},
    {101, "cudaErrorInvalidDevice", "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal", false},
    {200, "cudaErrorInvalidKernelImage", "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid", false},
    {201, "cudaErrorDeviceUninitialized", "CUDA_ERROR_INVALID_CONTEXT", "invalid device context", false},
    {209, "cudaErrorNoKernelImageForDevice", "CUDA_ERROR_NO_BINARY_FOR_GPU",
     "no kernel image is available for execution on the device", false},
    {214, "cudaErrorECCUncorrectable", "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered", true},
    {400, "cudaErrorInvalidResourceHandle", "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle", false},
    {500, "cudaErrorSymbolNotFound", "CUDA_ERROR_NOT_FOUND", "named symbol not found", false},
    {600, "cudaErrorNotReady", "CUDA_ERROR_NOT_READY", "device not ready", false},
    {700, "cudaErrorIllegalAddress", "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered", true},
    {701, "cudaErrorLaunchOutOfResources", "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
     "too many resources requested for launch", false},
    {702, "cudaErrorLaunchTimeout", "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated", true},
    {710, "cudaErrorAssert", "CUDA_ERROR_ASSERT", "device-side assert triggered", true},
    {714, "cudaErrorHardwareStackError", "CUDA_ERROR_HARDWARE_STACK_ERROR", "hardware stack error", true},
    {715, "cudaErrorIllegalInstruction", "CUDA_ERROR_ILLEGAL_INSTRUCTION",
     "an illegal instruction was encountered", true},
    {716, "cudaErrorMisalignedAddress", "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address", true},
    {717, "cudaErrorInvalidAddressSpace", "CUDA_ERROR_INVALID_ADDRESS_SPACE",
     "operation not supported on global/shared address space", true},
    {718, "cudaErrorInvalidPc", "CUDA_ERROR_INVALID_PC", "invalid program counter", true},
    {719, "cudaErrorLaunchFailure", "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure", true},
    {801, "cudaErrorNotSupported", "CUDA_ERROR_NOT_SUPPORTED", "operation not supported", false},
    {802, "cudaErrorSystemNotReady", "CUDA_ERROR_SYSTEM_NOT_READY", "system not yet initialized", false},
    {803, "cudaErrorSystemDriverMismatch", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
     "system has unsupported display driver / cuda driver combination", false},
    {999, "cudaErrorUnknown", "CUDA_ERROR_UNKNOWN", "unknown error", true},
};

const Name &name_of(Status status) {
    for (const Name &name : NAMES)
        if (name.status == status) return name;
    return NAMES[sizeof NAMES / sizeof *NAMES - 1];
}

std::map<std::string, Failure> failures;
std::map<int, Status> broken_devices;
thread_local Status last_error;
std::recursive_mutex mutex;

// Taking the lock with Python's in hand could be for ever: who has ours may be about to call Python.
struct Locked {
    Locked() {
        if (mutex.try_lock()) return;
        static auto has_python = (int (*)())dlsym(RTLD_DEFAULT, "PyGILState_Check");
        static auto leave = (void *(*)())dlsym(RTLD_DEFAULT, "PyEval_SaveThread");
        static auto enter = (void (*)(void *))dlsym(RTLD_DEFAULT, "PyEval_RestoreThread");
        if (has_python && has_python()) {
            void *state = leave();
            mutex.lock();
            enter(state);
        } else {
            mutex.lock();
        }
    }
    ~Locked() { mutex.unlock(); }
};

Status remembered(Status status) {
    if (status) last_error = status;
    return status;
}

} // namespace

bool is_sticky(Status status) { return name_of(status).sticky; }
Status broken(int device) { return broken_devices.count(device) ? broken_devices[device] : 0; }
void break_device(int device, Status status) { broken_devices.emplace(device, status); }

void inject(const std::string &name, long after, Status status, long times) {
    failures[name] = {after, status, times};
}

void forget_failures() {
    failures.clear();
    broken_devices.clear();
    last_error = 0;
}

Status injected(const std::string &name) {
    auto found = failures.find(name);
    if (found == failures.end() || found->second.after-- > 0) return 0;
    const Status status = found->second.status;
    if (found->second.times > 0 && --found->second.times == 0) failures.erase(found);
    return status;
}

Status take_last_error() {
    const Status status = last_error;
    last_error = 0;
    return status;
}

Status call_without_context(const char *name, const std::function<Status()> &body) {
    Locked locked;
    counts[name]++;
    const int device = current_device();
    Status status = injected(name);
    if (!status) status = body();
    if (is_sticky(status)) break_device(device, status);
    return remembered(status);
}

Status call(const char *name, const std::function<Status()> &body) {
    return call_without_context(name, [&]() -> Status {
        const int device = current_device();
        if (Status status = broken(device)) return status;
        if (Status status = injected("context")) return status;   // where no context can be made
        const Status status = body();
        return broken(device) ? broken(device) : status;          // of work that was done meanwhile
    });
}

} // namespace cpucuda

using namespace cpucuda;

API cudaError_t cudaGetLastError() { return (cudaError_t)take_last_error(); }
API const char *cudaGetErrorName(cudaError_t status) { return name_of(status).runtime; }
API const char *cudaGetErrorString(cudaError_t status) { return name_of(status).text; }
API CUresult cuGetErrorName(CUresult status, const char **out) { return *out = name_of(status).driver, CUDA_SUCCESS; }
API CUresult cuGetErrorString(CUresult status, const char **out) { return *out = name_of(status).text, CUDA_SUCCESS; }

API int cpucuda_status(const char *name) {
    for (const Name &each : NAMES)
        if (std::string(name) == each.runtime) return each.status;
    return -1;
}
