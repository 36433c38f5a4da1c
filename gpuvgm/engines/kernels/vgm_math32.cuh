// Row formulas of transform with precision="float32": a law of its own, for devices with few FP64 units.
//
// It holds no FP64 arithmetic: a double comes in as bits. Everything else is + - * / of floats, comparisons, integers
// and explicit fma, so that NumPy, every host instruction set and CUDA give the same modes and scalars bit for bit
// (-ffp-contract=off, --fmad=false, IEEE division). No result that matters is subnormal, so that -ftz=true changes
// nothing: numbers and means are 0 below 2^-73, hence multiples of 2^-125 in both parts, and so are their differences;
// a coefficient is at most -2^-60, so that densities are multiples of 2^-84; shares are at least 2^-100 and uniforms
// 2^-24 or 0; positions are 0 below 2^-100.
//
// One row, with the parameters of Float32Table (gpuvgm/engines/tables.py), whose numbers are scaled by 2^exponent:
//   high = float32(x 2^exponent), low = float32(x 2^exponent - high)       halves_of, or high_of for a float32 x
//   d_k = ((high - mean_high_k) - mean_low_k) + low                        deviation_of
//   t_k = d_k root_precision_k;  l_k = fma(-t_k, t_k, coefficient_k)       log_density_of
//   top = max(l_k), never below -LARGEST_FLOAT;  e_k = 2^max(l_k - top, -100)                    exp2_float32
//   total = ((e_0 + e_1) + ...) over all, active_sum the same over the A active ones;  floor = floor_rule total
//   threshold = uniform fma(A, floor, active_sum)                          uniform_float32, threshold_of
//   mode = how many of the running sums ((0 + (e_0 + floor)) + (e_1 + floor)) ... but the last do not exceed it
//   or, most probable: the first active k with the largest l_k
//   scalar = d_mode / width_mode within +-limit, 0 below 2^-100            position_of
// Rows that are not finite: high is NaN; the scalar is 0 and the cell that of missing rows.
#pragma once
#include "vgm_math.cuh"

