// Functions of many numbers: the operations of vgm_special.cuh, hence the same bits. Logarithms and exponentials have
// no branch, so that compilers do several at once; digammas and log-gammas are those of Lanes.
#pragma once
#include <cstdint>

#include "../vgm_scale.cuh"
#include "lanes.hpp"

namespace gpuvgm {
namespace {

constexpr int TOGETHER = 512;

// 1 for numbers that are not positive and normal: whole numbers are compared by the sign of their difference.
inline uint64_t is_not_normal(double x) {
    const uint64_t exponent = (uint64_t)as_bits(x) >> 52;
    return ((exponent - 1) | (2046 - exponent)) >> 63;
}

void log_rows(const double* x, int64_t rows, double* out) {
    for (int64_t start = 0; start < rows; start += TOGETHER) {
        const int64_t end = start + TOGETHER < rows ? start + TOGETHER : rows;
        uint64_t others = 0;
        for (int64_t i = start; i < end; ++i) {
            out[i] = simple_log(x[i]);
            others |= is_not_normal(x[i]);
        }
        for (int64_t i = start; others && i < end; ++i) {
            out[i] = is_not_normal(x[i]) ? log_of(x[i]) : out[i];
        }
    }
}

void exp_rows(const double* x, int64_t rows, double* out) {
    for (int64_t i = 0; i < rows; ++i) {
        out[i] = exp_within(x[i]);
    }
}

constexpr double LEAST_USUAL = 1e-300;  // from here to HUGE_ARGUMENT the functions of lanes hold

GPUVGM_FN Lanes log_of(Lanes x) {
    const Lanes mantissa = mantissa_of(x), exponent = exponent_of(x), one = splat(1.0);
    const Lanes limit = splat(2 * 0.7071067811865476);  // of mantissas from 1 on: half of them begin at 0.5
    return log_of_parts(select_le(limit, mantissa, splat(0.5) * mantissa, mantissa),
                        select_le(limit, mantissa, exponent + one, exponent));
}
GPUVGM_FN Lanes gammaln_of(Lanes x) { return stirling_of(x + splat(SHIFT)) - log_of(rising_product(x)); }

GPUVGM_FN bool are_usual(Lanes x) {
    const Lanes yes = splat(0.0), no = splat(1.0);
    return !any_above(select_le(splat(LEAST_USUAL), x, select_le(x, splat(HUGE_ARGUMENT / 2), yes, no), no), 0.5);
}

// Function of vgm_special.cuh of positive numbers; `out` may be `x`.
template <class Function> GPUVGM_FN void apply_to_rows(Function function, const double* x, int64_t rows, double* out) {
    for (int64_t i = 0; i < rows; i += LANES) {
        const int size = rows - i < LANES ? (int)(rows - i) : LANES;
        double numbers[LANES];
        for (int j = 0; j < LANES; ++j) {
            numbers[j] = j < size ? x[i + j] : 1.0;
        }
        const Lanes together = load(numbers);
        if (are_usual(together)) {
            store(numbers, function(together));
        } else {
            for (int j = 0; j < size; ++j) {
                numbers[j] = function(numbers[j]);
            }
        }
        for (int j = 0; j < size; ++j) {
            out[i + j] = numbers[j];
        }
    }
}

void digamma_rows(const double* x, int64_t rows, double* out) { apply_to_rows(Digamma{}, x, rows, out); }

void gammaln_rows(const double* x, int64_t rows, double* out) { apply_to_rows(LogGamma{}, x, rows, out); }

}  // namespace
}  // namespace gpuvgm
