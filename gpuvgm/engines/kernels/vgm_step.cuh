// Numbers on a step: `Step` of gpuvgm/engines/tables.py, with its bits.
#pragma once
#include "vgm_math.cuh"

namespace gpuvgm {
namespace {

// The nearest number of 16 bits.
GPUVGM_FN double halved(double a) {
    constexpr i64 infinity = 0x7FF0000000000000ll, least = (i64)(1023 - 14) << 52;
    if (fabs(a) >= 65520.0) {
        return a < 0 ? -from_bits(infinity) : from_bits(infinity);
    }
    const i64 exponent = as_bits(a) & infinity;
    const double big = 1.5 * from_bits((exponent < least ? least : exponent) + ((i64)42 << 52));
    return (a + big) - big;  // 11 bits of it are left, or those that a subnormal number has
}

// The number nearest to a multiple of the step `step / parts`, both whole.
GPUVGM_FN double on_step(double x, double step, double parts) { return rint(x * parts / step) * step / parts; }

// Whether two numbers are different ones of a column's bits, 64, 32 or 16; NaN differs from none.
GPUVGM_FN bool differs(double a, double b, int bits) {
    const bool equal = bits == 64   ? a == b
                       : bits == 32 ? widened(narrowed(a)) == widened(narrowed(b))
                                    : halved(a) == halved(b);
    return !equal && b == b;
}

// Whether a number is no multiple of the step: not the one nearest to a multiple among those of the column's bits.
GPUVGM_FN bool is_off_step(double x, double step, double parts, int bits) {
    return differs(on_step(x, step, parts), x, bits);
}

}  // namespace
}  // namespace gpuvgm
