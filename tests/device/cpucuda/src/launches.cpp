// Modules, functions and launches. What an image holds is the Python side's business (modules.py): it compiles
// the source that the image came from, and makes a Function of every kernel that is asked for.
#include "cpucuda.h"

#include <sstream>

namespace cpucuda {
namespace {

using LoadModule = void *(*)(const void *image);
using GetFunction = void *(*)(void *module, const char *name, int device);
using RunOnCpu = int (*)(const char *name, const unsigned *grid, const unsigned *block, size_t shared,
                         void **arguments, int order, unsigned seed);
using Message = const char *(*)();

LoadModule load_module;
GetFunction get_function;
std::map<void *, int> devices_of_modules;

const size_t SHARED_WITHOUT_OPT_IN = 48 << 10;

std::vector<Parameter> parsed(const char *text) {   // "8p,4,24": sizes, of pointers with a p
    std::vector<Parameter> made;
    std::stringstream parts(text);
    std::string part;
    while (std::getline(parts, part, ',')) made.push_back({std::stoul(part), part.back() == 'p'});
    return made;
}

Status refused(const Function &function, const std::string &why, Status status) {
    complain(function.name + ": " + why);
    return status;
}

Status check_launch(const Function &f, const unsigned *grid, const unsigned *block, size_t shared,
                    const Stream &stream) {
    const size_t threads = size_t(block[0]) * block[1] * block[2];
    if (!grid[0] || !grid[1] || !grid[2] || grid[0] > 0x7fffffffu || grid[1] > 65535 || grid[2] > 65535)
        return refused(f, "a grid that no device takes", 1);
    if (!threads || threads > 1024 || block[2] > 64) return refused(f, "a block that no device takes", 1);
    if (shared > SHARED_WITHOUT_OPT_IN) return refused(f, "more than 48 KiB of shared memory without opting in", 1);
    if (stream.device != current_device()) return refused(f, "launched into a stream of another device", 400);
    if (f.device != stream.device) return refused(f, "its module was loaded on another device", 400);
    return 0;
}

// An address that the device can use: its own memory, or pinned.
Status check_pointer(const Function &f, const void *at, int device) {
    if (!at || pinned_block(at)) return 0;
    const Block *block = device_block(at);
    if (!block) return refused(f, "a pointer to no memory of a device", 700);
    return block->device == device ? 0 : refused(f, "a pointer to memory of another device", 700);
}

Status run(const Function &f, const unsigned *grid, const unsigned *block, size_t shared, int device,
           std::vector<std::vector<char>> &values) {
    std::vector<void *> arguments;
    for (size_t k = 0; k < values.size(); k++) {
        arguments.push_back(values[k].data());
        if (!f.parameters[k].pointer) continue;
        if (Status status = check_pointer(f, *(void **)values[k].data(), device)) return status;
    }
    counts["ran " + f.name]++;
    std::string message;
    const Status status = f.run(grid, block, shared, arguments.data(), message);
    return status ? refused(f, message, 700) : 0;
}

} // namespace
} // namespace cpucuda

using namespace cpucuda;

API void cpucuda_callbacks(LoadModule load, GetFunction get) { load_module = load, get_function = get; }

API void *cpucuda_cpu_function(const char *name, const char *parameters, int device, RunOnCpu run, Message message) {
    const std::string kept = name;
    return new Function{kept, device, parsed(parameters),
                        [=](const unsigned *grid, const unsigned *block, size_t shared, void **arguments,
                            std::string &said) -> Status {
                            const int order = random_source() % 3;   // of a block's threads
                            const unsigned seed = random_source();
                            const int failed = run(kept.c_str(), grid, block, shared, arguments, order, seed);
                            if (failed) said = message();
                            return failed ? 700 : 0;
                        }};
}
API void *cpucuda_cupy_function(const char *name, const char *parameters, int device, const char *kind, int ndim,
                                const char *operands) {
    const std::string of = kind, codes = operands;
    return new Function{name, device, parsed(parameters),
                        [=](const unsigned *, const unsigned *, size_t, void **arguments, std::string &said) {
                            return run_cupy_kernel(of, ndim, codes, arguments, said);
                        }};
}

API CUresult cuModuleLoadData(CUmodule *out, const void *image) {
    return (CUresult)call(__func__, [&] {
        void *made = load_module ? load_module(image) : nullptr;
        if (!made) return 200;
        devices_of_modules[made] = current_device();
        *out = (CUmodule)made;
        return 0;
    });
}
API CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }
API CUresult cuModuleGetFunction(CUfunction *out, CUmodule module, const char *name) {
    return (CUresult)call(__func__, [&] {
        if (!devices_of_modules.count(module)) return 400;
        *out = (CUfunction)get_function(module, name, devices_of_modules[module]);
        return *out ? 0 : 500;
    });
}
API CUresult cuFuncGetAttribute(int *value, CUfunction_attribute, CUfunction) { return *value = -1, CUDA_SUCCESS; }
API CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute, int) {
    return complain("a function's limits were changed"), CUDA_SUCCESS;   // opting in to shared memory: not modelled
}
API CUresult cuLaunchKernel(CUfunction handle, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                            unsigned bz, unsigned shared, CUstream where, void **values, void **) {
    return (CUresult)call(__func__, [&]() -> Status {
        const Function &function = *(Function *)handle;
        const std::vector<unsigned> grid = {gx, gy, gz}, block = {bx, by, bz};
        Stream *stream = find_stream(where);
        if (!stream) return 400;
        if (Status status = check_launch(function, grid.data(), block.data(), shared, *stream)) return status;
        std::vector<std::vector<char>> kept;
        for (size_t k = 0; k < function.parameters.size(); k++)
            kept.emplace_back((char *)values[k], (char *)values[k] + function.parameters[k].size);
        const int device = stream->device;
        enqueue(stream, "kernel",
                [=, &function]() mutable { return run(function, grid.data(), block.data(), shared, device, kept); },
                device);
        return 0;
    });
}
