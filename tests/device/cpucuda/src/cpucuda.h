// A CUDA runtime and driver whose devices are this CPU; what the parts of it know of one another.
//
// One lock is held through every call (status.cpp), so nothing here locks again. Work is queued in streams
// and done by whoever waits for it (streams.cpp): as late as CUDA allows, or earlier, by a seeded choice.
#pragma once
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#define API extern "C" __attribute__((visibility("default")))

namespace cpucuda {

using Status = int;                       // cudaError_t and CUresult have the same numbers here
using Work = std::function<Status()>;

// ---- settings and what can be read back (control.cpp)

struct Settings {
    int devices = 2;                      // CuPy wants no fewer later than when a thread began
    size_t memory = size_t(1) << 30;      // bytes of each device
    size_t pinned = ~size_t(0);           // bytes of page-locked host memory, together
    int eager = 0;                        // most operations that happen unasked behind each call
    bool trace = false;                   // keep the order in which operations happened
};
extern Settings settings;
extern std::mt19937 random_source;
extern std::map<std::string, unsigned long> counts;   // calls by name, operations, kernels as "ran NAME"
extern std::string traced;                            // "stream operation what\n" for each that happened
void complain(const std::string &what);               // something that no program may do

// ---- calls and statuses (status.cpp)

// Every call of the API: counts it, fails it where asked for, and gives a device's sticky status instead.
Status call(const char *name, const std::function<Status()> &body);
Status call_without_context(const char *name, const std::function<Status()> &body);
Status injected(const std::string &name);             // the status that this call shall fail with, or 0
void inject(const std::string &name, long after, Status status, long times);
void forget_failures();
void break_device(int device, Status status);         // from now on every call gives this status
Status broken(int device);
bool is_sticky(Status status);
Status take_last_error();

// ---- devices (devices.cpp)

int current_device();
int visible_devices();

// ---- memory (memory.cpp)

struct Block { char *begin; size_t size; int device; };
const Block *device_block(const void *at);            // the block that an address lies in, or null
const Block *pinned_block(const void *at);
bool within(const Block *block, const void *at, size_t size);
size_t device_bytes(int device);
size_t pinned_bytes();

// Device memory is open to this process while one of these lives: of one device, or (-1) of all.
struct DeviceWorks {
    explicit DeviceWorks(int device);
    ~DeviceWorks();
    int device;
};

// ---- streams and events (streams.cpp)

struct Stream;
struct Place { Stream *stream = nullptr; uint64_t number = 0; };   // behind that operation of a stream

struct Operation {
    uint64_t number;
    std::string what;
    Work work;
    int opens;                            // whose memory is open meanwhile; -1: of all devices
    Place behind;                         // happens after this, on whatever stream
};
struct Stream {
    int id;
    int device;
    bool blocking;                        // ordered with the device's legacy default stream
    bool legacy;
    bool destroyed = false;
    std::deque<Operation> queue = {};
};
struct Event {
    int device;
    bool timing;
    bool destroyed = false;
    Place recorded = {};
};

// The stream of a handle in a call on the current device; null where there is none such.
Stream *find_stream(cudaStream_t handle);
void enqueue(Stream *stream, const std::string &what, Work work, int opens, Place behind = {});
void finish(Stream *stream);              // do all that was queued in it, and what that waits for
void finish_device(int device);           // of all its streams, in random order
void drop_queues();
Place last_of(Stream *stream);

// ---- kernels (launches.cpp, cupy_kernels.cpp)

struct Parameter { size_t size; bool pointer; };
struct Function {
    std::string name;
    int device;
    std::vector<Parameter> parameters;
    // runs it; returns a status and leaves a message
    std::function<Status(const unsigned *grid, const unsigned *block, size_t shared, void **arguments,
                         std::string &message)> run;
};
// A kernel that CuPy generates for itself: "copy", "equal" or "not_equal". Two letters an operand: its type as
// NumPy codes it, and "a" for a strided array or "v" for a value.
Status run_cupy_kernel(const std::string &kind, int ndim, const std::string &operands, void **arguments,
                       std::string &message);

} // namespace cpucuda
