// Sums of tiles of 256 chunks: the nodes of level 8 of the tree of `gpuvgm.engines.chunk_sums`, with its bits. Chunks
// before the first whole tile and after the last one are copied.
//
// A block has COLUMNS columns of a tile. A thread adds up EACH chunks, and all threads add up what these gave.
#pragma once
#include "../vgm_math.cuh"
#include "block.cuh"

namespace gpuvgm {
namespace {

constexpr int THREADS = 256;
constexpr int COLUMNS = 8;
constexpr int TILE_CHUNKS = 256;
constexpr int GROUPS = THREADS / COLUMNS;  // threads of a column
constexpr int EACH = TILE_CHUNKS / GROUPS;

// Sum of a column's values, a tree of their neighbours; the column's first thread has it.
GPUVGM_FN double tree_sum(double (&values)[EACH], double* room, int t) {
#pragma unroll
    for (int step = 1; step < EACH; step *= 2) {
#pragma unroll
        for (int i = 0; i < EACH; i += 2 * step) {
            values[i] = values[i] + values[i + step];
        }
    }
    double sum = values[0];
    room[t] = sum;
#pragma unroll
    for (int step = 1; step < GROUPS; step *= 2) {
        __syncthreads();
        if (t / COLUMNS % (2 * step) == 0) {
            sum = sum + room[t + step * COLUMNS];
            room[t] = sum;
        }
    }
    return sum;
}

}  // namespace
}  // namespace gpuvgm

// partials: (chunks, width); the first `head` < 256 chunks come before the first whole tile. nodes: (head + tiles +
// rest, width). As many blocks as tiles, or parts of one, times groups of COLUMNS columns.
extern "C" GPUVGM_KERNEL(256)
    GPUVGM_NAME(const double* partials, long long chunks, long long head, int width, double* nodes) {
    using namespace gpuvgm;
    GPUVGM_SHARED double room[THREADS];
    const int t = (int)threadIdx.x, groups = (width + COLUMNS - 1) / COLUMNS;
    const int tiles = 1 + (int)((chunks - head + TILE_CHUNKS - 1) / TILE_CHUNKS);  // the head is one too
    for (int task = (int)blockIdx.x; task < tiles * groups; task += (int)gridDim.x) {
        const i64 tile = task / groups, start = tile == 0 ? 0 : head + (tile - 1) * TILE_CHUNKS;
        const i64 next = head + tile * TILE_CHUNKS, end = next < chunks ? next : chunks;
        const i64 node = tile == 0 ? 0 : head + tile - 1;
        const int column = task % groups * COLUMNS + t % COLUMNS;
        if (end - start < TILE_CHUNKS) {
            for (i64 chunk = start + t / COLUMNS; chunk < end; chunk += GROUPS) {
                if (column < width) {
                    nodes[(node + chunk - start) * width + column] = partials[chunk * width + column];
                }
            }
            continue;
        }
        double values[EACH];
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            const i64 chunk = start + t / COLUMNS * EACH + i;
            values[i] = column < width ? partials[chunk * width + column] : 0.0;
        }
        const double sum = tree_sum(values, room, t);
        if (t < COLUMNS && column < width) {
            nodes[node * width + column] = sum;
        }
        __syncthreads();
    }
}
