// E-step over rows or over the cells of a summary with any number of components, one block a chunk of 4,096.
//
//     density_k = coefficient_k - half_precision_k d_k^2 with d_k = y - mean_k        to base 2
//     r_k       = 2^(density_k - top) / sum_j 2^(density_j - top)
//     rows:  sums of n r_k, n r_k d_k, n r_k d_k^2, and of n log2 sum_k 2^density_k
//     cells: the same for the cell's n rows to second order in their scatter m2. With g_k = -lambda_k d_k,
//            slope = sum_j r_j g_j and curve = sum_j r_j (g_j^2 - lambda_j),
//            r'_k = r_k (g_k - slope), r''_k = r_k (g_k^2 - lambda_k) - 2 slope r'_k - r_k curve
//
// A thread keeps of each of its rows only what all components share, and computes densities again for every pair of
// components. Values of a chunk are added in an order that depends on nothing but the chunk.
//
// Constants: GPUVGM_VALUE (type of a row), GPUVGM_WEIGHTED and GPUVGM_CELLS (0 or 1; cells have weights).
#pragma once
#include "block_rows.cuh"

namespace gpuvgm {
namespace {

constexpr int CHUNK_ROWS = 4096;
constexpr int THREADS = 256;
constexpr int PAIR = 2;                     // components whose sums are taken together
constexpr int KEPT = GPUVGM_CELLS ? 4 : 2;  // numbers kept of every row
constexpr int ROWS_EACH = 16 / KEPT;        // rows of a thread in a tile
constexpr int TILE_ROWS = THREADS * ROWS_EACH;
constexpr int COLUMNS = 3 * PAIR;
constexpr double TWO_LN_2 = 1.3862943611198906, LOG2_E = 1.4426950408889634;

// A row or cell as the formulas take it: coordinate, weight, scatter.
struct Row {
    double y, counted, scatter;
};

// What all components share of a row; cells need all four.
struct Shared {
    double top[TILE_ROWS], share[TILE_ROWS];  // largest density; 1 / sum of densities relative to it
#if GPUVGM_CELLS
    double slope[TILE_ROWS], curve[TILE_ROWS];
#endif
};

struct Mixture {
    int components;
    const double *means, *half_precisions, *coefficients;

    GPUVGM_FN double density(int k, double deviation) const {
        return log_density(deviation, half_precisions[k], coefficients[k]);
    }
};

// Looks at all components of row `i` of a tile and returns its part of the sum of log densities.
GPUVGM_FN double weigh(const Mixture& mixture, const Row& row, int i, Shared& shared) {
    double top = -1e300, total = 0.0;
    for (int k = 0; k < mixture.components; ++k) {
        top = maximum(mixture.density(k, row.y - mixture.means[k]), top);
    }
    for (int k = 0; k < mixture.components; ++k) {
        total = total + exp2_nonpositive(mixture.density(k, row.y - mixture.means[k]) - top);
    }
    const double share = 1.0 / total;
    shared.top[i] = top;
    shared.share[i] = share;
    const double log_density_sum = top + log2_positive(total);
#if GPUVGM_CELLS
    double slope = 0.0, curve = 0.0;
    for (int k = 0; k < mixture.components; ++k) {
        const double d = row.y - mixture.means[k], lambda = TWO_LN_2 * mixture.half_precisions[k], g = -d * lambda;
        const double r = exp2_nonpositive(mixture.density(k, d) - top) * share;
        slope = fused(r, g, slope);
        curve = fused(r, fused(g, g, -lambda), curve);
    }
    shared.slope[i] = slope;
    shared.curve[i] = curve;
    return fused(row.counted, log_density_sum, 0.5 * row.scatter * ((curve - slope * slope) * LOG2_E));
#else
    return row.counted * log_density_sum;
#endif
}

// Adds row `i` of a tile to the sums of component k: (count, first, second).
GPUVGM_FN void add_row(const Mixture& mixture, const Row& row, int i, int k, const Shared& shared, double* sums) {
    const double d = row.y - mixture.means[k];
    const double r = exp2_nonpositive(mixture.density(k, d) - shared.top[i]) * shared.share[i];
#if GPUVGM_CELLS
    const double lambda = TWO_LN_2 * mixture.half_precisions[k], g = -d * lambda;
    const double slope = shared.slope[i], m2 = row.scatter, r1 = r * (g - slope);
    const double r2 = r * (fused(g, g, -lambda) - shared.curve[i]) - 2.0 * slope * r1;
    const double count = fused(0.5 * m2, r2, row.counted * r), shift = m2 * r1;
    sums[0] = sums[0] + count;
    sums[1] = sums[1] + fused(d, count, shift);
    sums[2] = sums[2] + fused(d, fused(d, count, 2.0 * shift), m2 * r);
#else
    const double nr = row.counted * r, nrd = nr * d;
    sums[0] = sums[0] + nr;
    sums[1] = sums[1] + nrd;
    sums[2] = fused(nrd, d, sums[2]);
#endif
}

}  // namespace
}  // namespace gpuvgm

