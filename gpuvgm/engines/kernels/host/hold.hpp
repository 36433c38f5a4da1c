// Rows that the fit had not seen, and rows at the end of their mode: the first look of engines/hold.py.
#pragma once
#include "../vgm_math.cuh"
#include "host.hpp"

namespace gpuvgm {
namespace {

constexpr int LOOKED_AT = 256;  // rows at a time

// Notes rows of a sort from `start` on; the first is looked for among them.
template <class Holds> void note(Found& found, int64_t rows, int64_t start, Holds holds) {
    if (rows && !found.rows) {
        found.first = start;
        while (!holds(found.first)) {
            ++found.first;
        }
    }
    found.rows += rows;
}

template <class Scalar>
int64_t look_at_rows(const double* x, const Scalar* scalar, int64_t rows, const Range& range, FoundRows* found,
                     int64_t* at_end) {
    const double low = range.low, high = range.high;
    const Scalar limit = (Scalar)range.limit;
    const auto is_infinite = [=](int64_t i) { return __builtin_fabs(x[i]) == __builtin_inf(); };
    const auto is_missing = [=](int64_t i) { return x[i] != x[i]; };
    const auto is_outside = [=](int64_t i) { return (x[i] < low) | (x[i] > high); };
    const auto is_at_end = [=](int64_t i) { return (scalar[i] >= limit) | (scalar[i] <= -limit); };
    int64_t ends = 0;
    for (int64_t start = 0; start < rows; start += LOOKED_AT) {
        const int64_t stop = rows - start < LOOKED_AT ? rows : start + LOOKED_AT;
        int64_t infinite = 0, missing = 0, outside = 0;
        int32_t clipped = 0;
        for (int64_t i = start; i < stop; ++i) {
            infinite += is_infinite(i);
            missing += is_missing(i);
            outside += is_outside(i);
        }
        for (int64_t i = start; i < stop; ++i) {
            clipped += is_at_end(i);
        }
        note(found->infinite, infinite, start, is_infinite);
        note(found->missing, missing, start, is_missing);
        note(found->outside, outside, start, is_outside);
        for (int64_t i = start; clipped && i < stop; ++i) {
            at_end[ends] = i;
            ends += is_at_end(i);
        }
    }
    return ends;
}

int64_t look_at(const double* x, const void* scalar, int scalar_bytes, int64_t rows, const Range& range,
                FoundRows* found, int64_t* at_end) {
    return scalar_bytes == 4 ? look_at_rows(x, (const float*)scalar, rows, range, found, at_end)
                             : look_at_rows(x, (const double*)scalar, rows, range, found, at_end);
}

}  // namespace
}  // namespace gpuvgm
