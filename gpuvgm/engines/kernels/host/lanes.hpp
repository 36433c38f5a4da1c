// Eight doubles that move together: one AVX-512 register, two AVX2 registers or eight scalars, with the same bits.
#pragma once
#include "../vgm_math.cuh"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace gpuvgm {
namespace {

constexpr int LANES = 8;
// Lanes in flight in the row loops: enough independent chains to hide the latency of fma, few enough for the registers.
// A block of moments is MOMENT_BLOCK features by as many, with one Lanes a pair.
#if defined(__AVX512F__)
constexpr int E_STEP_TILE = 8, DRAW_TILE = 4, PANEL_TILE = 4, MOMENT_BLOCK = 4;
#elif defined(__AVX2__)
constexpr int E_STEP_TILE = 4, DRAW_TILE = 4, PANEL_TILE = 1, MOMENT_BLOCK = 3;
#else
constexpr int E_STEP_TILE = 1, DRAW_TILE = 1, PANEL_TILE = 1, MOMENT_BLOCK = 1;
#endif

#if defined(__AVX512F__)

struct Lanes {
    __m512d v;
};
GPUVGM_FN Lanes load(const double* p) { return {_mm512_loadu_pd(p)}; }
GPUVGM_FN Lanes load(const float* p) { return {_mm512_cvtps_pd(_mm256_loadu_ps(p))}; }
GPUVGM_FN void store(double* p, Lanes a) { _mm512_storeu_pd(p, a.v); }
GPUVGM_FN Lanes splat(double a) { return {_mm512_set1_pd(a)}; }
GPUVGM_FN Lanes operator+(Lanes a, Lanes b) { return {_mm512_add_pd(a.v, b.v)}; }
GPUVGM_FN Lanes operator-(Lanes a, Lanes b) { return {_mm512_sub_pd(a.v, b.v)}; }
GPUVGM_FN Lanes operator*(Lanes a, Lanes b) { return {_mm512_mul_pd(a.v, b.v)}; }
GPUVGM_FN Lanes operator/(Lanes a, Lanes b) { return {_mm512_div_pd(a.v, b.v)}; }
GPUVGM_FN Lanes operator-(Lanes a) { return {_mm512_xor_pd(a.v, _mm512_set1_pd(-0.0))}; }
GPUVGM_FN Lanes fused(Lanes a, Lanes b, Lanes c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
GPUVGM_FN Lanes fused_minus(Lanes a, Lanes b, Lanes c) { return {_mm512_fnmadd_pd(a.v, b.v, c.v)}; }
GPUVGM_FN Lanes maximum(Lanes a, Lanes b) { return {_mm512_max_pd(a.v, b.v)}; }
GPUVGM_FN Lanes minimum(Lanes a, Lanes b) { return {_mm512_min_pd(a.v, b.v)}; }
GPUVGM_FN Lanes magnitude(Lanes a) { return {_mm512_abs_pd(a.v)}; }
GPUVGM_FN Lanes select_le(Lanes a, Lanes b, Lanes yes, Lanes no) {
    return {_mm512_mask_blend_pd(_mm512_cmp_pd_mask(a.v, b.v, _CMP_LE_OQ), no.v, yes.v)};
}
GPUVGM_FN Lanes select_finite(Lanes a, Lanes yes, Lanes no) {
    const __m512d zero = _mm512_sub_pd(a.v, a.v);
    return {_mm512_mask_blend_pd(_mm512_cmp_pd_mask(zero, _mm512_setzero_pd(), _CMP_EQ_OQ), no.v, yes.v)};
}
GPUVGM_FN bool any_above(Lanes a, double limit) {
    return _mm512_cmp_pd_mask(a.v, _mm512_set1_pd(limit), _CMP_GT_OQ) != 0;
}
GPUVGM_FN Lanes round_even(Lanes a) { return {_mm512_roundscale_pd(a.v, 0)}; }
GPUVGM_FN Lanes scale_by_power(Lanes a, Lanes k) { return {_mm512_scalef_pd(a.v, k.v)}; }
GPUVGM_FN Lanes exponent_of(Lanes a) { return {_mm512_getexp_pd(a.v)}; }
GPUVGM_FN Lanes mantissa_of(Lanes a) { return {_mm512_getmant_pd(a.v, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_zero)}; }
// Columns 0, 2, 4, 6 of eight rows, of which each pair was interleaved.
GPUVGM_FN void interleave(__m512d a, __m512d b, __m512d c, __m512d d, Lanes* out) {
    const __m512d even0 = _mm512_shuffle_f64x2(a, b, 0x88), odd0 = _mm512_shuffle_f64x2(a, b, 0xDD);
    const __m512d even1 = _mm512_shuffle_f64x2(c, d, 0x88), odd1 = _mm512_shuffle_f64x2(c, d, 0xDD);
    out[0].v = _mm512_shuffle_f64x2(even0, even1, 0x88);
    out[2].v = _mm512_shuffle_f64x2(odd0, odd1, 0x88);
    out[4].v = _mm512_shuffle_f64x2(even0, even1, 0xDD);
    out[6].v = _mm512_shuffle_f64x2(odd0, odd1, 0xDD);
}
GPUVGM_FN void transpose(Lanes* a) {
    __m512d low[4], high[4];
    for (int p = 0; p < 4; ++p) {
        low[p] = _mm512_unpacklo_pd(a[2 * p].v, a[2 * p + 1].v);
        high[p] = _mm512_unpackhi_pd(a[2 * p].v, a[2 * p + 1].v);
    }
    interleave(low[0], low[1], low[2], low[3], a);
    interleave(high[0], high[1], high[2], high[3], a + 1);
}

#elif defined(__AVX2__)

struct Lanes {
    __m256d low, high;
};

#define GPUVGM_PAIR(expression0, expression1) \
    { expression0, expression1 }
#define GPUVGM_BINARY(name, instruction) \
    GPUVGM_FN Lanes name(Lanes a, Lanes b) { return Lanes GPUVGM_PAIR(instruction(a.low, b.low), instruction(a.high, b.high)); }
GPUVGM_BINARY(operator+, _mm256_add_pd)
GPUVGM_BINARY(operator-, _mm256_sub_pd)
GPUVGM_BINARY(operator*, _mm256_mul_pd)
GPUVGM_BINARY(operator/, _mm256_div_pd)
GPUVGM_BINARY(maximum, _mm256_max_pd)
GPUVGM_BINARY(minimum, _mm256_min_pd)
#undef GPUVGM_BINARY
GPUVGM_FN Lanes load(const double* p) { return Lanes GPUVGM_PAIR(_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)); }
GPUVGM_FN Lanes load(const float* p) {
    return Lanes GPUVGM_PAIR(_mm256_cvtps_pd(_mm_loadu_ps(p)), _mm256_cvtps_pd(_mm_loadu_ps(p + 4)));
}
GPUVGM_FN void store(double* p, Lanes a) {
    _mm256_storeu_pd(p, a.low);
    _mm256_storeu_pd(p + 4, a.high);
}
GPUVGM_FN Lanes splat(double a) { return Lanes GPUVGM_PAIR(_mm256_set1_pd(a), _mm256_set1_pd(a)); }
GPUVGM_FN Lanes operator-(Lanes a) {
    const __m256d sign = _mm256_set1_pd(-0.0);
    return Lanes GPUVGM_PAIR(_mm256_xor_pd(a.low, sign), _mm256_xor_pd(a.high, sign));
}
GPUVGM_FN Lanes fused(Lanes a, Lanes b, Lanes c) {
    return Lanes GPUVGM_PAIR(_mm256_fmadd_pd(a.low, b.low, c.low), _mm256_fmadd_pd(a.high, b.high, c.high));
}
GPUVGM_FN Lanes fused_minus(Lanes a, Lanes b, Lanes c) {
    return Lanes GPUVGM_PAIR(_mm256_fnmadd_pd(a.low, b.low, c.low), _mm256_fnmadd_pd(a.high, b.high, c.high));
}
GPUVGM_FN Lanes magnitude(Lanes a) {
    const __m256d sign = _mm256_set1_pd(-0.0);
    return Lanes GPUVGM_PAIR(_mm256_andnot_pd(sign, a.low), _mm256_andnot_pd(sign, a.high));
}
GPUVGM_FN __m256d blend_le(__m256d a, __m256d b, __m256d yes, __m256d no) {
    return _mm256_blendv_pd(no, yes, _mm256_cmp_pd(a, b, _CMP_LE_OQ));
}
GPUVGM_FN Lanes select_le(Lanes a, Lanes b, Lanes yes, Lanes no) {
    return Lanes GPUVGM_PAIR(blend_le(a.low, b.low, yes.low, no.low), blend_le(a.high, b.high, yes.high, no.high));
}
GPUVGM_FN __m256d blend_finite(__m256d a, __m256d yes, __m256d no) {
    return _mm256_blendv_pd(no, yes, _mm256_cmp_pd(_mm256_sub_pd(a, a), _mm256_setzero_pd(), _CMP_EQ_OQ));
}
GPUVGM_FN Lanes select_finite(Lanes a, Lanes yes, Lanes no) {
    return Lanes GPUVGM_PAIR(blend_finite(a.low, yes.low, no.low), blend_finite(a.high, yes.high, no.high));
}
GPUVGM_FN bool any_above(Lanes a, double limit) {
    const __m256d limits = _mm256_set1_pd(limit);
    return _mm256_movemask_pd(
               _mm256_or_pd(_mm256_cmp_pd(a.low, limits, _CMP_GT_OQ), _mm256_cmp_pd(a.high, limits, _CMP_GT_OQ))) != 0;
}
GPUVGM_FN Lanes round_even(Lanes a) {
    return Lanes GPUVGM_PAIR(_mm256_round_pd(a.low, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                             _mm256_round_pd(a.high, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
GPUVGM_FN __m256d add_power(__m256d a, __m256d k) {
    const __m256i power = _mm256_castpd_si256(_mm256_add_pd(k, _mm256_set1_pd(6755399441055744.0)));
    return _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(a), _mm256_slli_epi64(power, 52)));
}
GPUVGM_FN Lanes scale_by_power(Lanes a, Lanes k) {
    return Lanes GPUVGM_PAIR(add_power(a.low, k.low), add_power(a.high, k.high));
}
GPUVGM_FN __m256d exponent_of(__m256d a) {
    const __m256i magic = _mm256_set1_epi64x(0x4330000000000000ll);
    const __m256d raw = _mm256_castsi256_pd(_mm256_or_si256(_mm256_srli_epi64(_mm256_castpd_si256(a), 52), magic));
    return _mm256_sub_pd(raw, _mm256_set1_pd(4503599627370496.0 + 1023.0));
}
GPUVGM_FN __m256d mantissa_of(__m256d a) {
    const __m256d kept = _mm256_and_pd(a, _mm256_castsi256_pd(_mm256_set1_epi64x(0x000FFFFFFFFFFFFFll)));
    return _mm256_or_pd(kept, _mm256_set1_pd(1.0));
}
GPUVGM_FN Lanes exponent_of(Lanes a) { return Lanes GPUVGM_PAIR(exponent_of(a.low), exponent_of(a.high)); }
GPUVGM_FN Lanes mantissa_of(Lanes a) { return Lanes GPUVGM_PAIR(mantissa_of(a.low), mantissa_of(a.high)); }
#undef GPUVGM_PAIR
GPUVGM_FN void transpose(__m256d& a, __m256d& b, __m256d& c, __m256d& d) {
    const __m256d low0 = _mm256_unpacklo_pd(a, b), high0 = _mm256_unpackhi_pd(a, b);
    const __m256d low1 = _mm256_unpacklo_pd(c, d), high1 = _mm256_unpackhi_pd(c, d);
    a = _mm256_permute2f128_pd(low0, low1, 0x20);
    b = _mm256_permute2f128_pd(high0, high1, 0x20);
    c = _mm256_permute2f128_pd(low0, low1, 0x31);
    d = _mm256_permute2f128_pd(high0, high1, 0x31);
}
GPUVGM_FN void transpose(Lanes* a) {
    for (int i = 0; i < LANES; i += 4) {
        transpose(a[i].low, a[i + 1].low, a[i + 2].low, a[i + 3].low);
        transpose(a[i].high, a[i + 1].high, a[i + 2].high, a[i + 3].high);
    }
    for (int i = 0; i < 4; ++i) {
        const __m256d corner = a[i].high;
        a[i].high = a[i + 4].low;
        a[i + 4].low = corner;
    }
}

#else

struct Lanes {
    double v[LANES];
};

#define GPUVGM_EACH(expression)                 \
    Lanes out;                                  \
    for (int l = 0; l < LANES; ++l) {           \
        out.v[l] = expression;                  \
    }                                           \
    return out;
GPUVGM_FN Lanes load(const double* p) { GPUVGM_EACH(p[l]) }
GPUVGM_FN Lanes load(const float* p) { GPUVGM_EACH(p[l]) }
GPUVGM_FN void store(double* p, Lanes a) {
    for (int l = 0; l < LANES; ++l) {
        p[l] = a.v[l];
    }
}
GPUVGM_FN Lanes splat(double a) { GPUVGM_EACH(a) }
GPUVGM_FN Lanes operator+(Lanes a, Lanes b) { GPUVGM_EACH(a.v[l] + b.v[l]) }
GPUVGM_FN Lanes operator-(Lanes a, Lanes b) { GPUVGM_EACH(a.v[l] - b.v[l]) }
GPUVGM_FN Lanes operator*(Lanes a, Lanes b) { GPUVGM_EACH(a.v[l] * b.v[l]) }
GPUVGM_FN Lanes operator/(Lanes a, Lanes b) { GPUVGM_EACH(a.v[l] / b.v[l]) }
GPUVGM_FN Lanes operator-(Lanes a) { GPUVGM_EACH(-a.v[l]) }
GPUVGM_FN Lanes fused(Lanes a, Lanes b, Lanes c) { GPUVGM_EACH(fused(a.v[l], b.v[l], c.v[l])) }
GPUVGM_FN Lanes fused_minus(Lanes a, Lanes b, Lanes c) { GPUVGM_EACH(fused_minus(a.v[l], b.v[l], c.v[l])) }
GPUVGM_FN Lanes maximum(Lanes a, Lanes b) { GPUVGM_EACH(maximum(a.v[l], b.v[l])) }
GPUVGM_FN Lanes minimum(Lanes a, Lanes b) { GPUVGM_EACH(minimum(a.v[l], b.v[l])) }
GPUVGM_FN Lanes magnitude(Lanes a) { GPUVGM_EACH(magnitude(a.v[l])) }
GPUVGM_FN Lanes select_le(Lanes a, Lanes b, Lanes yes, Lanes no) {
    GPUVGM_EACH(select_le(a.v[l], b.v[l], yes.v[l], no.v[l]))
}
GPUVGM_FN Lanes select_finite(Lanes a, Lanes yes, Lanes no) { GPUVGM_EACH(select_finite(a.v[l], yes.v[l], no.v[l])) }
GPUVGM_FN bool any_above(Lanes a, double limit) {
    bool any = false;
    for (int l = 0; l < LANES; ++l) {
        any |= a.v[l] > limit;
    }
    return any;
}
GPUVGM_FN Lanes round_even(Lanes a) { GPUVGM_EACH(round_even(a.v[l])) }
GPUVGM_FN Lanes scale_by_power(Lanes a, Lanes k) { GPUVGM_EACH(scale_by_power(a.v[l], k.v[l])) }
GPUVGM_FN Lanes exponent_of(Lanes a) { GPUVGM_EACH(exponent_of(a.v[l])) }
GPUVGM_FN Lanes mantissa_of(Lanes a) { GPUVGM_EACH(mantissa_of(a.v[l])) }
#undef GPUVGM_EACH
GPUVGM_FN void transpose(Lanes* a) {
    for (int i = 0; i < LANES; ++i) {
        for (int l = i + 1; l < LANES; ++l) {
            const double corner = a[i].v[l];
            a[i].v[l] = a[l].v[i];
            a[l].v[i] = corner;
        }
    }
}

#endif

// Sum over the lanes in one fixed tree.
GPUVGM_FN double sum_of(Lanes a) {
    double v[LANES];
    store(v, a);
    return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]));
}

// sum_of each of eight, in the same tree; `a` is used up.
GPUVGM_FN Lanes sums_of(Lanes* a) {
    transpose(a);
    return ((a[0] + a[1]) + (a[2] + a[3])) + ((a[4] + a[5]) + (a[6] + a[7]));
}

template <> struct Splat<Lanes> {
    static GPUVGM_FN Lanes of(double a) { return splat(a); }
};

}  // namespace
}  // namespace gpuvgm
