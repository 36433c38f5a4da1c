// How kernels of whole blocks are declared: `extern "C" GPUVGM_KERNEL(threads) GPUVGM_NAME(...)`, and GPUVGM_SHARED for
// what the threads of a block share. They use no warp intrinsics and no atomics on floating-point numbers, so that the
// same text runs on the host, a fibre for every thread, and no sum depends on the launch.
#pragma once

// GPUVGM_KERNEL_TOGETHER is for kernels whose registers must leave room for so many blocks at a time.
#if defined(GPUVGM_EMULATED)
#define GPUVGM_KERNEL_TOGETHER(threads, blocks) GPUVGM_KERNEL(threads)
#define GPUVGM_CONSTANT static const
#define GPUVGM_ON_BORDER(pointer, bytes) ((size_t)(pointer) % (bytes) == 0 ? (void)0 : abort())
#else
#define GPUVGM_KERNEL(threads) __global__ __launch_bounds__(threads) void
#define GPUVGM_KERNEL_TOGETHER(threads, blocks) __global__ __launch_bounds__(threads, blocks) void
#define GPUVGM_SHARED __shared__
#define GPUVGM_CONSTANT __constant__
#define GPUVGM_ON_BORDER(pointer, bytes)  // what devices trap, and hosts do not
#endif

// What lies in memory is read again from here on, not kept in registers.
#define GPUVGM_REREAD asm volatile("" ::: "memory")

// The compiler knows nothing of this number from here on.
#define GPUVGM_OPAQUE(number) asm volatile("" : "+r"(number))
