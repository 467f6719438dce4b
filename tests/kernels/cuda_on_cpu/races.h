// What ThreadSanitizer is told, when the build has -fsanitize=thread: fibers are threads, and barriers
// and warp operations are the only order between them. Without it, every hook is empty.
#pragma once

// Of one block; a block must not meet the tokens of another, or it would count as ordered after it.
namespace races {
struct Tokens { char barrier, warps[32]; };
}

#ifdef __SANITIZE_THREAD__
#define UNWATCHED __attribute__((noinline, no_sanitize("thread")))
extern "C" {
void *__tsan_get_current_fiber();
void *__tsan_create_fiber(unsigned);
void __tsan_destroy_fiber(void *);
void __tsan_switch_to_fiber(void *, unsigned);
void __tsan_acquire(void *);
void __tsan_release(void *);
void AnnotateBenignRaceSized(const char *, int, void *, size_t, const char *);
void AnnotateIgnoreReadsBegin(const char *, int);
void AnnotateIgnoreReadsEnd(const char *, int);
void AnnotateIgnoreWritesBegin(const char *, int);
void AnnotateIgnoreWritesEnd(const char *, int);
}
UNWATCHED static uint3 watched_thread() { return threadIdx; }
UNWATCHED static uint3 watched_block() { return blockIdx; }

// Hooks are unwatched themselves: a function entered on one fiber and left on another would upset the
// stacks that ThreadSanitizer keeps.
namespace races {
static constexpr bool watched = true;
static void *scheduler;
static bool between_blocks;      // RACES_BETWEEN_BLOCKS: blocks count as unordered, shared memory is left out
static Tokens tokens[64];
static unsigned block_count;
static char start_token, end_token;

UNWATCHED void ignore() { AnnotateIgnoreReadsBegin("", 0); AnnotateIgnoreWritesBegin("", 0); }
UNWATCHED void watch() { AnnotateIgnoreWritesEnd("", 0); AnnotateIgnoreReadsEnd("", 0); }
UNWATCHED void acquire(char &token) { __tsan_acquire(&token); }
UNWATCHED void release(char &token) { __tsan_release(&token); }
UNWATCHED void *create() { return __tsan_create_fiber(0); }
UNWATCHED void destroy(void *fiber) { __tsan_destroy_fiber(fiber); }
UNWATCHED void enter(void *fiber) { __tsan_switch_to_fiber(fiber, 1); }
UNWATCHED void begin() {
    scheduler = __tsan_get_current_fiber();
    between_blocks = getenv("RACES_BETWEEN_BLOCKS") != nullptr;
    ignore();
}
UNWATCHED void excuse(void *memory, size_t bytes) { AnnotateBenignRaceSized("", 0, memory, bytes, ""); }
UNWATCHED Tokens &own_tokens() { return tokens[block_count % 64]; }
} // namespace races
#else
#define UNWATCHED inline
namespace races {
static constexpr bool watched = false, between_blocks = false;
static void *const scheduler = nullptr;
static Tokens tokens[64];
static unsigned block_count;
static char start_token, end_token;
inline void ignore() {}
inline void watch() {}
inline void acquire(char &) {}
inline void release(char &) {}
inline void *create() { return nullptr; }
inline void destroy(void *) {}
inline void enter(void *) {}
inline void begin() {}
inline void excuse(void *, size_t) {}
inline Tokens &own_tokens() { return tokens[0]; }
} // namespace races
#endif
