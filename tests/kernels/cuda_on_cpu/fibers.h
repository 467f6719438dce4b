// The threads of a block as fibers, and the scheduler that runs a block to its end.
#pragma once

extern char __start_static_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_static_shared[] __attribute__((weak, visibility("hidden")));

namespace cuda_on_cpu {

enum State { READY, AT_BARRIER, IN_WARP, DONE };

struct Fiber {
    void *stack_pointer;
    char *stack;
    unsigned index;                              // of the thread in its block
    State state;
    int line;                                    // of the source, where it waits
    unsigned mask, present;                      // warp operation: lanes named, lanes that took part
    uint64_t published, received[32];            // its value in, all lanes' values out
    int vote, votes;
    void *watched;                               // ThreadSanitizer's handle
};

enum Order { FORWARD, REVERSE, RANDOM };

static constexpr size_t STACK = 128 << 10, PAGE = 4096;
static constexpr int POISON = 0xCB;

static std::vector<Fiber> fibers;
static std::vector<unsigned> turns;              // the order in which fibers are resumed
static Fiber *current;
static void *scheduler_stack;
static void (*kernel)(void **);
static void **kernel_arguments;
static char *dynamic_memory, *dynamic_mapping;   // the latter is whole pages, with an unmapped one behind
static size_t dynamic_bytes, dynamic_pages;
static uint32_t random_state;
static char message[400];
static sigjmp_buf failure;

inline void *dynamic_shared() {
    return dynamic_memory;
}

// Dynamic shared memory that ends at an unmapped page, but for what alignment to 32 bytes takes.
inline void map_dynamic(size_t bytes) {
    if (dynamic_mapping) munmap(dynamic_mapping, dynamic_pages);
    const size_t page = 4096;
    dynamic_bytes = (bytes + 31) / 32 * 32;
    dynamic_pages = (dynamic_bytes + page - 1) / page * page + page;
    dynamic_mapping = (char *)mmap(nullptr, dynamic_pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(dynamic_mapping + dynamic_pages - page, page, PROT_NONE);
    dynamic_memory = dynamic_mapping + dynamic_pages - page - dynamic_bytes;
}

[[noreturn]] inline void fail(const char *format, int a = 0, int b = 0, int c = 0) {
    const int n = snprintf(message, sizeof message, "block (%u,%u,%u): ", blockIdx.x, blockIdx.y, blockIdx.z);
    snprintf(message + n, sizeof message - n, format, a, b, c);
    siglongjmp(failure, 1);
}

// ---- stacks and switches

inline char *map_stack() {                       // its lowest page is unmapped: an overflow traps
    char *p = (char *)mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(p, PAGE, PROT_NONE);
    return p + PAGE;
}
inline void unmap_stack(char *p) { munmap(p - PAGE, STACK + PAGE); }

// Save the callee-saved registers on this stack and go on where `load` was saved.
extern "C" void cuda_on_cpu_switch(void **save, void *load);
asm(".text\n.hidden cuda_on_cpu_switch\n.globl cuda_on_cpu_switch\n"
    ".type cuda_on_cpu_switch,@function\ncuda_on_cpu_switch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n");

UNWATCHED void wait(State state) {               // called on a fiber
    Fiber *self = current;
    self->state = state;
    races::Tokens &own = races::own_tokens();
    char &token = state == AT_BARRIER ? own.barrier : own.warps[self->index / 32];
    races::release(token);
    races::enter(races::scheduler);
    cuda_on_cpu_switch(&self->stack_pointer, scheduler_stack);
    races::acquire(token);
}

UNWATCHED static void fiber_main() {
    races::acquire(races::start_token);
    kernel(kernel_arguments);
    current->state = DONE;
    races::release(races::end_token);
    races::enter(races::scheduler);
    void *unused;
    cuda_on_cpu_switch(&unused, scheduler_stack);
    __builtin_trap();
}

inline void prepare(Fiber &fiber) {
    fiber.state = READY;
    fiber.watched = races::create();
    if (races::between_blocks) {                 // a new stack, whose old accesses are unknown
        unmap_stack(fiber.stack);
        fiber.stack = map_stack();
    }
    void **top = (void **)(fiber.stack + STACK);
    *--top = nullptr;
    *--top = (void *)fiber_main;                 // where the first switch returns to
    for (int i = 0; i < 6; i++) *--top = nullptr;
    fiber.stack_pointer = top;
}

inline void resume(Fiber &fiber) {
    current = &fiber;
    const unsigned i = fiber.index;
    threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
    races::watch();
    races::enter(fiber.watched);
    cuda_on_cpu_switch(&scheduler_stack, fiber.stack_pointer);
    races::ignore();
}

// ---- the scheduler

// Give every lane named by `mask` the values of all of them, and set it running.
inline void exchange(size_t first, size_t last, unsigned mask) {
    uint64_t values[32] = {0};
    int votes = 0;
    for (size_t j = first; j < last; j++)
        if (mask >> (j - first) & 1) {
            values[j - first] = fibers[j].published;
            votes |= (fibers[j].vote ? 1 : 0) << (j - first);
        }
    for (size_t j = first; j < last; j++)
        if (mask >> (j - first) & 1) {
            memcpy(fibers[j].received, values, sizeof values);
            fibers[j].present = mask;
            fibers[j].votes = votes;
            fibers[j].state = READY;
        }
}

// Complete the warp operations whose lanes have all arrived; whether there were any.
inline bool complete_warps() {
    bool any = false;
    for (size_t first = 0; first < fibers.size(); first += 32) {
        const size_t last = first + 32 < fibers.size() ? first + 32 : fibers.size();
        for (size_t i = first; i < last; i++) {
            if (fibers[i].state != IN_WARP) continue;
            const unsigned mask = fibers[i].mask;
            const int line = fibers[i].line;
            if (!(mask >> (i - first) & 1)) fail("thread %d, line %d: the mask leaves out the calling lane", (int)i, line);
            unsigned arrived = 0, alive = 0;
            for (size_t j = first; j < last; j++) {
                const Fiber &f = fibers[j];
                if (f.state == IN_WARP && f.mask == mask && f.line == line) arrived |= 1u << (j - first);
                if (f.state != DONE) alive |= 1u << (j - first);
            }
            if (mask & ~alive) fail("line %d: a warp operation names lanes that have left or do not exist (mask %x)", line, (int)mask);
            if ((arrived & mask) != mask) continue;
            exchange(first, last, mask);
            any = true;
        }
    }
    return any;
}

// All threads stand: let them pass the barrier; true where all are done.
inline bool pass_barrier() {
    int done = 0, waiting = 0, line = -1, other = -1;
    for (const Fiber &f : fibers) {
        done += f.state == DONE;
        if (f.state != AT_BARRIER) continue;
        waiting++;
        if (line < 0) line = f.line;
        else if (f.line != line) other = f.line;
    }
    const int count = (int)fibers.size();
    if (done == count) return true;
    if (other >= 0) fail("threads wait at different __syncthreads(): lines %d and %d", line, other);
    if (waiting == 0 || waiting + done != count) fail("dead-lock: %d of %d threads at __syncthreads() line %d", waiting, count, line);
    if (done) fail("%d of %d threads left before __syncthreads() line %d", done, count, line);
    for (Fiber &f : fibers) f.state = READY;
    return false;
}

inline void shuffle_turns() {                    // Fisher-Yates, with a congruential generator
    for (size_t k = turns.size() - 1; k > 0; k--) {
        random_state = random_state * 1664525u + 1013904223u;
        std::swap(turns[k], turns[(random_state >> 8) % (k + 1)]);
    }
}

// Fibers are forgotten one block late: ThreadSanitizer gives a new one the identity of the one forgotten
// first, and takes a block's thread i for the previous block's.
inline void retire() {
    static std::vector<void *> previous;
    for (void *fiber : previous) races::destroy(fiber);
    previous.clear();
    for (const Fiber &f : fibers) previous.push_back(f.watched);
}

inline void run_block(Order order) {
    if (__start_static_shared) memset(__start_static_shared, POISON, __stop_static_shared - __start_static_shared);
    memset(dynamic_memory, POISON, dynamic_bytes);
    for (Fiber &f : fibers) prepare(f);
    races::block_count++;
    races::release(races::start_token);
    do {
        do {
            if (order == RANDOM) shuffle_turns();
            for (unsigned k : turns)
                while (fibers[k].state == READY) resume(fibers[k]);
        } while (complete_warps());
    } while (!pass_barrier());
    if (!races::between_blocks) races::acquire(races::end_token);
    if (races::watched) retire();
}

} // namespace cuda_on_cpu
