// Transform by the law of float32 (vgm_math32.cuh) on the device, four rows a thread; see transform.cuh.
#pragma once
#include "../vgm_math32.cuh"
#include "transform.cuh"

namespace gpuvgm {
namespace {

// Parameters as they lie in one array of floats: the rules, then eight of each component: its mean in two parts, root
// precision and coefficient, its width and cell if it is active, and two of no meaning.
enum NarrowRule {
    NARROW_FLOOR,
    NARROW_LIMIT,
    NARROW_MISSING,
    NARROW_ACTIVE,
    NARROW_POWER,
    NARROW_EXPONENT,
    NARROW_RULES = 8
};

// The number of a row where its low part is 0.
struct High {
    float high;
};
GPUVGM_FN float deviation_of(Halves row, float mean_high, float mean_low) {
    return deviation_of(row.high, row.low, mean_high, mean_low);
}
GPUVGM_FN float deviation_of(High row, float mean_high, float mean_low) {
    return deviation_of(row.high, mean_high, mean_low);
}

// Without FP64 arithmetic from a double, in one part from a float.
GPUVGM_FN Halves number_of(double x, float power, int exponent) { return halves_of(x, exponent); }
GPUVGM_FN High number_of(float x, float power, int exponent) { return {high_of(x, power)}; }

struct NarrowComponent {
    float mean_high, mean_low, root_precision, coefficient;

    template <class Row> GPUVGM_FN float density(Row row) const {
        return log_density_of(deviation_of(row, mean_high, mean_low), root_precision, coefficient);
    }
};

struct NarrowMode {
    float mean_high, mean_low, width, cell;
};

struct NarrowParameters {
    const float* at;  // (NARROW_RULES + 8 K,), on a border of 16 bytes

    static GPUVGM_FN float lowest() { return -LARGEST_FLOAT; }
    static GPUVGM_FN float exponential(float t) { return exp2_narrow(t); }
    GPUVGM_FN float rule(int which) const { return at[which]; }
    GPUVGM_FN float floor() const { return rule(NARROW_FLOOR); }
    GPUVGM_FN const float* of(int k) const { return at + NARROW_RULES + 8 * k; }
    GPUVGM_FN NarrowComponent component(int k) const {
        const float4 four = *(const float4*)of(k);
        return {four.x, four.y, four.z, four.w};
    }
    GPUVGM_FN NarrowMode mode(int k) const {
        const float2 mean = *(const float2*)of(k), place = *(const float2*)(of(k) + 4);
        return {mean.x, mean.y, place.x, place.y};
    }
};

// Uniforms of a quad of rows; see draw_quad.
GPUVGM_FN void draw_quad(u64 counter, u64 column, u64 seed, float* uniforms) {
    u32 words[QUAD];
    philox(counter, column, seed, words);
#pragma unroll
    for (int j = 0; j < QUAD; ++j) {
        uniforms[j] = uniform_narrow(words[j]);
    }
}

// Rows 4 i - skip ... 4 i - skip + 3, where skip = first_row % 4.
// Value: what a row is taken as, float for float32 rows where NarrowTable.takes_float32 allows it, else double.
template <int K, int RANDOMNESS, class Value, class X, class Scalar, class CellIndex>
GPUVGM_FN void transform_narrow_quad(i64 i, const X* x, i64 rows, const float* parameters, const float* given, u64 seed,
                                     u64 column, u64 first_row, Scalar* scalar, CellIndex* cell) {
    typedef decltype(number_of(Value(), 0.0f, 0)) Row;
    const int active = (int)parameters[NARROW_ACTIVE], exponent = (int)parameters[NARROW_EXPONENT];
    const i64 first = QUAD * i - (i64)(first_row % QUAD);
    Value values[QUAD];
    Row row[QUAD];              // a row's scalar takes the place of its number,
    float uniforms[QUAD] = {};  // and its cell that of its uniform
    read_quad(x, first, rows, (Value)0, values);
    if (RANDOMNESS == GENERATOR) {
        draw_quad(first_row / QUAD + (u64)i, column, seed, uniforms);
    } else if (RANDOMNESS == GIVEN) {
        read_quad(given, first, rows, 0.0f, uniforms);
    }
#pragma unroll
    for (int j = 0; j < QUAD; ++j) {
        row[j] = number_of(values[j], parameters[NARROW_POWER], exponent);
    }
    constexpr int GROUP = rows_at_once(RANDOMNESS);
#pragma unroll 1
    for (int done = 0; done < QUAD; done += GROUP) {
        const NarrowParameters table{reloaded(parameters)};
        Row own[GROUP];
        int mode[GROUP];
#pragma unroll
        for (int j = 0; j < GROUP; ++j) {
            own[j] = row[j];
        }
        if constexpr (RANDOMNESS == NONE) {
            most_probable_modes(table, own, active, table.lowest(), mode);
        } else {
            mode[0] = drawn_mode<K>(table, own[0], uniforms[0], active);
        }
#pragma unroll
        for (int j = 0; j < GROUP; ++j) {
            const NarrowMode chosen = table.mode(mode[j]);
            const float deviation = deviation_of(own[j], chosen.mean_high, chosen.mean_low);
            const float z = position_of(deviation, chosen.width, table.rule(NARROW_LIMIT));
            uniforms[j] = select_finite(own[j].high, chosen.cell, table.rule(NARROW_MISSING));
            row[j].high = select_finite(own[j].high, z, 0.0f);
        }
        rotate<GROUP>(row);
        rotate<GROUP>(uniforms);
    }
    float scalars[QUAD];
    u32 cells[QUAD];
#pragma unroll
    for (int j = 0; j < QUAD; ++j) {
        scalars[j] = row[j].high;
        cells[j] = (u32)(int)uniforms[j];
    }
    write_quad(scalars, first, rows, scalar);
    write_quad(cells, first, rows, cell);
}

}  // namespace
}  // namespace gpuvgm
