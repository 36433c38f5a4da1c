// How kernels of whole blocks are declared: `extern "C" GPUVGM_KERNEL(threads) GPUVGM_NAME(...)`, and GPUVGM_SHARED for
// what the threads of a block share. They use no warp intrinsics and no atomics on floating-point numbers, so that the
// same text runs on the host, a fibre for every thread, and no sum depends on the launch.
#pragma once

#if !defined(GPUVGM_EMULATED)
#define GPUVGM_KERNEL(threads) __global__ __launch_bounds__(threads) void
#define GPUVGM_SHARED __shared__
#endif

// A kernel whose registers must leave room for so many blocks at a time.
#if defined(GPUVGM_EMULATED)
#define GPUVGM_KERNEL_TOGETHER(threads, blocks) GPUVGM_KERNEL(threads)
#else
#define GPUVGM_KERNEL_TOGETHER(threads, blocks) __global__ __launch_bounds__(threads, blocks) void
#endif

// What lies in memory is read again from here on, not kept in registers.
#define GPUVGM_REREAD asm volatile("" ::: "memory")
