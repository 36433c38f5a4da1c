// E-step over rows or over the cells of a summary, one block a chunk of 4,096.
//
//     density_k = log2 of weight times density at d_k, the distance of the row from the mean
//     r_k       = 2^(density_k - top) / sum_j 2^(density_j - top)
//     rows:  sums of n r_k, n r_k d_k, n r_k d_k^2, and of n log2 sum_k 2^density_k
//     cells: the same for the cell's n rows to second order in their scatter m2. With g_k = -lambda_k d_k,
//            slope = sum_j r_j g_j and curve = sum_j r_j (g_j^2 - lambda_j),
//            r'_k = r_k (g_k - slope), r''_k = r_k (g_k^2 - lambda_k) - 2 slope r'_k - r_k curve
//
// With few components their sums stay in the registers of a thread. With any number of them a thread keeps of each of
// its rows only what all components share, and computes densities again for every pair of components. Values of a chunk
// are added in an order that depends on nothing but the chunk.
//
// Constants: GPUVGM_VALUE (type of a row), GPUVGM_COMPONENTS (0 for any number), GPUVGM_WEIGHTED and GPUVGM_CELLS (0 or
// 1; cells have weights and any number of components).
#pragma once
#include "../vgm_math.cuh"
#include "block_rows.cuh"
#include "exp2_table.cuh"

namespace gpuvgm {
namespace {

constexpr int CHUNK_ROWS = 4096;
constexpr int COMPONENTS = GPUVGM_COMPONENTS;
constexpr bool WEIGHTED = GPUVGM_WEIGHTED, CELLS = GPUVGM_CELLS;
constexpr int THREADS = COMPONENTS ? 128 : 256;
constexpr int BLOCKS = COMPONENTS ? 3 : 2;  // at a time

// What a kernel is given of the rows; (rows,) each, null where there is none.
struct Given {
    const GPUVGM_VALUE* x;
    const double *weight, *scatter;
    i64 rows;
};

// Where rows enter: y = x * scale - centre.
struct Frame {
    double scale, centre;

    GPUVGM_FN double coordinate(double x) const { return x * scale - centre; }
};

// ---- few components ------------------------------------------------------------------------------------------------

struct Component {
    double mean, half_precision, coefficient;
};

struct Quick {
    const double* powers;
    u32 copy;

