// Sums of chunks added one after the other, in row order: total_j = ((p_0j + p_1j) + p_2j) + ...
//
// A block has COLUMNS columns. All its threads copy tiles of chunks into shared memory, one tile ahead of the thread
// that adds up a column.
#pragma once
#include "../vgm_math.cuh"
#include "block.cuh"

namespace gpuvgm {
namespace {

constexpr int THREADS = 256;
constexpr int COLUMNS = 8;
constexpr int TILE_CHUNKS = 256;
constexpr int COPIES = TILE_CHUNKS * COLUMNS / THREADS;  // values a thread copies of a tile

}  // namespace
}  // namespace gpuvgm

// partials: (chunks, width), at least one chunk; total: (width,). As many blocks as groups of COLUMNS columns.
extern "C" GPUVGM_KERNEL(256) GPUVGM_NAME(const double* partials, long long chunks, int width, double* total) {
    using namespace gpuvgm;
    GPUVGM_SHARED double tile[2][TILE_CHUNKS * COLUMNS];
    const int t = (int)threadIdx.x, column = (int)blockIdx.x * COLUMNS + t % COLUMNS;
    double sum = 0.0;
    int filled = 0;
    for (i64 start = -TILE_CHUNKS; start < chunks; start += TILE_CHUNKS, filled ^= 1) {
        double next[COPIES];
#pragma unroll
        for (int c = 0; c < COPIES; ++c) {
            const i64 chunk = start + TILE_CHUNKS + c * (THREADS / COLUMNS) + t / COLUMNS;
            next[c] = chunk < chunks && column < width ? partials[chunk * width + column] : 0.0;
        }
        if (start >= 0 && t < COLUMNS) {
            const double* values = tile[filled ^ 1];
            const int count = chunks - start < TILE_CHUNKS ? (int)(chunks - start) : TILE_CHUNKS;
            sum = start == 0 ? values[t] : sum + values[t];
#pragma unroll 8
            for (int c = 1; c < count; ++c) {
                sum = sum + values[c * COLUMNS + t];
            }
        }
#pragma unroll
        for (int c = 0; c < COPIES; ++c) {
            tile[filled][c * THREADS + t] = next[c];
        }
        __syncthreads();
    }
    if (t < COLUMNS && column < width) {
        total[column] = sum;
    }
}
