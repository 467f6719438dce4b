// Streams and events: queues whose work happens as late as CUDA allows, in random order where nothing orders it.
//
// An operation is done when the host waits for it, or for something behind it; or, with `eager` above 0, at
// a random moment before. Order is kept within a stream, at waits for events, and between the legacy default
// stream and blocking streams of its device. Nothing else is ordered, whatever a real device happens to do.
#include "cpucuda.h"

#include <algorithm>

namespace cpucuda {
namespace {

std::vector<std::unique_ptr<Stream>> streams;         // all that ever were: a handle is never used again
std::vector<Stream *> active;                         // those that are not destroyed and done
std::set<const void *> known_streams, known_events;
std::map<int, Stream *> legacy_streams;
uint64_t next_number = 1;

Stream *make_stream(int device, bool blocking, bool legacy) {
    streams.push_back(std::make_unique<Stream>(Stream{(int)streams.size(), device, blocking, legacy}));
    active.push_back(streams.back().get());
    known_streams.insert(active.back());
    return active.back();
}

Stream *legacy_of(int device) {
    Stream *&found = legacy_streams[device];
    if (!found) found = make_stream(device, true, true);
    return found;
}

void happen(Stream *stream);

void finish_until(Stream *stream, uint64_t number) {
    while (!stream->queue.empty() && stream->queue.front().number <= number) happen(stream);
}

// What the front of a stream comes after: an event's place, and the legacy rule.
void finish_before(Stream *stream, const Operation &operation) {
    const uint64_t before = operation.number - 1;
    if (stream->legacy) {
        for (size_t k = 0; k < streams.size(); k++)
            if (streams[k]->blocking && streams[k]->device == stream->device && streams[k].get() != stream)
                finish_until(streams[k].get(), before);
    } else if (stream->blocking) {
        finish_until(legacy_of(stream->device), before);
    }
    if (operation.behind.stream) finish_until(operation.behind.stream, operation.behind.number);
}

void work(Stream *stream, const Operation &operation) {
    if (settings.trace)
        traced += std::to_string(stream->id) + " " + std::to_string(operation.number) + " " + operation.what + "\n";
    if (!operation.work || broken(stream->device)) return;
    Status status = injected(operation.what);
    if (!status) {
        DeviceWorks open(operation.opens);
        status = operation.work();
    }
    if (!status) return;
    complain(operation.what + " ended with status " + std::to_string(status));
    break_device(stream->device, is_sticky(status) ? status : 719);
}

// The front of a stream, after all it must come after.
void happen(Stream *stream) {
    const Operation operation = stream->queue.front();
    finish_before(stream, operation);
    if (stream->queue.empty() || stream->queue.front().number != operation.number) return;
    stream->queue.pop_front();
    work(stream, operation);
    if (stream->destroyed && stream->queue.empty()) active.erase(std::find(active.begin(), active.end(), stream));
}

void happen_somewhere() {
    for (int k = settings.eager ? random_source() % (settings.eager + 1) : 0; k > 0; k--) {
        Stream *stream = active[random_source() % active.size()];
        if (!stream->queue.empty()) happen(stream);
    }
}

Event *find_event(cudaEvent_t handle) {
    Event *event = (Event *)handle;
    if (!known_events.count(event) || event->destroyed) {
        complain("an event that is not there, or not any more");
        return nullptr;
    }
    return event;
}

bool done(const Place &place) {
    return !place.stream || place.stream->queue.empty() || place.stream->queue.front().number > place.number;
}

} // namespace

Stream *find_stream(cudaStream_t handle) {
    if (handle == nullptr || handle == cudaStreamLegacy) return legacy_of(current_device());
    Stream *stream = (Stream *)handle;
    if (!known_streams.count(stream) || stream->destroyed) {
        complain("a stream that is not there, or not any more");
        return nullptr;
    }
    return stream;
}

void enqueue(Stream *stream, const std::string &what, Work work, int opens, Place behind) {
    counts[what]++;
    stream->queue.push_back({next_number++, what, std::move(work), opens, behind});
    happen_somewhere();
}

Place last_of(Stream *stream) { return {stream, next_number - 1}; }
void finish(Stream *stream) { finish_until(stream, next_number - 1); }

void finish_device(int device) {
    std::vector<Stream *> order = active;
    std::shuffle(order.begin(), order.end(), random_source);
    for (Stream *stream : order)
        if (stream->device == device) finish(stream);
}

void drop_queues() {
    for (auto &stream : streams) stream->queue.clear();
}

} // namespace cpucuda