    GPUVGM_FN explicit Quick(double* table) : powers(table), copy(own_copy()) { fill_powers<THREADS>(table); }
    GPUVGM_FN double exp2(double t) const { return exp2_by_table(t, powers, copy); }
    GPUVGM_FN static double log2(double a) { return log2_positive(a); }
    // One over a number in [1, COMPONENTS], to an ulp or so.
    GPUVGM_FN static double reciprocal(double a) {
#if defined(__CUDACC__)
        double near;
        asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(near) : "d"(a));
#else
        const double near = (double)(1.0f / (float)a);
#endif
        const double rest = fused_minus(a, near, 1.0);
        return fused(near, fused(rest, rest, rest), near);
    }
};
// Sums of a thread's rows.
template <int K> struct Sums {
    double count[K], first[K], second[K];
    double top, product, log_density;

    GPUVGM_FN Sums() : top(0), product(1), log_density(0) {
#pragma unroll
        for (int k = 0; k < K; ++k) {
            count[k] = first[k] = second[k] = 0;
        }
    }
};

// Adds a row at y that counts `counted` times.
template <int K>
GPUVGM_FN void add_row(const Component* components, const Quick& quick, double y, double counted, Sums<K>& sums) {
    double deviation[K], share[K];
    double top = -1e300, total = 0;
#pragma unroll
    for (int k = 0; k < K; ++k) {
        const Component component = components[k];
        deviation[k] = y - component.mean;
        share[k] = log_density(deviation[k], component.half_precision, component.coefficient);
        top = maximum(share[k], top);
    }
#pragma unroll
    for (int k = 0; k < K; ++k) {
        share[k] = quick.exp2(share[k] - top);
        total = total + share[k];
    }
    double scale;
    if constexpr (WEIGHTED) {
        sums.log_density = fused(counted, top + quick.log2(total), sums.log_density);
        scale = counted * quick.reciprocal(total);
    } else {
        const bool counts = counted != 0;
        sums.top = sums.top + (counts ? top : 0);
        sums.product = sums.product * (counts ? total : 1);  // at most K^32: no overflow
        scale = counts ? quick.reciprocal(total) : 0;
    }
#pragma unroll
    for (int k = 0; k < K; ++k) {
        const double r = share[k] * scale, rd = r * deviation[k];
        sums.count[k] = sums.count[k] + r;
        sums.first[k] = sums.first[k] + rd;
        sums.second[k] = fused(rd, deviation[k], sums.second[k]);
    }
}

// column_sum of K values, and of more.
template <int K, class... Rest> GPUVGM_FN double block_sum(double* room, const double (&value)[K], Rest... rest) {
    double all[K + sizeof...(Rest)] = {};
#pragma unroll
    for (int k = 0; k < K; ++k) {
        all[k] = value[k];
    }
    ((all[K] = rest), ...);
    return column_sum<THREADS>(all, room);
}

template <int K>
GPUVGM_FN void e_step_few(const Given& given, const double* mixture, const Frame& frame, i64 first_chunk,
                          double* partials) {
    GPUVGM_SHARED Component components[K];
    GPUVGM_SHARED double powers[POWERS * COPIES];
    GPUVGM_SHARED double room[column_room(THREADS, K + 1)];
    const int t = (int)threadIdx.x;
    if (t < K) {
        components[t] = {mixture[t], mixture[K + t], mixture[2 * K + t]};
    }
    const Quick quick(powers);
    __syncthreads();
    for (i64 chunk = first_chunk + blockIdx.x; chunk * CHUNK_ROWS < given.rows; chunk += gridDim.x) {
        const i64 start = chunk * CHUNK_ROWS;
        const int size = given.rows - start < CHUNK_ROWS ? (int)(given.rows - start) : CHUNK_ROWS;
        Sums<K> sums;
        int i = t;
        GPUVGM_VALUE next = given.x[start + (i < size ? i : 0)];
        for (; i < size; i += THREADS) {
            const double x = widened(next);
            next = given.x[start + (i + THREADS < size ? i + THREADS : 0)];  // on its way while this row is worked on
            const bool ordinary = is_finite(x);
            GPUVGM_REREAD;
            const double y = ordinary ? frame.coordinate(x) : components[0].mean;
            if constexpr (WEIGHTED) {
                const double counted = ordinary ? given.weight[start + i] : 0.0;
                add_row(components, quick, y, counted, sums);
            } else {
                add_row(components, quick, y, ordinary ? 1.0 : 0.0, sums);
            }
        }
        if constexpr (!WEIGHTED) {
            sums.log_density = sums.top + quick.log2(sums.product);
        }
        const double count = block_sum(room, sums.count, sums.log_density);
        const double first = block_sum(room, sums.first), second = block_sum(room, sums.second);
        double* out = partials + chunk * (3 * K + 1);
        if (t < K) {
            out[t] = count;
            out[K + t] = first;
            out[2 * K + t] = second;
        } else if (t == K) {
            out[3 * K] = count;
        }
    }
}

// ---- any number of components --------------------------------------------------------------------------------------

constexpr int PAIR = 2;               // components whose sums are taken together
constexpr int KEPT = CELLS ? 4 : 2;   // numbers kept of every row
constexpr int ROWS_EACH = 16 / KEPT;  // rows of a thread in a tile
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
    double slope[CELLS ? TILE_ROWS : 1], curve[CELLS ? TILE_ROWS : 1];
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
    if constexpr (CELLS) {
        double slope = 0.0, curve = 0.0;
        for (int k = 0; k < mixture.components; ++k) {
            const double d = row.y - mixture.means[k], lambda = TWO_LN_2 * mixture.half_precisions[k], g = -d * lambda;
            const double r = share_of_cell(exp2_nonpositive(mixture.density(k, d) - top), share);
            slope = fused(r, g, slope);
            curve = fused(r, fused(g, g, -lambda), curve);
        }
        shared.slope[i] = slope;
        shared.curve[i] = curve;
        return fused(row.counted, log_density_sum, 0.5 * row.scatter * ((curve - slope * slope) * LOG2_E));
    } else {
        return row.counted * log_density_sum;
    }
}

