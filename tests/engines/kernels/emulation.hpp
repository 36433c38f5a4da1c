// A CUDA block on the host, for tests: every thread is a fibre, and __syncthreads gives way to the next one. A block in
// which some threads end while others wait at a barrier aborts. Atomics are plain operations, since one fibre runs at a
// time. Blocks run from the last to the first, and the threads of every other block (and launch) as well, so that a
// kernel that counts on their order is found out.
#pragma once
#undef _FORTIFY_SOURCE  // its longjmp refuses to go from one stack to another
#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#define GPUVGM_EMULATED 1
#define GPUVGM_KERNEL(threads) void
#define GPUVGM_SHARED static thread_local

struct EmulatedIndex {
    unsigned x = 0, y = 0, z = 0;
};
static thread_local EmulatedIndex threadIdx, blockIdx, blockDim, gridDim;

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

struct Fibre {
    ucontext_t start;
    jmp_buf at;
    bool begun;
};
struct Block {
    jmp_buf scheduler;
    std::vector<Fibre> fibres;
    std::vector<char> ended;
    std::vector<char> stacks;
    unsigned current = 0;
    const std::function<void()>* body = nullptr;
};
inline Block& block() {
    static thread_local Block one;
    return one;
}

// Contexts begin fibres, jumps go between them: swapcontext asks the kernel for the mask of signals each time.
inline void begin() {
    Block& b = block();
    (*b.body)();
    b.ended[b.current] = 1;
    _longjmp(b.scheduler, 1);
}

inline void sync() {
    Block& b = block();
    const unsigned mine = b.current;
    if (_setjmp(b.fibres[mine].at) == 0) {
        _longjmp(b.scheduler, 1);
    }
    threadIdx.x = mine;
}

inline void resume(Block& b) {
    Fibre& fibre = b.fibres[b.current];
    if (_setjmp(b.scheduler) != 0) {
        return;
    }
    if (fibre.begun) {
        _longjmp(fibre.at, 1);
    }
    fibre.begun = true;
    setcontext(&fibre.start);
}

inline void run_block(unsigned threads, bool backwards) {
    Block& b = block();
    for (unsigned t = 0; t < threads; ++t) {
        b.ended[t] = 0;
        ucontext_t& start = b.fibres[t].start;
        getcontext(&start);
        start.uc_stack.ss_sp = &b.stacks[STACK * t];
        start.uc_stack.ss_size = STACK;
        start.uc_link = nullptr;
        makecontext(&start, begin, 0);
        b.fibres[t].begun = false;
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
            resume(b);
            finished += b.ended[t] != 0;
            waiting |= !b.ended[t];
        }
        if (finished != 0 && finished != alive) {
            std::fprintf(stderr, "divergent barrier: %u of %u threads ended\n", finished, alive);
            std::abort();
        }
    }
}

inline void launch(unsigned blocks, unsigned threads, const std::function<void()>& body) {
    Block& b = block();
    b.fibres.resize(threads);
    b.ended.resize(threads);
    b.stacks.resize(STACK * threads);
    b.body = &body;
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
