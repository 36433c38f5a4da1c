// Logarithm and exponential of many numbers: the operations of vgm_special.cuh, hence the same bits, without a branch,
// so that compilers do several at once.
#pragma once
#include <cstdint>

#include "../vgm_scale.cuh"

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

}  // namespace
}  // namespace gpuvgm
