// Sixteen floats that move together: one AVX-512 register, two AVX2 registers or sixteen scalars, with the same bits.
#pragma once
#include "../vgm_math32.cuh"
#include "lanes.hpp"

namespace gpuvgm {
namespace {

constexpr int NARROW_LANES = 16;

#if defined(__AVX512F__)

constexpr int NARROW_TILE = 4;

struct NarrowLanes {
    __m512 v;
};
GPUVGM_FN NarrowLanes load_narrow(const float* p) { return {_mm512_loadu_ps(p)}; }
GPUVGM_FN void store(float* p, NarrowLanes a) { _mm512_storeu_ps(p, a.v); }
GPUVGM_FN NarrowLanes splat_narrow(float a) { return {_mm512_set1_ps(a)}; }
GPUVGM_FN NarrowLanes operator+(NarrowLanes a, NarrowLanes b) { return {_mm512_add_ps(a.v, b.v)}; }
GPUVGM_FN NarrowLanes operator-(NarrowLanes a, NarrowLanes b) { return {_mm512_sub_ps(a.v, b.v)}; }
GPUVGM_FN NarrowLanes operator*(NarrowLanes a, NarrowLanes b) { return {_mm512_mul_ps(a.v, b.v)}; }
GPUVGM_FN NarrowLanes operator/(NarrowLanes a, NarrowLanes b) { return {_mm512_div_ps(a.v, b.v)}; }
GPUVGM_FN NarrowLanes operator-(NarrowLanes a) { return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f))}; }
GPUVGM_FN NarrowLanes fused(NarrowLanes a, NarrowLanes b, NarrowLanes c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
GPUVGM_FN NarrowLanes fused_minus(NarrowLanes a, NarrowLanes b, NarrowLanes c) {
    return {_mm512_fnmadd_ps(a.v, b.v, c.v)};
}
GPUVGM_FN NarrowLanes maximum(NarrowLanes a, NarrowLanes b) { return {_mm512_max_ps(a.v, b.v)}; }
GPUVGM_FN NarrowLanes minimum(NarrowLanes a, NarrowLanes b) { return {_mm512_min_ps(a.v, b.v)}; }
GPUVGM_FN NarrowLanes magnitude(NarrowLanes a) { return {_mm512_abs_ps(a.v)}; }
GPUVGM_FN NarrowLanes select_le(NarrowLanes a, NarrowLanes b, NarrowLanes yes, NarrowLanes no) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ), no.v, yes.v)};
}
GPUVGM_FN NarrowLanes select_finite(NarrowLanes a, NarrowLanes yes, NarrowLanes no) {
    const __m512 zero = _mm512_sub_ps(a.v, a.v);
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(zero, _mm512_setzero_ps(), _CMP_EQ_OQ), no.v, yes.v)};
}
GPUVGM_FN NarrowLanes raise_by(NarrowLanes a, NarrowLanes shifted) {
    const __m512i power = _mm512_slli_epi32(_mm512_castps_si512(shifted.v), 23);
    return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.v), power))};
}

#elif defined(__AVX2__)

constexpr int NARROW_TILE = 4;

struct NarrowLanes {
    __m256 low, high;
};

#define GPUVGM_PAIR(expression0, expression1) \
    { expression0, expression1 }
#define GPUVGM_BINARY(name, instruction)                           \
    GPUVGM_FN NarrowLanes name(NarrowLanes a, NarrowLanes b) {     \
        return NarrowLanes GPUVGM_PAIR(instruction(a.low, b.low), instruction(a.high, b.high)); \
    }
