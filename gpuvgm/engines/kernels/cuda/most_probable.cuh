// Weight of the rows whose most probable component is k, one block a chunk of 4,096 rows. Of equal densities the first
// counts; a row without a density counts for nothing.
//
// Constants: GPUVGM_VALUE (type of a row), GPUVGM_WEIGHTED (0 or 1).
#pragma once
#include "block_rows.cuh"

namespace gpuvgm {
namespace {

constexpr int CHUNK_ROWS = 4096;
constexpr int THREADS = 256;
constexpr int GROUP = 8;  // components whose rows are counted together

// The component, or -1. mixture: (3, components) of means, half precisions, coefficients.
GPUVGM_FN int most_probable(double y, const double* mixture, int components) {
    double top = -1e300;
    int best = -1;
    for (int k = 0; k < components; ++k) {
        const double density = log_density(y - mixture[k], mixture[components + k], mixture[2 * components + k]);
        best = density > top ? k : best;
        top = maximum(density, top);
    }
    return best;
}

}  // namespace
}  // namespace gpuvgm

// x, weight: (rows,); y = x * scale - centre; mixture: (3, components). partials: (chunks, components).
extern "C" GPUVGM_KERNEL(256) GPUVGM_NAME(const GPUVGM_VALUE* x,
#if GPUVGM_WEIGHTED
                                          const double* weight,
#endif
                                          const double* mixture, int components, double scale, double centre,
                                          long long rows, long long first_chunk, double* partials) {
    using namespace gpuvgm;
    GPUVGM_SHARED int best[CHUNK_ROWS];
    GPUVGM_SHARED double room[column_room(THREADS, GROUP)];
    const int t = (int)threadIdx.x;
    for (i64 chunk = first_chunk + blockIdx.x; chunk * CHUNK_ROWS < rows; chunk += gridDim.x) {
        const i64 start = chunk * CHUNK_ROWS;
        const int size = rows - start < CHUNK_ROWS ? (int)(rows - start) : CHUNK_ROWS;
        for (int i = t; i < size; i += THREADS) {  // a thread reads only what it wrote itself
            best[i] = most_probable(widened(x[start + i]) * scale - centre, mixture, components);
        }
        for (int k = 0; k < components; k += GROUP) {
            double counts[GROUP];
#pragma unroll
            for (int j = 0; j < GROUP; ++j) {
                counts[j] = 0.0;
            }
            for (int i = t; i < size; i += THREADS) {
#if GPUVGM_WEIGHTED
                const double counted = weight[start + i];
#else
                const double counted = 1.0;
#endif
#pragma unroll
                for (int j = 0; j < GROUP; ++j) {
                    counts[j] = counts[j] + (best[i] == k + j ? counted : 0.0);
                }
            }
            const double count = column_sum<THREADS>(counts, room);
            if (t < GROUP && k + t < components) {
                partials[chunk * components + k + t] = count;
            }
        }
    }
}
