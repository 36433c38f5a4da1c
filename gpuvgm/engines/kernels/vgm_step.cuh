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

// Whether a number is no multiple of the step `step / parts`, both whole: not the one nearest to a multiple among those
// of the column's bits, 64, 32 or 16. NaN is on every step.
GPUVGM_FN bool is_off_step(double x, double step, double parts, int bits) {
    const double snapped = rint(x * parts / step) * step / parts;
    const bool equal = bits == 64   ? snapped == x
                       : bits == 32 ? widened(narrowed(snapped)) == widened(narrowed(x))
                                    : halved(snapped) == halved(x);
    return !equal && x == x;
}

}  // namespace
}  // namespace gpuvgm