GPUVGM_BINARY(operator+, _mm256_add_ps)
GPUVGM_BINARY(operator-, _mm256_sub_ps)
GPUVGM_BINARY(operator*, _mm256_mul_ps)
GPUVGM_BINARY(operator/, _mm256_div_ps)
GPUVGM_BINARY(maximum, _mm256_max_ps)
GPUVGM_BINARY(minimum, _mm256_min_ps)
#undef GPUVGM_BINARY
GPUVGM_FN NarrowLanes load_narrow(const float* p) {
    return NarrowLanes GPUVGM_PAIR(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8));
}
GPUVGM_FN void store(float* p, NarrowLanes a) {
    _mm256_storeu_ps(p, a.low);
    _mm256_storeu_ps(p + 8, a.high);
}
GPUVGM_FN NarrowLanes splat_narrow(float a) { return NarrowLanes GPUVGM_PAIR(_mm256_set1_ps(a), _mm256_set1_ps(a)); }
GPUVGM_FN NarrowLanes operator-(NarrowLanes a) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return NarrowLanes GPUVGM_PAIR(_mm256_xor_ps(a.low, sign), _mm256_xor_ps(a.high, sign));
}
GPUVGM_FN NarrowLanes fused(NarrowLanes a, NarrowLanes b, NarrowLanes c) {
    return NarrowLanes GPUVGM_PAIR(_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high));
}
GPUVGM_FN NarrowLanes fused_minus(NarrowLanes a, NarrowLanes b, NarrowLanes c) {
    return NarrowLanes GPUVGM_PAIR(_mm256_fnmadd_ps(a.low, b.low, c.low), _mm256_fnmadd_ps(a.high, b.high, c.high));
}
GPUVGM_FN NarrowLanes magnitude(NarrowLanes a) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return NarrowLanes GPUVGM_PAIR(_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high));
}
GPUVGM_FN __m256 blend_le(__m256 a, __m256 b, __m256 yes, __m256 no) {
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LE_OQ));
}
GPUVGM_FN NarrowLanes select_le(NarrowLanes a, NarrowLanes b, NarrowLanes yes, NarrowLanes no) {
    return NarrowLanes GPUVGM_PAIR(blend_le(a.low, b.low, yes.low, no.low),
                                   blend_le(a.high, b.high, yes.high, no.high));
}
GPUVGM_FN __m256 blend_finite(__m256 a, __m256 yes, __m256 no) {
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(_mm256_sub_ps(a, a), _mm256_setzero_ps(), _CMP_EQ_OQ));
}
GPUVGM_FN NarrowLanes select_finite(NarrowLanes a, NarrowLanes yes, NarrowLanes no) {
    return NarrowLanes GPUVGM_PAIR(blend_finite(a.low, yes.low, no.low), blend_finite(a.high, yes.high, no.high));
}
GPUVGM_FN __m256 raise_by(__m256 a, __m256 shifted) {
    const __m256i power = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), power));
}
GPUVGM_FN NarrowLanes raise_by(NarrowLanes a, NarrowLanes shifted) {
    return NarrowLanes GPUVGM_PAIR(raise_by(a.low, shifted.low), raise_by(a.high, shifted.high));
}
#undef GPUVGM_PAIR

#else

constexpr int NARROW_TILE = 1;

struct NarrowLanes {
    float v[NARROW_LANES];
};

#define GPUVGM_EACH(expression)                    \
    NarrowLanes out;                               \
    for (int l = 0; l < NARROW_LANES; ++l) {       \
        out.v[l] = expression;                     \
    }                                              \
    return out;
GPUVGM_FN NarrowLanes load_narrow(const float* p) { GPUVGM_EACH(p[l]) }
GPUVGM_FN void store(float* p, NarrowLanes a) {
    for (int l = 0; l < NARROW_LANES; ++l) {
        p[l] = a.v[l];
    }
}
GPUVGM_FN NarrowLanes splat_narrow(float a) { GPUVGM_EACH(a) }
GPUVGM_FN NarrowLanes operator+(NarrowLanes a, NarrowLanes b) { GPUVGM_EACH(a.v[l] + b.v[l]) }
GPUVGM_FN NarrowLanes operator-(NarrowLanes a, NarrowLanes b) { GPUVGM_EACH(a.v[l] - b.v[l]) }
GPUVGM_FN NarrowLanes operator*(NarrowLanes a, NarrowLanes b) { GPUVGM_EACH(a.v[l] * b.v[l]) }
GPUVGM_FN NarrowLanes operator/(NarrowLanes a, NarrowLanes b) { GPUVGM_EACH(a.v[l] / b.v[l]) }
GPUVGM_FN NarrowLanes operator-(NarrowLanes a) { GPUVGM_EACH(-a.v[l]) }
GPUVGM_FN NarrowLanes fused(NarrowLanes a, NarrowLanes b, NarrowLanes c) { GPUVGM_EACH(fused(a.v[l], b.v[l], c.v[l])) }
GPUVGM_FN NarrowLanes fused_minus(NarrowLanes a, NarrowLanes b, NarrowLanes c) {
    GPUVGM_EACH(fused_minus(a.v[l], b.v[l], c.v[l]))
}
GPUVGM_FN NarrowLanes maximum(NarrowLanes a, NarrowLanes b) { GPUVGM_EACH(maximum(a.v[l], b.v[l])) }
GPUVGM_FN NarrowLanes minimum(NarrowLanes a, NarrowLanes b) { GPUVGM_EACH(minimum(a.v[l], b.v[l])) }
GPUVGM_FN NarrowLanes magnitude(NarrowLanes a) { GPUVGM_EACH(magnitude(a.v[l])) }
GPUVGM_FN NarrowLanes select_le(NarrowLanes a, NarrowLanes b, NarrowLanes yes, NarrowLanes no) {
    GPUVGM_EACH(select_le(a.v[l], b.v[l], yes.v[l], no.v[l]))
}
GPUVGM_FN NarrowLanes select_finite(NarrowLanes a, NarrowLanes yes, NarrowLanes no) {
    GPUVGM_EACH(select_finite(a.v[l], yes.v[l], no.v[l]))
}
GPUVGM_FN NarrowLanes raise_by(NarrowLanes a, NarrowLanes shifted) { GPUVGM_EACH(raise_by(a.v[l], shifted.v[l])) }
#undef GPUVGM_EACH

#endif

template <> struct Splat<NarrowLanes> {
    static GPUVGM_FN NarrowLanes of(float a) { return splat_narrow(a); }
};

}  // namespace
}  // namespace gpuvgm
