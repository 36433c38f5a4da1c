// A CUDA block on the host, for tests: every thread is a fibre, and __syncthreads gives way to the next one. A block in
// which some threads end while others wait at a barrier aborts. Atomics are plain operations, since one fibre runs at a
// time, of one launch at a time. Blocks run from the last to the first, and the threads of every other block (and
// launch) as well, so that a kernel that counts on their order is found out.
#pragma once
#include <sched.h>
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define GPUVGM_EMULATED 1
#define GPUVGM_KERNEL(threads) void
#define GPUVGM_SHARED static

struct EmulatedIndex {
    unsigned x = 0, y = 0, z = 0;
};
static EmulatedIndex threadIdx, blockIdx, blockDim, gridDim;

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) double2 {
    double x, y;
};
struct alignas(4) char4 {
    signed char x, y, z, w;
};
struct alignas(4) uchar4 {
    unsigned char x, y, z, w;
};
struct alignas(8) short4 {
    short x, y, z, w;
};
struct alignas(8) ushort4 {
    unsigned short x, y, z, w;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(16) uint4 {
    unsigned int x, y, z, w;
};
struct alignas(16) longlong2 {
    long long x, y;
};
struct alignas(16) ulonglong2 {
    unsigned long long x, y;
};

inline int __double2hiint(double a) {
    uint64_t bits;
    std::memcpy(&bits, &a, 8);
    return (int)(bits >> 32);
}
inline int __double2loint(double a) {
    uint64_t bits;
    std::memcpy(&bits, &a, 8);
    return (int)bits;
}

namespace emulation {

constexpr size_t STACK = 128 * 1024;
constexpr unsigned MOST_THREADS = 1024;

// A place where a fibre, or the scheduler, goes on. A fit passes millions of barriers: what the ABI wants kept is
// pushed on the stack that is left, where the C library would ask the kernel for the mask of signals.
#if defined(__x86_64__) && defined(__linux__)
typedef void* Place;
extern "C" __attribute__((visibility("hidden"))) void emulated_switch(Place* from, Place to);
asm(R"(
    .text
    .hidden emulated_switch
    .type emulated_switch, @function
emulated_switch:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
    .size emulated_switch, .-emulated_switch
)");
inline void go_on(Place& from, Place& to) { emulated_switch(&from, to); }
inline void prepare(Place& place, char* stack, void (*begin)()) {
    void** top = (void**)(stack + STACK) - 8;  // six registers, where to begin, and nowhere to return to
    std::memset(top, 0, 8 * sizeof(void*));
    top[6] = (void*)begin;
    place = top;
}
#else
typedef ucontext_t Place;
inline void go_on(Place& from, Place& to) { swapcontext(&from, &to); }
inline void prepare(Place& place, char* stack, void (*begin)()) {
    getcontext(&place);
    place.uc_stack.ss_sp = stack;
    place.uc_stack.ss_size = STACK;
    place.uc_link = nullptr;
    makecontext(&place, begin, 0);
}
#endif

// What a launch works with; plain memory, as shared memory is, since that of a thread is looked up at each access.
struct Block {
    Place scheduler;
    Place fibres[MOST_THREADS];
    bool ended[MOST_THREADS];
    char* stacks = nullptr;
    unsigned current = 0;
    void (*body)(const void*) = nullptr;
    const void* captured = nullptr;
};
static Block block;

static void begin() {
    block.body(block.captured);
    block.ended[block.current] = 1;
    go_on(block.fibres[block.current], block.scheduler);
}

static void sync() {
    const unsigned mine = block.current;
    go_on(block.fibres[mine], block.scheduler);
    threadIdx.x = mine;
}

static void run_block(unsigned threads, bool backwards) {
    Block& b = block;
    for (unsigned t = 0; t < threads; ++t) {
        b.ended[t] = 0;
        prepare(b.fibres[t], &b.stacks[STACK * t], begin);
    }
    for (bool waiting = true; waiting;) {
        waiting = false;
        unsigned alive = 0, finished = 0;
        for (unsigned i = 0; i < threads; ++i) {
            const unsigned t = backwards ? threads - 1 - i : i;
            if (b.ended[t]) {
                continue;
            }
            ++alive;
            b.current = t;
            threadIdx.x = t;
            go_on(b.scheduler, b.fibres[t]);
            finished += b.ended[t] != 0;
            waiting |= !b.ended[t];
        }
        if (finished != 0 && finished != alive) {
            std::fprintf(stderr, "divergent barrier: %u of %u threads ended\n", finished, alive);
            std::abort();
        }
    }
}

// One thread of the host at a time.
static bool taken = false;
struct Turn {
    Turn() {
        while (__atomic_exchange_n(&taken, true, __ATOMIC_ACQUIRE)) {
            sched_yield();
        }
    }
    ~Turn() { __atomic_store_n(&taken, false, __ATOMIC_RELEASE); }
};

template <class Body> void launch(unsigned blocks, unsigned threads, const Body& body) {
    const Turn turn;
    if (block.stacks == nullptr) {
        block.stacks = (char*)std::malloc(STACK * MOST_THREADS);  // of which the host gives what is written to
    }
    block.body = [](const void* captured) { (*(const Body*)captured)(); };
    block.captured = &body;
    static unsigned launches = 0;
    ++launches;
    gridDim = {blocks, 1, 1};
    blockDim = {threads, 1, 1};
    for (unsigned i = 0; i < blocks; ++i) {
        blockIdx.x = blocks - 1 - i;
        run_block(threads, (launches + i) % 2 != 0);
    }
}

}  // namespace emulation

#define __syncthreads() emulation::sync()

template <class T> inline T atomicAdd(T* at, T value) {
    const T old = *at;
    *at = old + value;
    return old;
}
template <class T> inline T atomicMax(T* at, T value) {
    const T old = *at;
    *at = old > value ? old : value;
    return old;
}
template <class T> inline T atomicMin(T* at, T value) {
    const T old = *at;
    *at = old < value ? old : value;
    return old;
}
template <class T> inline T atomicOr(T* at, T value) {
    const T old = *at;
    *at = old | value;
    return old;
}
template <class T> inline T atomicCAS(T* at, T compare, T value) {
    const T old = *at;
    *at = old == compare ? value : old;
    return old;
}
inline void __threadfence() {}
