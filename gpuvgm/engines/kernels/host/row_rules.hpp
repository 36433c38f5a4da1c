// What becomes of the values of a column of floats before they are summarised or encoded, and of its numbers once they
// are decoded, a batch of rows at a time.
#pragma once
#include <cmath>
#include <type_traits>

#include "../vgm_step.cuh"
#include "host.hpp"
#include "lanes.hpp"
#include "special.hpp"

namespace gpuvgm {
namespace {

GPUVGM_FN bool changes_numbers(const RowRules& rules) { return rules.scale != LINEAR || rules.origin != 0; }

GPUVGM_FN bool are_plain(const RowRules& rules) { return !rules.modal_count && !rules.bits && !changes_numbers(rules); }

template <int NAME> GPUVGM_FN Curve curve_of(const RowRules& rules) {
    const int exponent = rules.exponent;
    return {NAME, __builtin_ldexp(1.0, -exponent), 1.0 - exponent, __builtin_ldexp(1.0, exponent - 1)};
}

// Calls a function with the name of the rules' scale as a constant.
template <class Function> GPUVGM_FN void with_scale(const RowRules& rules, Function function) {
    switch (rules.scale) {
        case ASINH:
            return function(std::integral_constant<int, ASINH>());
        case LOG:
            return function(std::integral_constant<int, LOG>());
        case LOG1P:
            return function(std::integral_constant<int, LOG1P>());
        default:
            return function(std::integral_constant<int, LINEAR>());
    }
}

// Notes rows of a sort from `start` on; the first is looked for among them.
template <class Holds> void note(Found& found, int64_t rows, int64_t start, Holds holds) {
    if (rows && !found.rows) {
        int64_t i = 0;
        while (!holds(i)) {
            ++i;
        }
        found.first = start + i;
    }
    found.rows += rows;
}

// Modal rows become NaN, and are counted.
inline void take_out_modal(double* numbers, int rows, const RowRules& rules, RowCounts* counts) {
    for (int m = 0; m < rules.modal_count; ++m) {
        const double value = rules.modal[m];
        int64_t equal_rows = 0;
        for (int i = 0; i < rows; ++i) {
            const bool equal = numbers[i] == value;
            equal_rows += equal;
            numbers[i] = equal ? __builtin_nan("") : numbers[i];
        }
        counts->modal[m] += equal_rows;
    }
}

template <bool HAS_STEP, bool HAS_PARTS>
void nearest_multiples(const double* x, int rows, const RowRules& rules, double* out) {
    const double step = HAS_STEP ? rules.step : 1.0, parts = HAS_PARTS ? rules.parts : 1.0;
    for (int i = 0; i < rows; ++i) {
        out[i] = on_step(x[i], step, parts) + 0.0;  // no minus zero
    }
}

// Multiples of the step nearest to numbers; steps of 1 and those of one part save a division each.
inline void nearest_multiples(const double* x, int rows, const RowRules& rules, double* out) {
    if (rules.step != 1) {
        rules.parts != 1 ? nearest_multiples<true, true>(x, rows, rules, out)
                         : nearest_multiples<true, false>(x, rows, rules, out);
    } else {
        rules.parts != 1 ? nearest_multiples<false, true>(x, rows, rules, out)
                         : nearest_multiples<false, false>(x, rows, rules, out);
    }
}

// Counts rows, of which the first is row `start`, that differ from the nearest multiples of the step.
template <int BITS>
void count_off_step(const double* values, const double* nearest, int rows, int64_t start, RowCounts* counts) {
    const auto is_off = [=](int64_t i) { return differs(nearest[i], values[i], BITS); };
    int64_t off = 0;
    for (int i = 0; i < rows; ++i) {
        off += is_off(i);
    }
    note(counts->off_step, off, start, is_off);
}

inline void count_off_step(const double* values, int rows, int64_t start, const RowRules& rules, RowCounts* counts) {
    double nearest[RULED_ROWS];
    nearest_multiples(values, rows, rules, nearest);
    if (rules.bits == 64) {
        count_off_step<64>(values, nearest, rows, start, counts);
    } else if (rules.bits == 32) {
        count_off_step<32>(values, nearest, rows, start, counts);
    } else {
        count_off_step<16>(values, nearest, rows, start, counts);
    }
}

// Numbers of at most RULED_ROWS values, of which the first is row `start`: modal rows become NaN and are counted, as
// are the other rows off the step.
void apply_rules(const double* x, int rows, int64_t start, const RowRules& rules, double* numbers, RowCounts* counts) {
    __builtin_memcpy(numbers, x, rows * sizeof(double));
    take_out_modal(numbers, rows, rules, counts);
    if (rules.bits) {
        count_off_step(numbers, rows, start, rules, counts);
    }
    if (changes_numbers(rules)) {
        with_scale(rules, [&](auto name) {
            const Curve curve = curve_of<name>(rules);
            const double origin = rules.origin;
            for (int i = 0; i < rows; ++i) {
                const double distance = numbers[i] - origin, number = curved(curve, distance);
                numbers[i] = distance - distance == 0 ? number : distance;
            }
        });
    }
}

// Values of at most RULED_ROWS numbers, in place: back from the scale within limits, and on the step.
void undo_rules(double* x, int rows, const RowRules& rules, double low, double high) {
    if (rules.scale != LINEAR) {
        with_scale(rules, [&](auto name) {
            const Curve curve = curve_of<name>(rules);
            const double origin = rules.origin;
            for (int i = 0; i < rows; ++i) {
                const double value = straight(curve, x[i]) + origin;
                x[i] = value < low ? low : value > high ? high : value;
            }
        });
    }
    if (rules.bits) {
        nearest_multiples(x, rows, rules, x);
    }
}

// The least and largest values of rows that have a finite number.
inline void follow_ends(const double* x, const double* numbers, int rows, RowCounts* counts) {
    Lanes low = splat(counts->least), high = splat(counts->largest);
    alignas(64) double ends[4][LANES];
    for (int j = 0; j < rows; j += LANES) {
        const bool full = rows - j >= LANES;
        for (int l = 0; !full && l < LANES; ++l) {
            ends[0][l] = j + l < rows ? x[j + l] : __builtin_nan("");
            ends[1][l] = j + l < rows ? numbers[j + l] : __builtin_nan("");
        }
        const Lanes value = load(full ? x + j : ends[0]), number = load(full ? numbers + j : ends[1]);
        low = minimum(select_finite(number, value, low), low);
        high = maximum(select_finite(number, value, high), high);
    }
    store(ends[2], low);
    store(ends[3], high);
    for (int l = 0; l < LANES; ++l) {
        counts->least = minimum(ends[2][l], counts->least);
        counts->largest = maximum(ends[3][l], counts->largest);
    }
}

}  // namespace
}  // namespace gpuvgm
