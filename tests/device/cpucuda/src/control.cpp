// What the Python side sets and reads (machine.py).
#include "cpucuda.h"

#include <cstdio>
#include <cstring>

namespace cpucuda {

Settings settings;
std::mt19937 random_source(1);
std::map<std::string, unsigned long> counts;
std::string traced;
static std::string complaints;

void complain(const std::string &what) {
    complaints += what + "\n";
    counts["complaint"]++;
}

static const char *given(std::string &taken) {   // valid until the next
    static std::string kept;
    kept.swap(taken);
    taken.clear();
    return kept.c_str();
}

} // namespace cpucuda

using namespace cpucuda;

API void cpucuda_set(const char *name, long value) {
    call_without_context("set", [&] {
        const std::string which = name;
        if (which == "seed") random_source.seed(value);
        else if (which == "eager") settings.eager = value;
        else if (which == "devices") settings.devices = value;
        else if (which == "memory") settings.memory = value;
        else if (which == "pinned") settings.pinned = value;
        else if (which == "trace") settings.trace = value;
        else complain("no setting " + which);
        return 0;
    });
}
API void cpucuda_fail(const char *name, long after, int status, long times) {
    call_without_context("fail", [&] { return inject(name, after, status, times), 0; });
}
API void cpucuda_forgive() {
    call_without_context("forgive", [] { return forget_failures(), 0; });
}
// A process that has just started, but for memory that is still held.
API void cpucuda_reset() {
    call_without_context("reset", [] {
        for (int device = 0; device < settings.devices; device++) finish_device(device);
        drop_queues();
        forget_failures();
        settings = Settings();
        random_source.seed(1);
        counts.clear();
        traced.clear();
        complaints.clear();
        return 0;
    });
}
API const char *cpucuda_complaints() { return given(complaints); }
API const char *cpucuda_trace() { return given(traced); }
API const char *cpucuda_counts() {
    std::string text;
    for (auto &[name, count] : counts) text += name + "=" + std::to_string(count) + "\n";
    return given(text);
}
API long cpucuda_device_bytes(int device) { return device_bytes(device); }
API long cpucuda_pinned_bytes() { return pinned_bytes(); }

// A host function behind what is queued in a stream; device memory is open to it.
API int cpucuda_on_stream(void *stream, int (*function)(void)) {
    return call("on_stream", [&] {
        Stream *found = find_stream((cudaStream_t)stream);
        if (!found) return 400;
        enqueue(found, "host function", [=] { return function(); }, -1);
        return 0;
    });
}

// A function of CUDA's that CuPy binds and this library has not (build.py makes these).
API int cpucuda_absent(const char *name) {
    return call_without_context(name, [&] { return complain(std::string(name) + " is not modelled"), 801; });
}
