// From scalars and codes to values in one pass: the mode's number, back from the scale, on the step; modal values.
#pragma once
#include "row_rules.hpp"

namespace gpuvgm {
namespace {

// The first row of a batch whose code does not exist, or -1.
template <class Code> int64_t unknown_code(const Code* code, int rows, int codes) {
    Code largest = 0;
    for (int i = 0; i < rows; ++i) {
        largest = code[i] > largest ? code[i] : largest;
    }
    for (int i = 0; largest >= codes && i < rows; ++i) {
        if (code[i] >= codes) {
            return i;
        }
    }
    return -1;
}

inline int64_t count_missing(const double* x, int rows) {
    int64_t missing = 0;
    for (int i = 0; i < rows; ++i) {
        missing += x[i] != x[i];
    }
    return missing;
}

template <class Scalar, class Code>
int64_t decode_rows(const Scalar* scalar, const Code* code, int64_t rows, const RowRules& rules,
                    const DecodeTable& table, double* value, bool* complete) {
    const Lanes factor = splat(1.0 / table.scale), centre = splat(table.centre), limit = splat(table.limit);
    const LookUp means(table.means, table.codes), widths(table.widths, table.codes), exact(table.exact, table.codes);
    alignas(64) double last_values[RULED_ROWS];
    Scalar last_scalars[RULED_ROWS] = {};
    Code last_codes[RULED_ROWS] = {};
    *complete = true;
    for (int64_t start = 0; start < rows; start += RULED_ROWS) {
        const int count = (int)(rows - start < RULED_ROWS ? rows - start : RULED_ROWS);
        const Scalar* z = scalar + start;
        const Code* k = code + start;
        double* x = count == RULED_ROWS ? value + start : last_values;  // a whole batch is worked on where it will lie
        if (const int64_t wrong = unknown_code(k, count, table.codes); wrong >= 0) {
            return start + wrong;
        }
        if (count < RULED_ROWS) {  // whole Lanes are read
            z = (const Scalar*)__builtin_memcpy(last_scalars, z, count * sizeof(Scalar));
            k = (const Code*)__builtin_memcpy(last_codes, k, count * sizeof(Code));
        }
        for (int i = 0; i < count; i += LANES) {
            const Lanes y = value_of_position(load(z + i), means.at(k + i), widths.at(k + i), limit);
            store(x + i, (y + centre) * factor);
        }
        undo_rules(x, count, rules, table.low, table.high);
        if (count_missing(x, count)) {
            for (int i = 0; i < count; i += LANES) {
                const Lanes number = load(x + i);
                store(x + i, select_le(number, number, number, exact.at(k + i)));
            }
            *complete &= count_missing(x, count) == 0;
        }
        if (count < RULED_ROWS) {
            __builtin_memcpy(value + start, x, count * sizeof(double));
        }
    }
    return -1;
}

int64_t decode(const void* scalar, int scalar_bytes, const void* code, int code_bytes, int64_t rows,
               const RowRules& rules, const DecodeTable& table, double* value, bool* complete) {
    const auto of_codes = [&](const auto* scalars) {
        return code_bytes == 1 ? decode_rows(scalars, (const uint8_t*)code, rows, rules, table, value, complete)
                               : decode_rows(scalars, (const uint16_t*)code, rows, rules, table, value, complete);
    };
    return scalar_bytes == 4 ? of_codes((const float*)scalar) : of_codes((const double*)scalar);
}

}  // namespace
}  // namespace gpuvgm
