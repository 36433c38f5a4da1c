// Scales of columns and the way back, for host and device: one text, hence the same bits as gpuvgm/codecs. No
// branch, so that compilers for the host do several numbers at once: what does not hold is worked out and left aside.
#pragma once
#include "vgm_special.cuh"

namespace gpuvgm {
namespace {

enum ScaleName { LINEAR, ASINH, LOG, LOG1P };

constexpr double WHOLE = 4503599627370496.0;  // 2^52: its last bits are a whole number
constexpr double ROUNDER = 1.5 * WHOLE;       // added and taken off, it rounds to the nearest whole number
constexpr double LARGE_SINE = 268435456.0;    // 2^28: from here on asinh(t) is ln(2 t) to the last bit
constexpr double FURTHEST_EXPONENT = 800.0;   // the exponential is 0, or infinite, from here on
constexpr u64 MANTISSA = 0x000FFFFFFFFFFFFFull, HALF = 0x3FE0000000000000ull, WHOLE_BITS = 0x4330000000000000ull;
constexpr u64 ROOT_HALF = 0x6A09E667F3BCDull;  // mantissa of 0.7071067811865476

// 2^power for whole numbers from -1022 to 1023.
GPUVGM_FN double power_of_two(double power) { return from_bits((i64)((u64)as_bits(power + (WHOLE + 1023.0)) << 52)); }

// ln(x / 2^doublings) of positive normal numbers.
GPUVGM_FN double simple_log(double x, double doublings = 0.0) {
    const u64 bits = (u64)as_bits(x), low = ((bits & MANTISSA) - ROOT_HALF) >> 63;
    const double mantissa = from_bits((i64)((bits & MANTISSA) + HALF + (low << 52)));
    const double exponent = from_bits((i64)(((bits >> 52) - low) | WHOLE_BITS)) - (WHOLE + 1022.0);
    return log_of_parts(mantissa, exponent - doublings);
}

// Of numbers from -800 to 800.
GPUVGM_FN double simple_exp(double x) {
    const double power = (x * PER_LN_2 + ROUNDER) - ROUNDER;
    const double first = (0.5 * power + ROUNDER) - ROUNDER;  // half of it, so that only the last product is rounded
    return exp_of_rest(x, power) * power_of_two(first) * power_of_two(power - first);
}

GPUVGM_FN double with_sign(double size, double of) {
    return from_bits((as_bits(size) & 0x7FFFFFFFFFFFFFFFll) | (as_bits(of) & (i64)0x8000000000000000ull));
}

// asinh(x / 2^exponent) of a finite number; shrink = 2^-exponent, doublings = 1 - exponent. Large ones are ln(2 t),
// without t, which may be infinite.
GPUVGM_FN double asinh_of(double x, double shrink, double doublings) {
    const double size = fabs(x), t = size * shrink, sum = t + sqrt(t * t + 1.0);
    const bool large = t > LARGE_SINE;
    const double y = simple_log(large ? size : sum);
    const double far = (y + doublings * LOG_2_HIGH) + doublings * LOG_2_LOW;
    return with_sign(large ? far : y, x);
}

// 2^exponent sinh(number); half = 2^(exponent - 1).
GPUVGM_FN double sinh_of(double number, double half) {
    const double size = 0.5 * fabs(number), root = simple_exp(size > FURTHEST_EXPONENT ? FURTHEST_EXPONENT : size);
    return with_sign(half * root * root - half / root / root, number);
}

// ln x: -inf of 0 and less; NaN and infinity stay.
GPUVGM_FN double log_from_zero(double x) {
    const double infinity = from_bits(0x7FF0000000000000ll), scaled = x * 18014398509481984.0;  // 2^54
    const bool small = x < 2.2250738585072014e-308;
    const double y = simple_log(small ? scaled : x, small ? 54.0 : 0.0);
    return x <= 0 ? -infinity : x < infinity ? y : x;
}

// ln(1 + x), also where 1 + x is rounded: ln(u) and what was rounded away as a part of u (as in fdlibm).
GPUVGM_FN double log1p_of(double x) {
    const double u = 1.0 + x, y = log_from_zero(u), rest = (x - (u - 1.0)) / u;
    return u > 0.0 && u < from_bits(0x7FF0000000000000ll) ? y + rest : y;
}

// exp(x); NaN stays.
GPUVGM_FN double exp_within(double x) {
    const double kept = x < -FURTHEST_EXPONENT ? -FURTHEST_EXPONENT : x > FURTHEST_EXPONENT ? FURTHEST_EXPONENT : x;
    const double y = simple_exp(kept);
    return x == x ? y : x;
}

// exp(x) - 1, also near 0: (u - 1) x / ln(u) of the rounded exponential u (Kahan 1982).
GPUVGM_FN double expm1_of(double x) {
    const double u = exp_within(x), rest = u - 1.0, y = rest * (x / log_from_zero(u));
    return rest == 0.0 ? x : rest == -1.0 || u == from_bits(0x7FF0000000000000ll) ? rest : y;
}

// How values become numbers: scale((value - origin) / unit), as engines/tables.py has it.
struct Curve {
    int name;
    double shrink, doublings, half;  // of asinh: 2^-exponent, 1 - exponent, 2^(exponent - 1)
};

GPUVGM_FN double curved(const Curve& curve, double x) {
    switch (curve.name) {
        case ASINH:
            return asinh_of(x, curve.shrink, curve.doublings);
        case LOG:
            return log_from_zero(x);
        case LOG1P:
            return log1p_of(x);
        default:
            return x;
    }
}

GPUVGM_FN double straight(const Curve& curve, double number) {
    switch (curve.name) {
        case ASINH:
            return sinh_of(number, curve.half);
        case LOG:
            return exp_within(number);
        case LOG1P:
            return expm1_of(number);
        default:
            return number;
    }
}

}  // namespace
}  // namespace gpuvgm
