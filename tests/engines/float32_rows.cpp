// The law of float32 row by row, as a device runs it, with subnormal floats kept or flushed to zero.
#include "vgm_math32.cuh"

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

using namespace gpuvgm;

struct Parameters {
    int components, active, exponent;
    const float *mean_high, *mean_low, *roots, *coefficients, *widths, *cells;
    float floor, limit, missing_cell;
};

static void one_row(Halves row, const Parameters& p, float uniform, bool most_probable, float* scalar, float* cell) {
    float share[64], top = -LARGEST_FLOAT, total = 0.0f, active_sum = 0.0f, sum = 0.0f;
    int mode = 0;
    for (int k = 0; k < p.components; ++k) {
        const float d = deviation_of(row, Halves{p.mean_high[k], p.mean_low[k]});
        share[k] = log_density_of(d, p.roots[k], p.coefficients[k]);
        mode = most_probable && k < p.active && share[k] > top ? k : mode;
        top = maximum(share[k], top);
    }
    for (int k = 0; k < p.components; ++k) {
        share[k] = exp2_float32(share[k] - top);
        total = total + share[k];
        active_sum = k < p.active ? active_sum + share[k] : active_sum;
    }
    const float floor = p.floor * total, threshold = threshold_of(uniform, (float)p.active, floor, active_sum);
    for (int k = 0; !most_probable && k + 1 < p.active; ++k) {
        sum = sum + (share[k] + floor);
        mode = sum <= threshold ? k + 1 : mode;
    }
    const Halves mean{p.mean_high[mode], p.mean_low[mode]};
    const float d = row.low == 0.0f ? deviation_of(row.high, mean) : deviation_of(row, mean);
    *scalar = select_finite(row.high, position_of(d, p.widths[mode], p.limit), 0.0f);
    *cell = select_finite(row.high, p.cells[mode], p.missing_cell);
}

extern "C" bool flush(bool on) {
#if defined(__SSE__)
    _mm_setcsr(on ? _mm_getcsr() | 0x8040u : _mm_getcsr() & ~0x8040u);
    return true;
#else
    return !on;
#endif
}

extern "C" void halves(const double* x, long long rows, int exponent, float* high, float* low) {
    for (long long i = 0; i < rows; ++i) {
        const Halves both = halves_of(x[i], exponent);
        high[i] = both.high;
        low[i] = both.low;
    }
}

extern "C" void highs(const float* x, long long rows, float power, float* high) {
    for (long long i = 0; i < rows; ++i) {
        high[i] = high_of(x[i], power);
    }
}

extern "C" void transform(const double* x, long long rows, const Parameters* p, const float* uniforms, float* scalar,
                          float* cell) {
    for (long long i = 0; i < rows; ++i) {
        one_row(halves_of(x[i], p->exponent), *p, uniforms ? uniforms[i] : 0.0f, !uniforms, scalar + i, cell + i);
    }
}

extern "C" void powers(const float* t, long long count, float* power) {
    for (long long i = 0; i < count; ++i) {
        power[i] = exp2_float32(t[i]);
    }
}
