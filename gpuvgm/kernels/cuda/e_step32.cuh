// E-step over rows in float32, one block a chunk of 4,096: for devices with few FP64 units, and where seven digits do.
//
//     d_k       = (high - mean_high_k) - mean_low_k (+ low), t_k = d_k root_k            see vgm_math32.cuh
//     density_k = coefficient_k - t_k^2, relative to the largest coefficient
//     r_k       = 2^(density_k - top) / sum_j 2^(density_j - top)
//     sums of n r_k, n r_k d_k, n r_k d_k^2, and of n log2 sum_k 2^density_k
//
// A thread adds its 32 rows of a chunk up in float32 and hands the sums on in float64; no row sees FP64 arithmetic. The
// exponential is the device's own, so that these sums agree with those of e_step.cuh to about 1e-6 and no further.
// Values of a chunk are added in an order that depends on nothing but the chunk.
//
// Constants: GPUVGM_VALUE (type of a row), GPUVGM_COMPONENTS, GPUVGM_WEIGHTED (0 or 1).
#pragma once
#include "../vgm_math32.cuh"
#include "block_rows.cuh"

namespace gpuvgm {
namespace {

constexpr int CHUNK_ROWS = 4096;
constexpr int THREADS = 128;
constexpr int COMPONENTS = GPUVGM_COMPONENTS;

#if defined(__CUDACC__)
GPUVGM_FN float quick_exp2(float a) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(a));
    return power;
}
GPUVGM_FN float quick_log2(float a) {
    float log;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(log) : "f"(a));
    return log;
}
GPUVGM_FN float quick_reciprocal(float a) {
    float one_over;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(one_over) : "f"(a));
    return one_over;
}
#else
GPUVGM_FN float quick_exp2(float a) { return __builtin_exp2f(a); }
GPUVGM_FN float quick_log2(float a) { return __builtin_log2f(a); }
GPUVGM_FN float quick_reciprocal(float a) { return 1.0f / a; }
#endif

GPUVGM_FN Halves narrowed(double x, float, int exponent) { return halves_of(x, exponent); }
GPUVGM_FN Halves narrowed(float x, float power, int) { return {high_of(x, power), 0.0f}; }

struct alignas(16) Component {
    float mean_high, mean_low, root, coefficient;
};

// Sums of a thread's rows.
struct Sums {
    float count[COMPONENTS], first[COMPONENTS], second[COMPONENTS];
    float top, product, log_density;

    GPUVGM_FN Sums() : top(0.0f), product(1.0f), log_density(0.0f) {
#pragma unroll
        for (int k = 0; k < COMPONENTS; ++k) {
            count[k] = first[k] = second[k] = 0.0f;
        }
    }
};

// Adds a row that counts `counted` times.
GPUVGM_FN void add_row(const Component* components, Halves row, float counted, Sums& sums) {
    float deviation[COMPONENTS], share[COMPONENTS];
    float top = -LARGEST_FLOAT, total = 0.0f;
#pragma unroll
    for (int k = 0; k < COMPONENTS; ++k) {
        const Component component = components[k];
        deviation[k] = deviation_of(row, Halves{component.mean_high, component.mean_low});
        share[k] = log_density_of(deviation[k], component.root, component.coefficient);
        top = maximum(share[k], top);
    }
#pragma unroll
    for (int k = 0; k < COMPONENTS; ++k) {
        share[k] = quick_exp2(share[k] - top);
        total = total + share[k];
    }
#if GPUVGM_WEIGHTED
    sums.log_density = fused(counted, top + quick_log2(total), sums.log_density);
    const float scale = counted * quick_reciprocal(total);
#else
    const bool counts = counted != 0.0f;
    sums.top = sums.top + (counts ? top : 0.0f);
    sums.product = sums.product * (counts ? total : 1.0f);  // at most COMPONENTS^32: no overflow
    const float scale = counts ? quick_reciprocal(total) : 0.0f;
#endif
#pragma unroll
    for (int k = 0; k < COMPONENTS; ++k) {
        const float r = share[k] * scale, rd = r * deviation[k];
        sums.count[k] = sums.count[k] + r;
        sums.first[k] = sums.first[k] + rd;
        sums.second[k] = fused(rd, deviation[k], sums.second[k]);
    }
}

