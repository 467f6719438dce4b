// Launching a registered kernel: limits, signals, the blocks in order; and the C interface that
// cpu_module.py calls.
#pragma once

namespace cuda_on_cpu {

static void on_signal(int number, siginfo_t *information, void *) {
    snprintf(message, sizeof message, "signal %d at %p: block (%u,%u,%u) thread (%u,%u,%u)", number,
             information->si_addr, blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
    siglongjmp(failure, 1);
}

// Bad accesses become messages for as long as this lives.
struct SignalGuard {
    struct sigaction segv, bus;
    stack_t own, before;
    SignalGuard() {
        static char stack[65536];
        own = {};
        own.ss_sp = stack;
        own.ss_size = sizeof stack;
        sigaltstack(&own, &before);
        struct sigaction action {};
        action.sa_sigaction = on_signal;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigaction(SIGSEGV, &action, &segv);
        sigaction(SIGBUS, &action, &bus);
    }
    ~SignalGuard() {
        sigaction(SIGSEGV, &segv, nullptr);
        sigaction(SIGBUS, &bus, nullptr);
        sigaltstack(&before, nullptr);
    }
};

inline bool legal(dim3 grid, dim3 block, size_t shared_bytes) {
    const size_t threads = (size_t)block.x * block.y * block.z;
    return threads && threads <= 1024 && block.z <= 64 && grid.x && grid.y && grid.z &&
           grid.x <= 0x7fffffffu && grid.y <= 65535 && grid.z <= 65535 && shared_bytes <= 49152;
}

inline void arrange(size_t threads, size_t shared_bytes, Order order) {
    while (fibers.size() > threads) {
        unmap_stack(fibers.back().stack);
        fibers.pop_back();
    }
    while (fibers.size() < threads) {
        Fiber fiber{};
        fiber.index = (unsigned)fibers.size();
        fiber.stack = map_stack();
        fibers.push_back(fiber);
    }
    turns.resize(threads);
    for (size_t k = 0; k < threads; k++) turns[k] = (unsigned)(order == REVERSE ? threads - 1 - k : k);
    map_dynamic(shared_bytes);
    if (races::between_blocks) {
        races::excuse(dynamic_memory, dynamic_bytes);
        if (__start_static_shared) races::excuse(__start_static_shared, __stop_static_shared - __start_static_shared);
    }
}

static int launch(void (*function)(void **), dim3 grid, dim3 block, size_t shared_bytes, void **arguments,
                  Order order, unsigned seed) {
    message[0] = 0;
    if (!legal(grid, block, shared_bytes)) {
        snprintf(message, sizeof message, "invalid launch configuration");
        return 2;
    }
    races::begin();
    arrange((size_t)block.x * block.y * block.z, shared_bytes, order);
    blockDim = block;
    gridDim = grid;
    kernel = function;
    kernel_arguments = arguments;
    random_state = seed;
    static SignalGuard *guard;                   // static: a siglongjmp must find it
    guard = new SignalGuard;
    const int failed = sigsetjmp(failure, 1);
    if (!failed) {
        const size_t blocks = (size_t)grid.x * grid.y * grid.z;
        for (size_t k = 0; k < blocks; k++) {
            const size_t i = order == REVERSE ? blocks - 1 - k : k;
            blockIdx = {(unsigned)(i % grid.x), (unsigned)(i / grid.x % grid.y), (unsigned)(i / ((size_t)grid.x * grid.y))};
            run_block(order);
        }
    }
    races::acquire(races::end_token);
    races::watch();
    delete guard;
    return failed;
}

// ---- a kernel's parameters as text: "pf4" pointer to float, "i8" long long, "V24" a struct of 24 bytes

template <class T> struct Code {
    static std::string text() {
        if (std::is_class<T>::value) return "V" + std::to_string(sizeof(T));
        const char *kind = std::is_floating_point<T>::value ? "f" : std::is_same<T, bool>::value ? "b"
                           : std::is_signed<T>::value ? "i" : "u";
        return kind + std::to_string(sizeof(T));
    }
};
template <class T> struct Code<T *> {
    static std::string text() { return "p" + Code<typename std::remove_cv<T>::type>::text(); }
};

template <auto K> struct Kernel;
template <class... P, void (*K)(P...)> struct Kernel<K> {
    template <size_t... I> static void unpack(void **a, std::index_sequence<I...>) {
        K(*(typename std::remove_cv<P>::type *)a[I]...);
    }
    static void call(void **a) { unpack(a, std::index_sequence_for<P...>{}); }
    static std::string parameters() {
        std::string text;
        ((text += Code<typename std::remove_cv<P>::type>::text() + ","), ...);
        return text;
    }
};

struct Entry {
    const char *name;
    void (*function)(void **);
    std::string parameters;
};
inline std::vector<Entry> &entries() {
    static std::vector<Entry> all;
    return all;
}
inline const Entry *find(const char *name) {
    for (const Entry &entry : entries())
        if (!strcmp(entry.name, name)) return &entry;
    return nullptr;
}
template <auto K> struct Register {
    Register(const char *name) { entries().push_back({name, Kernel<K>::call, Kernel<K>::parameters()}); }
};

} // namespace cuda_on_cpu

#define EXPORTED extern "C" __attribute__((visibility("default")))
EXPORTED const char *cuda_on_cpu_message() { return cuda_on_cpu::message; }
EXPORTED const char *cuda_on_cpu_parameters(const char *name) {
    const auto *entry = cuda_on_cpu::find(name);
    return entry ? entry->parameters.c_str() : nullptr;
}
EXPORTED int cuda_on_cpu_launch(const char *name, const unsigned *g, const unsigned *b, size_t shared_bytes,
                                void **arguments, int order, unsigned seed) {
    const auto *entry = cuda_on_cpu::find(name);
    if (!entry) return 3;
    return cuda_on_cpu::launch(entry->function, dim3(g[0], g[1], g[2]), dim3(b[0], b[1], b[2]), shared_bytes,
                               arguments, (cuda_on_cpu::Order)order, seed);
}