// x: (rows,), or the means of cells; weight, scatter: (rows,), where they are given; mixture: (3, components) of means,
// half precisions, coefficients; y = x * scale - centre. Chunks from `first_chunk` on. partials: (chunks, width) with
// width = 3 * components + 1.
extern "C" GPUVGM_KERNEL_TOGETHER(256, 2)
    GPUVGM_NAME(const GPUVGM_VALUE* x,
#if GPUVGM_WEIGHTED
                const double* weight,
#endif
#if GPUVGM_CELLS
                const double* scatter,
#endif
                const double* mixture, int components, double scale, double centre, long long rows,
                long long first_chunk, double* partials) {
    using namespace gpuvgm;
    GPUVGM_SHARED Shared shared;
    GPUVGM_SHARED double room[column_room(THREADS, COLUMNS)];
    const Mixture table{components, mixture, mixture + components, mixture + 2 * components};
    const int t = (int)threadIdx.x;
    const auto row_at = [&](i64 i) {
        const double value = i < rows ? widened(x[i]) : from_bits(0x7FF8000000000000ll);
        const bool ordinary = is_finite(value);
        Row row{ordinary ? value * scale - centre : mixture[0], ordinary ? 1.0 : 0.0, 0.0};
#if GPUVGM_WEIGHTED
        row.counted = ordinary ? weight[i] : 0.0;
#endif
#if GPUVGM_CELLS
        row.scatter = ordinary ? scatter[i] : 0.0;
#endif
        return row;
    };
    for (i64 chunk = first_chunk + blockIdx.x; chunk * CHUNK_ROWS < rows; chunk += gridDim.x) {
        double* out = partials + chunk * (3 * (i64)components + 1);
        for (int tile = 0; tile < CHUNK_ROWS; tile += TILE_ROWS) {
            const i64 start = chunk * CHUNK_ROWS + tile;
            double logs[1] = {0.0};
            for (int i = t; i < TILE_ROWS; i += THREADS) {
                logs[0] = logs[0] + weigh(table, row_at(start + i), i, shared);
            }
            const double log_sum = column_sum<THREADS>(logs, room);
            if (t == 0) {
                out[3 * components] = tile == 0 ? log_sum : out[3 * components] + log_sum;
            }
            for (int k = 0; k < components; k += PAIR) {
                double sums[COLUMNS] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
                const int next = k + 1 < components ? k + 1 : k;
                for (int i = t; i < TILE_ROWS; i += THREADS) {
                    const Row row = row_at(start + i);
                    add_row(table, row, i, k, shared, sums);
                    add_row(table, row, i, next, shared, sums + 3);
                }
                const double sum = column_sum<THREADS>(sums, room);
                if (t < COLUMNS && k + t / 3 < components) {
                    double& at = out[t % 3 * components + k + t / 3];
                    at = tile == 0 ? sum : at + sum;
                }
            }
        }
    }
}