// Adds row `i` of a tile to the sums of component k: (count, first, second).
GPUVGM_FN void add_to(const Mixture& mixture, const Row& row, int i, int k, const Shared& shared, double* sums) {
    const double d = row.y - mixture.means[k];
    const double relative = exp2_nonpositive(mixture.density(k, d) - shared.top[i]), share = shared.share[i];
    const double r = CELLS ? share_of_cell(relative, share) : relative * share;
    if constexpr (CELLS) {
        const double lambda = TWO_LN_2 * mixture.half_precisions[k], g = -d * lambda;
        const double slope = shared.slope[i], m2 = row.scatter, r1 = r * (g - slope);
        const double r2 = r * (fused(g, g, -lambda) - shared.curve[i]) - 2.0 * slope * r1;
        const double count = fused(0.5 * m2, r2, row.counted * r), shift = m2 * r1;
        sums[0] = sums[0] + count;
        sums[1] = sums[1] + fused(d, count, shift);
        sums[2] = sums[2] + fused(d, fused(d, count, 2.0 * shift), m2 * r);
    } else {
        const double nr = row.counted * r, nrd = nr * d;
        sums[0] = sums[0] + nr;
        sums[1] = sums[1] + nrd;
        sums[2] = fused(nrd, d, sums[2]);
    }
}

GPUVGM_FN void e_step_any(const Given& given, const double* mixture, int components, const Frame& frame,
                          i64 first_chunk, double* partials) {
    GPUVGM_SHARED Shared shared;
    GPUVGM_SHARED double room[column_room(THREADS, COLUMNS)];
    const Mixture table{components, mixture, mixture + components, mixture + 2 * components};
    const int t = (int)threadIdx.x;
    const auto row_at = [&](i64 i) {
        const double value = i < given.rows ? widened(given.x[i]) : from_bits(0x7FF8000000000000ll);
        const bool ordinary = is_finite(value);
        Row row{ordinary ? frame.coordinate(value) : mixture[0], ordinary ? 1.0 : 0.0, 0.0};
        if constexpr (WEIGHTED) {
            row.counted = ordinary ? given.weight[i] : 0.0;
        }
        if constexpr (CELLS) {
            row.scatter = ordinary ? given.scatter[i] : 0.0;
        }
        return row;
    };
    for (i64 chunk = first_chunk + blockIdx.x; chunk * CHUNK_ROWS < given.rows; chunk += gridDim.x) {
        double* out = partials + chunk * (3 * (i64)components + 1);
        for (int tile = 0; tile < CHUNK_ROWS; tile += TILE_ROWS) {
            const i64 start = chunk * CHUNK_ROWS + tile;
            double logs[1] = {0.0};
#pragma unroll 1
            for (int turn = 0; turn < ROWS_EACH; ++turn) {
                const int i = turn * THREADS + t;
                logs[0] = logs[0] + weigh(table, row_at(start + i), i, shared);
            }
            const double log_sum = column_sum<THREADS>(logs, room);
            if (t == 0) {
                out[3 * components] = tile == 0 ? log_sum : out[3 * components] + log_sum;
            }
            for (int k = 0; k < components; k += PAIR) {
                double sums[COLUMNS] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
                const int next = k + 1 < components ? k + 1 : k;
#pragma unroll 2
                for (int turn = 0; turn < ROWS_EACH; ++turn) {
                    const int i = turn * THREADS + t;
                    const Row row = row_at(start + i);
                    add_to(table, row, i, k, shared, sums);
                    add_to(table, row, i, next, shared, sums + 3);
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

}  // namespace
}  // namespace gpuvgm

// x: (rows,), or the means of cells; weight, scatter: (rows,), where they are given; mixture: (3, components) of means,
// half precisions, coefficients; y = x * scale - centre. Chunks from `first_chunk` on.
// partials: (chunks, 3 * components + 1).
extern "C" GPUVGM_KERNEL_TOGETHER(gpuvgm::THREADS, gpuvgm::BLOCKS)
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
    const Frame frame{scale, centre};
    Given given{x, nullptr, nullptr, rows};
#if GPUVGM_WEIGHTED
    given.weight = weight;
#endif
#if GPUVGM_CELLS
    given.scatter = scatter;
#endif
#if GPUVGM_COMPONENTS
    e_step_few<COMPONENTS>(given, mixture, frame, first_chunk, partials);
#else
    e_step_any(given, mixture, components, frame, first_chunk, partials);
#endif
}
