// E-step over rows, one block a chunk of 4,096: responsibilities and their sums.
//
//     density_k = coefficient_k - half_precision_k (y - mean_k)^2         to base 2
//     r_k       = 2^(density_k - top) / sum_j 2^(density_j - top)
//     sums of n r_k, n r_k (y - mean_k), n r_k (y - mean_k)^2, and of n log2 sum_k 2^density_k
//
// GPUVGM_COMPONENTS sums a thread stay in registers, so this file is for few components; e_step_any.cuh is for any
// number. Values of a chunk are added in an order that depends on nothing but the chunk.
//
// Constants: GPUVGM_VALUE (type of a row), GPUVGM_COMPONENTS, GPUVGM_WEIGHTED (0 or 1).
#pragma once
#include "block_rows.cuh"
#include "exp2_table.cuh"

namespace gpuvgm {
namespace {

constexpr int CHUNK_ROWS = 4096;
constexpr int THREADS = 128;
constexpr int COMPONENTS = GPUVGM_COMPONENTS;

// One over a number in [1, COMPONENTS], to an ulp or so.
GPUVGM_FN double reciprocal(double a) {
#if defined(__CUDACC__)
    double near;
    asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(near) : "d"(a));
#else
    const double near = (double)(1.0f / (float)a);
#endif
    const double rest = fused_minus(a, near, 1.0);
    return fused(near, fused(rest, rest, rest), near);
}

// Sums of a thread's rows.
struct Sums {
    double count[COMPONENTS], first[COMPONENTS], second[COMPONENTS];
    double top, product, log_density;

    GPUVGM_FN Sums() : top(0.0), product(1.0), log_density(0.0) {
#pragma unroll
        for (int k = 0; k < COMPONENTS; ++k) {
            count[k] = first[k] = second[k] = 0.0;
        }
    }
};

// Adds a row at y that counts `counted` times. components: (COMPONENTS, 4) of mean, half precision, coefficient, -.
GPUVGM_FN void add_row(const double* components, const double* powers, u32 copy, double y, double counted, Sums& sums) {
    double deviation[COMPONENTS], share[COMPONENTS];
    double top = -1e300, total = 0.0;
#pragma unroll
    for (int k = 0; k < COMPONENTS; ++k) {
        deviation[k] = y - components[4 * k];
        share[k] = log_density(deviation[k], components[4 * k + 1], components[4 * k + 2]);
        top = maximum(share[k], top);
    }
#pragma unroll
    for (int k = 0; k < COMPONENTS; ++k) {
        share[k] = exp2_by_table(share[k] - top, powers, copy);
        total = total + share[k];
    }
#if GPUVGM_WEIGHTED
    sums.log_density = fused(counted, top + log2_positive(total), sums.log_density);
    const double scale = counted * reciprocal(total);
#else
    const bool counts = counted != 0.0;
    sums.top = sums.top + (counts ? top : 0.0);
    sums.product = sums.product * (counts ? total : 1.0);  // at most COMPONENTS^32: no overflow
    const double scale = counts ? reciprocal(total) : 0.0;
#endif
#pragma unroll
    for (int k = 0; k < COMPONENTS; ++k) {
        const double r = share[k] * scale, rd = r * deviation[k];
        sums.count[k] = sums.count[k] + r;
        sums.first[k] = sums.first[k] + rd;
        sums.second[k] = fused(rd, deviation[k], sums.second[k]);
    }
}

}  // namespace
}  // namespace gpuvgm

// x: (rows,) from the chunk `first_chunk` on; weight: (rows,); mixture: (3, COMPONENTS) of means, half precisions,
// coefficients; y = x * scale - centre. partials: (chunks, 3 * COMPONENTS + 1).
extern "C" GPUVGM_KERNEL_TOGETHER(128, 3) GPUVGM_NAME(const GPUVGM_VALUE* x,
#if GPUVGM_WEIGHTED
                                                      const double* weight,
#endif
                                                      const double* mixture, double scale, double centre,
                                                      long long rows, long long first_chunk, double* partials) {
    using namespace gpuvgm;
    GPUVGM_SHARED double components[4 * COMPONENTS];
    GPUVGM_SHARED double powers[POWERS * COPIES];
    GPUVGM_SHARED double room[column_room(THREADS, COMPONENTS + 1)];
    for (int j = (int)threadIdx.x; j < 3 * COMPONENTS; j += THREADS) {
        components[j % COMPONENTS * 4 + j / COMPONENTS] = mixture[j];
    }
    fill_powers<THREADS>(powers);
    __syncthreads();
    const u32 copy = own_copy();
    for (i64 chunk = first_chunk + blockIdx.x; chunk * CHUNK_ROWS < rows; chunk += gridDim.x) {
        const i64 start = chunk * CHUNK_ROWS;
        const int size = rows - start < CHUNK_ROWS ? (int)(rows - start) : CHUNK_ROWS;
        Sums sums;
        int i = (int)threadIdx.x;
        GPUVGM_VALUE next = x[start + (i < size ? i : 0)];
        for (; i < size; i += THREADS) {
            const double row = widened(next);
            next = x[start + (i + THREADS < size ? i + THREADS : 0)];  // on its way while this row is worked on
            const bool ordinary = is_finite(row);
            GPUVGM_REREAD;
            const double y = ordinary ? row * scale - centre : components[0];
#if GPUVGM_WEIGHTED
            add_row(components, powers, copy, y, ordinary ? weight[start + i] : 0.0, sums);
#else
            add_row(components, powers, copy, y, ordinary ? 1.0 : 0.0, sums);
#endif
        }
        double counts[COMPONENTS + 1];
#pragma unroll
        for (int k = 0; k < COMPONENTS; ++k) {
            counts[k] = sums.count[k];
        }
#if GPUVGM_WEIGHTED
        counts[COMPONENTS] = sums.log_density;
#else
        counts[COMPONENTS] = sums.top + log2_positive(sums.product);
#endif
        const double count = column_sum<THREADS>(counts, room);
        const double first = column_sum<THREADS>(sums.first, room), second = column_sum<THREADS>(sums.second, room);
        double* out = partials + chunk * (3 * COMPONENTS + 1);
        const int t = (int)threadIdx.x;
        if (t < COMPONENTS) {
            out[t] = count;
            out[COMPONENTS + t] = first;
            out[2 * COMPONENTS + t] = second;
        } else if (t == COMPONENTS) {
            out[3 * COMPONENTS] = count;
        }
    }
}
