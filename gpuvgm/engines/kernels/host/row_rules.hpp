// What becomes of the values of a column of floats before they are summarised, a batch of rows at a time.
#pragma once
#include "../vgm_step.cuh"
#include "host.hpp"
#include "special.hpp"

namespace gpuvgm {
namespace {

constexpr double LARGE_SINE = 268435456.0;  // 2^28: from here on asinh(t) is ln(2 t) to the last bit

// asinh(x / 2^exponent) = ln(2 |x| / 2^exponent) of numbers that are large, with their sign.
inline double asinh_of_large(double x, int exponent) {
    const double doublings = 1 - exponent;
    const double y = (log_of(fabs(x)) + doublings * LOG_2_HIGH) + doublings * LOG_2_LOW;
    return __builtin_copysign(x - x == 0 ? y : x, x);
}

// asinh(x / 2^exponent), with the bits of AsinhCodec.
inline void asinh_rows(double* x, int rows, int exponent) {
    const double shrink = __builtin_ldexp(1.0, -exponent);
    double y[RULED_ROWS];
    uint64_t others = 0;
    for (int i = 0; i < rows; ++i) {
        const double t = fabs(x[i]) * shrink;
        y[i] = __builtin_copysign(simple_log(t + __builtin_sqrt(t * t + 1.0)), x[i]);
        others |= (uint64_t)(t > LARGE_SINE);
        y[i] = x[i] == x[i] ? y[i] : x[i];
    }
    for (int i = 0; others && i < rows; ++i) {
        const double t = fabs(x[i]) * shrink;
        y[i] = t > LARGE_SINE ? asinh_of_large(x[i], exponent) : y[i];
    }
    __builtin_memcpy(x, y, rows * sizeof(double));
}

// Modal rows become NaN and are counted, ordinary rows off the step are counted, and numbers are those on the scale.
// Where it is asked for, `which` gets the modal value of each row that has one, and `off` whether it is off the step.
void apply_rules(const double* x, int rows, const RowRules& rules, double* numbers, int32_t* which, uint8_t* off,
                 RowCounts* counts) {
    __builtin_memcpy(numbers, x, rows * sizeof(double));
    for (int m = 0; m < rules.modal_count; ++m) {
        const double value = rules.modal[m];
        int64_t found = 0;
        for (int i = 0; which && i < rows; ++i) {
            which[i] = numbers[i] == value ? m : which[i];
        }
        for (int i = 0; i < rows; ++i) {
            const bool equal = numbers[i] == value;
            found += equal;
            numbers[i] = equal ? __builtin_nan("") : numbers[i];
        }
        counts->modal[m] += found;
    }
    if (rules.bits) {
        uint8_t found[RULED_ROWS];
        for (int i = 0; i < rows; ++i) {
            found[i] = is_off_step(numbers[i], rules.step, rules.parts, rules.bits);
        }
        for (int i = 0; i < rows; ++i) {
            counts->off_step += found[i];
        }
        if (off) {
            __builtin_memcpy(off, found, rows);
        }
    }
    if (rules.curved) {
        asinh_rows(numbers, rows, rules.exponent);
    }
}

void numbers_of(const double* x, int64_t rows, const RowRules& rules, double* numbers, int32_t* which, uint8_t* off,
                RowCounts* counts) {
    for (int64_t i = 0; i < rows; i += RULED_ROWS) {
        const int count = (int)(rows - i < RULED_ROWS ? rows - i : RULED_ROWS);
        apply_rules(x + i, count, rules, numbers + i, which ? which + i : nullptr, off ? off + i : nullptr, counts);
    }
}

// Values of numbers, in place: back from the scale within the limits of the column's type, and on the step.
void values_of(double* numbers, int64_t rows, const RowRules& rules, double low, double high) {
    const double half = rules.curved ? __builtin_ldexp(1.0, rules.exponent - 1) : 0.0;
    double exponent[RULED_ROWS], root[RULED_ROWS];
    for (int64_t start = 0; start < rows; start += RULED_ROWS) {
        const int count = (int)(rows - start < RULED_ROWS ? rows - start : RULED_ROWS);
        double* x = numbers + start;
        if (rules.curved) {
            for (int i = 0; i < count; ++i) {
                exponent[i] = x[i] == x[i] ? 0.5 * fabs(x[i]) : 0.0;
            }
            exp_rows(exponent, count, root);
            for (int i = 0; i < count; ++i) {
                const double size = half * root[i] * root[i] - half / root[i] / root[i];
                const double value = __builtin_copysign(size, x[i]) + 0.0;
                const double kept = value < low ? low : value > high ? high : value;
                x[i] = x[i] == x[i] ? kept : x[i];
            }
        }
        for (int i = 0; rules.bits && i < count; ++i) {
            x[i] = rint(x[i] * rules.parts / rules.step) * rules.step / rules.parts + 0.0;  // no minus zero
        }
    }
}

// The least and largest values of those whose numbers are the least and largest so far; `before` is the tally without
// these rows.
void follow_ends(const double* x, const double* numbers, int rows, const Tally& before, const Tally& after,
                 RowCounts* counts) {
    const double low = after.minimum, high = after.maximum;
    uint64_t met = 0;
    for (int i = 0; i < rows; ++i) {
        met |= (uint64_t)(numbers[i] == low) | (uint64_t)(numbers[i] == high);
    }
    if (!met) {
        return;
    }
    double least = low < before.minimum ? __builtin_inf() : counts->least;
    double largest = high > before.maximum ? -__builtin_inf() : counts->largest;
    for (int i = 0; i < rows; ++i) {
        least = numbers[i] == low && x[i] < least ? x[i] : least;
        largest = numbers[i] == high && x[i] > largest ? x[i] : largest;
    }
    counts->least = least;
    counts->largest = largest;
}

}  // namespace
}  // namespace gpuvgm