// Sums of all threads of a block; see column_sum.
GPUVGM_FN double block_sum(const float (&value)[COMPONENTS], double rest, double* room) {
    double wide[COMPONENTS + 1];
#pragma unroll
    for (int k = 0; k < COMPONENTS; ++k) {
        wide[k] = (double)value[k];
    }
    wide[COMPONENTS] = rest;
    return column_sum<THREADS>(wide, room);
}

}  // namespace
}  // namespace gpuvgm

// x: (rows,); weight: (rows,); mixture: (COMPONENTS, 4), see Component. Rows enter as x 2^exponent, power is that
// number where rows are floats; sums leave in units of `unit` and `unit`^2, log densities with `largest` added. Chunks
// from `first_chunk` on. partials: (chunks, 3 * COMPONENTS + 1).
extern "C" GPUVGM_KERNEL_TOGETHER(128, 5)
    GPUVGM_NAME(const GPUVGM_VALUE* x,
#if GPUVGM_WEIGHTED
                const double* weight,
#endif
                const float* mixture, float power, int exponent, double unit, double largest, long long rows,
                long long first_chunk, double* partials) {
    using namespace gpuvgm;
    GPUVGM_SHARED Component components[COMPONENTS];
    GPUVGM_SHARED double room[column_room(THREADS, COMPONENTS + 1)];
    const int t = (int)threadIdx.x;
    if (t < COMPONENTS) {
        components[t] = {mixture[4 * t], mixture[4 * t + 1], mixture[4 * t + 2], mixture[4 * t + 3]};
    }
    __syncthreads();
    for (i64 chunk = first_chunk + blockIdx.x; chunk * CHUNK_ROWS < rows; chunk += gridDim.x) {
        const i64 start = chunk * CHUNK_ROWS;
        const int size = rows - start < CHUNK_ROWS ? (int)(rows - start) : CHUNK_ROWS;
        Sums sums;
        double counted_rows = 0.0;
        int i = t, ordinary_rows = 0;
        GPUVGM_VALUE next = x[start + (i < size ? i : 0)];
        for (; i < size; i += THREADS) {
            Halves row = narrowed(next, power, exponent);
            next = x[start + (i + THREADS < size ? i + THREADS : 0)];  // on its way while this row is worked on
            const bool ordinary = row.high == row.high;
            GPUVGM_REREAD;
            row.high = ordinary ? row.high : components[0].mean_high;
#if GPUVGM_WEIGHTED
            const double given = ordinary ? weight[start + i] : 0.0;
            counted_rows = counted_rows + given;
            add_row(components, row, (float)given, sums);
#else
            ordinary_rows += ordinary;
            add_row(components, row, ordinary ? 1.0f : 0.0f, sums);
#endif
        }
#if !GPUVGM_WEIGHTED
        counted_rows = (double)ordinary_rows;
        sums.log_density = sums.top + quick_log2(sums.product);
#endif
        const double log_density_sum = fused(largest, counted_rows, (double)sums.log_density);
        const double count = block_sum(sums.count, log_density_sum, room);
        const double first = block_sum(sums.first, 0.0, room), second = block_sum(sums.second, 0.0, room);
        double* out = partials + chunk * (3 * COMPONENTS + 1);
        if (t < COMPONENTS) {
            out[t] = count;
            out[COMPONENTS + t] = first * unit;
            out[2 * COMPONENTS + t] = second * unit * unit;
        } else if (t == COMPONENTS) {
            out[3 * COMPONENTS] = count;
        }
    }
}