namespace gpuvgm {
namespace {

constexpr float LARGEST_FLOAT = 3.4028234663852886e38f;

// ---- float as one lane ---------------------------------------------------------------------------------------------

#if defined(__CUDACC__)
GPUVGM_FN u32 as_word(float a) { return __float_as_uint(a); }
GPUVGM_FN float from_word(u32 a) { return __uint_as_float(a); }
// One instruction each; zeros of either sign and NaN, where they differ from the host's, do not reach a result.
GPUVGM_FN float maximum(float a, float b) { return fmaxf(a, b); }
GPUVGM_FN float minimum(float a, float b) { return fminf(a, b); }
#else
GPUVGM_FN u32 as_word(float a) {
    u32 bits;
    __builtin_memcpy(&bits, &a, 4);
    return bits;
}
GPUVGM_FN float from_word(u32 bits) {
    float a;
    __builtin_memcpy(&a, &bits, 4);
    return a;
}
GPUVGM_FN float maximum(float a, float b) { return a > b ? a : b; }
GPUVGM_FN float minimum(float a, float b) { return a < b ? a : b; }
#endif

GPUVGM_FN float fused_minus(float a, float b, float c) { return fused(-a, b, c); }  // c - a b
GPUVGM_FN float select_le(float a, float b, float yes, float no) { return a <= b ? yes : no; }
GPUVGM_FN float select_finite(float a, float yes, float no) { return a - a == 0.0f ? yes : no; }
GPUVGM_FN float magnitude(float a) { return from_word(as_word(a) & 0x7FFFFFFFu); }
// a * 2^k, where `shifted` is k + 1.5 * 2^23 and the result is normal.
GPUVGM_FN float raise_by(float a, float shifted) { return from_word(as_word(a) + (as_word(shifted) << 23)); }

template <> struct Splat<float> {
    static GPUVGM_FN float of(float a) { return a; }
};

// ---- the number of a row -------------------------------------------------------------------------------------------

// x 2^exponent as two floats: the nearest one (ties to even) and what is left, rounded alike; by integers alone.
// Both are 0 below 2^-73; from 2^126 on they are +-2^126 and 0; x that is not finite gives NaN and 0.
// -2000 <= exponent <= 949.
template <class Real> struct HalvesOf {
    Real high, low;
};
typedef HalvesOf<float> Halves;
GPUVGM_FN u32 mask_of(bool condition) { return 0u - (u32)condition; }
GPUVGM_FN Halves halves_of(u32 above, u32 below, int exponent) {  // upper and lower word of x
    const u32 rest = below & 0x1FFFFFFFu;                         // what a float has no room for
    const u32 cut = above << 3 | below >> 29;                     // its mantissa, and the exponent modulo 2^9
    const u32 sign = above & 0x80000000u, raw = (above >> 20) & 0x7FFu;
    const u32 up = (rest + 0x0FFFFFFFu + (cut & 1u)) >> 29;
    const int scaled = (int)raw + exponent;  // biased by 1023
    const int left = (int)rest - (int)(up << 29);
    const u32 high = (cut + up + ((u32)(exponent - 896) << 23)) & 0x7FFFFFFFu;
    const float unit = from_word((u32)(scaled - 948) << 23);
    const u32 low = as_word((float)left * unit);
    const u32 ordinary = mask_of((scaled >= 950) & (scaled < 1149));
    const u32 end = (0x7E800000u & mask_of(scaled >= 1149)) | (0x7FC00000u & mask_of(raw == 0x7FFu));
    return {from_word((high & ordinary) | end | sign), from_word((low ^ sign) & ordinary)};
}
GPUVGM_FN Halves halves_of(double x, int exponent) {
    const u64 bits = (u64)as_bits(x);
    return halves_of((u32)(bits >> 32), (u32)bits, exponent);
}

// The high part of a row of float32, whose low part is 0; power = 2^exponent with -126 <= exponent <= 53, for which a
// subnormal x counts as 0 in any case. Other models take their rows as double.
GPUVGM_FN float high_of(float x, float power) {
    const float scaled = x * power, kept = minimum(maximum(scaled, -8.507059173023462e37f), 8.507059173023462e37f);
    return select_finite(x, select_le(1.0587911840678754e-22f, magnitude(scaled), kept, 0.0f), from_word(0x7FC00000u));
}

// ---- the mixture ---------------------------------------------------------------------------------------------------

// Distance from a mean of two parts; the second form is for a row whose low part is 0.
template <class Real> GPUVGM_FN Real deviation_of(HalvesOf<Real> row, HalvesOf<Real> mean) {
    return ((row.high - mean.high) - mean.low) + row.low;
}
template <class Real> GPUVGM_FN Real deviation_of(Real row, HalvesOf<Real> mean) {
    return (row - mean.high) - mean.low;
}
template <class Real>
GPUVGM_FN HalvesOf<Real> select_le(Real a, Real b, HalvesOf<Real> yes, HalvesOf<Real> no) {
    return {select_le(a, b, yes.high, no.high), select_le(a, b, yes.low, no.low)};
}

// log2 of weight times density.
template <class Real> GPUVGM_FN Real log_density_of(Real deviation, Real root_precision, Real coefficient) {
    const Real t = deviation * root_precision;
    return fused_minus(t, t, coefficient);
}

// 2^t for t <= 0, to 2e-7 of itself and 1 at 0; 2^-100 from -100 on. Minimax polynomial of degree 5 on [-1/2, 1/2] for
// the relative error, 1 at 0, its coefficients rounded to float one after the other (linear programmes).
template <class Real> GPUVGM_FN Real exp2_float32(Real t) {
    typedef Splat<Real> S;
    t = maximum(t, S::of(-100.0f));
    const Real shifted = t + S::of(12582912.0f);  // rounds to an integer, which its low bits hold
    const Real r = t - (shifted - S::of(12582912.0f));
    Real p = fused(S::of(0.00132695155f), r, S::of(0.00967129041f));
    p = fused(p, r, S::of(0.0555071086f));
    p = fused(p, r, S::of(0.240222469f));
    p = fused(p, r, S::of(0.693147004f));
    p = fused(p, r, S::of(1.0f));
    return raise_by(p, shifted);
}

// Position within a mode, kept within +-limit; 0 below 2^-100.
template <class Real> GPUVGM_FN Real position_of(Real deviation, Real width, Real limit) {
    typedef Splat<Real> S;
    const Real z = minimum(maximum(deviation / width, -limit), limit);
    return select_le(width, magnitude(deviation) * S::of(1.2676506002282294e30f), z, S::of(0.0f));
}

// The uniform of a word: the middle of its 2^-23 wide interval, exact in a float, never 0 and never 1.
GPUVGM_FN float uniform_float32(u32 word) { return from_word(0x3F800000u | (word >> 9)) - 0.99999994f; }

// ---- the law of transform ------------------------------------------------------------------------------------------

template <> struct Law<float> {
    template <class R> using Mean = HalvesOf<R>;
    static constexpr float LOWEST_DRAWN = -LARGEST_FLOAT, LOWEST = -LARGEST_FLOAT;

    template <class R> static GPUVGM_FN R density(R deviation, R root_precision, R coefficient) {
        return log_density_of(deviation, root_precision, coefficient);
    }
    template <class R> static GPUVGM_FN R exponential(R t) { return exp2_float32(t); }
    template <class R> static GPUVGM_FN R position(R deviation, R width, R limit) {
        return position_of(deviation, width, limit);
    }
    static GPUVGM_FN float uniform(u32 word) { return uniform_float32(word); }
};

}  // namespace
}  // namespace gpuvgm
