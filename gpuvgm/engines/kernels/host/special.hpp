// Logarithm and exponential of many numbers: the operations of vgm_special.cuh, hence the same bits, without a branch,
// so that compilers do several at once.
#pragma once
#include <cstdint>
#include <cstring>

#include "../vgm_special.cuh"

namespace gpuvgm {
namespace {

constexpr int TOGETHER = 512;
constexpr double WHOLE = 4503599627370496.0;  // 2^52: its last bits are a whole number
constexpr double ROUNDER = 1.5 * WHOLE;       // added and taken off, it rounds to the nearest whole number
constexpr uint64_t MANTISSA = 0x000FFFFFFFFFFFFF, HALF = 0x3FE0000000000000, WHOLE_BITS = 0x4330000000000000;
constexpr uint64_t ROOT_HALF = 0x6A09E667F3BCD;    // mantissa of 0.7071067811865476
constexpr uint64_t FURTHEST = 0x4089000000000000;  // 800: the exponential is 0, or infinite, from here on
constexpr uint64_t WITHOUT_SIGN = 0x7FFFFFFFFFFFFFFF;

inline double number_of(uint64_t bits) {
    double number;
    std::memcpy(&number, &bits, sizeof number);
    return number;
}

inline uint64_t bits_of(double number) {
    uint64_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    return bits;
}

// 2^power for whole numbers from -1022 to 1023.
inline double power_of_two(double power) { return number_of(bits_of(power + (WHOLE + 1023.0)) << 52); }

// 1 where the functions below do not hold: whole numbers are compared by the sign of their difference.
inline uint64_t has_no_simple_log(double x) {
    const uint64_t exponent = bits_of(x) >> 52;
    return ((exponent - 1) | (2046 - exponent)) >> 63;
}

inline uint64_t has_no_simple_exp(double x) { return (FURTHEST - (bits_of(x) & WITHOUT_SIGN)) >> 63; }

// Of positive normal numbers.
inline double simple_log(double x) {
    const uint64_t bits = bits_of(x), low = ((bits & MANTISSA) - ROOT_HALF) >> 63;
    const double mantissa = number_of((bits & MANTISSA) + HALF + (low << 52));
    const double exponent = number_of(((bits >> 52) - low) | WHOLE_BITS) - (WHOLE + 1022.0);
    return log_of_parts(mantissa, exponent);
}

// Of numbers from -800 to 800.
inline double simple_exp(double x) {
    const double power = (x * PER_LN_2 + ROUNDER) - ROUNDER;
    const double first = (0.5 * power + ROUNDER) - ROUNDER;  // half of it, so that only the last product is rounded
    return exp_of_rest(x, power) * power_of_two(first) * power_of_two(power - first);
}

using Function = double (*)(double);

template <Function SIMPLE, uint64_t (*HAS_NONE)(double), Function GENERAL>
void each_row(const double* x, int64_t rows, double* out) {
    for (int64_t start = 0; start < rows; start += TOGETHER) {
        const int64_t end = start + TOGETHER < rows ? start + TOGETHER : rows;
        uint64_t others = 0;
        for (int64_t i = start; i < end; ++i) {
            out[i] = SIMPLE(x[i]);
            others |= HAS_NONE(x[i]);
        }
        for (int64_t i = start; others && i < end; ++i) {
            out[i] = HAS_NONE(x[i]) ? GENERAL(x[i]) : out[i];
        }
    }
}

void log_rows(const double* x, int64_t rows, double* out) {
    each_row<simple_log, has_no_simple_log, log_of>(x, rows, out);
}

void exp_rows(const double* x, int64_t rows, double* out) {
    each_row<simple_exp, has_no_simple_exp, exp_of>(x, rows, out);
}

}  // namespace
}  // namespace gpuvgm