using namespace cpucuda;

// A call about a stream: status 400 where there is none such.
static cudaError_t on_stream(const char *name, cudaStream_t handle, const std::function<Status(Stream *)> &body) {
    return (cudaError_t)call(name, [&]() -> Status {
        Stream *stream = find_stream(handle);
        return stream ? body(stream) : 400;
    });
}
static cudaError_t on_event(const char *name, cudaEvent_t handle, const std::function<Status(Event *)> &body) {
    return (cudaError_t)call(name, [&]() -> Status {
        Event *event = find_event(handle);
        return event ? body(event) : 400;
    });
}

API cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int) {
    return (cudaError_t)call(__func__, [&] {
        *out = (cudaStream_t)make_stream(current_device(), !(flags & cudaStreamNonBlocking), false);
        return 0;
    });
}
API cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags) {
    return cudaStreamCreateWithPriority(out, flags, 0);
}
API cudaError_t cudaStreamCreate(cudaStream_t *out) { return cudaStreamCreateWithPriority(out, 0, 0); }
API cudaError_t cudaStreamDestroy(cudaStream_t handle) {   // what is queued still happens, at its time
    return on_stream(__func__, handle, [](Stream *stream) {
        stream->destroyed = true;
        if (stream->queue.empty()) active.erase(std::find(active.begin(), active.end(), stream));
        return 0;
    });
}
API cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
    return on_stream(__func__, handle, [](Stream *stream) { return finish(stream), broken(stream->device); });
}
API cudaError_t cudaStreamQuery(cudaStream_t handle) {
    return on_stream(__func__, handle,
                     [](Stream *stream) { return happen_somewhere(), stream->queue.empty() ? 0 : 600; });
}
API cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned *flags) {
    return on_stream(__func__, handle, [&](Stream *stream) { return *flags = !stream->blocking, 0; });
}
API cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus *out) {
    return on_stream(__func__, handle, [&](Stream *) { return *out = cudaStreamCaptureStatusNone, 0; });
}
API cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t awaited, unsigned) {
    return on_stream(__func__, handle, [&](Stream *stream) {
        Event *event = find_event(awaited);
        if (!event) return 400;
        enqueue(stream, "wait event", nullptr, stream->device, event->recorded);
        return 0;
    });
}
API cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags) {
    return (cudaError_t)call(__func__, [&] {
        Event *event = new Event{current_device(), !(flags & cudaEventDisableTiming)};   // kept: see find_event
        known_events.insert(event);
        *out = (cudaEvent_t)event;
        return 0;
    });
}
API cudaError_t cudaEventCreate(cudaEvent_t *out) { return cudaEventCreateWithFlags(out, 0); }
API cudaError_t cudaEventDestroy(cudaEvent_t handle) {
    return on_event(__func__, handle, [](Event *event) { return event->destroyed = true, 0; });
}
API cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t where) {
    return on_stream(__func__, where, [&](Stream *stream) {
        Event *event = find_event(handle);
        if (!event) return 400;
        if (event->device != stream->device) {
            complain("an event of device " + std::to_string(event->device) + " recorded in a stream of another");
            return 400;
        }
        event->recorded = {stream, next_number};
        enqueue(stream, "record event", nullptr, stream->device);
        return 0;
    });
}
API cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
    return on_event(__func__, handle, [](Event *event) -> Status {
        if (!event->recorded.stream) return 0;
        finish_until(event->recorded.stream, event->recorded.number);
        return broken(event->device);
    });
}
API cudaError_t cudaEventQuery(cudaEvent_t handle) {
    return on_event(__func__, handle, [](Event *event) { return happen_somewhere(), done(event->recorded) ? 0 : 600; });
}
API cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to) {
    return on_event(__func__, from, [&](Event *first) {
        Event *second = find_event(to);
        if (!second || !first->timing || !second->timing) return 400;
        if (!done(first->recorded) || !done(second->recorded)) return 600;
        return *milliseconds = 1, 0;
    });
}
