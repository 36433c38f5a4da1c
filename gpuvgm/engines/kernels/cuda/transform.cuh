// Transform on the device by the law of double or of float, four rows a thread: posterior, draw, position in the mode;
// the same steps in the same order as host/transform.hpp.
//
//   e_k = 2^(l_k - max l),  l_k = log2 of weight times density;  threshold = u (sum of e over the active + A floor);
//   mode = number of running sums of e_k + floor that do not exceed the threshold;  scalar = deviation / width.
#pragma once
#include "../vgm_math32.cuh"
#include "quad.cuh"

namespace gpuvgm {
namespace {

// ---- parameters ----------------------------------------------------------------------------------------------------

template <class Real> struct Component {
    typename Law<Real>::template Mean<Real> mean;
    Real precision, coefficient;

    template <class Row> GPUVGM_FN Real density(Row row) const {
        return Law<Real>::density(deviation_of(row, mean), precision, coefficient);
    }
};

template <class Real> struct Mode {
    typename Law<Real>::template Mean<Real> mean;
    Real width, cell;
};

// Parameters of a draw as they lie in one array: the rules, then those of each component, of which the last ones have
// no meaning. Rows come in two steps: `entered` is done ahead for all rows of a thread, `row` when a row has its turn.
enum Rule { LIMIT, ACTIVE, MISSING_CELL, FLOOR, SCALE, CENTRE, POWER = SCALE, EXPONENT = CENTRE, RULES = 8 };

template <class Real> struct Parameters;

// Six doubles a component: mean, half precision and coefficient, its width and cell if it is active.
template <> struct Parameters<double> {
    const double* at;  // (RULES + 6 K,), on a border of 16 bytes

    GPUVGM_FN const double2* pairs(int k) const { return (const double2*)(at + RULES + 6 * k); }
    GPUVGM_FN Component<double> component(int k) const {
        const double2 shape = pairs(k)[0], level = pairs(k)[1];
        return {shape.x, shape.y, level.x};
    }
    GPUVGM_FN Mode<double> mode(int k) const {
        const double2* pair = pairs(k);
        return {pair[0].x, pair[1].y, pair[2].x};
    }
    GPUVGM_FN double entered(double x) const { return x; }
    GPUVGM_FN double row(double x) const { return x * at[SCALE] - at[CENTRE]; }
};

// Eight floats a component: mean in two parts, root precision and coefficient, its width and cell if it is active.
template <> struct Parameters<float> {
    const float* at;  // (RULES + 8 K,), on a border of 16 bytes

    GPUVGM_FN const float* of(int k) const { return at + RULES + 8 * k; }
    GPUVGM_FN Component<float> component(int k) const {
        const float4 four = *(const float4*)of(k);
        return {{four.x, four.y}, four.z, four.w};
    }
    GPUVGM_FN Mode<float> mode(int k) const {
        const float2 mean = *(const float2*)of(k), place = *(const float2*)(of(k) + 4);
        return {{mean.x, mean.y}, place.x, place.y};
    }
    // Without FP64 arithmetic from a double, in one part from a float.
    GPUVGM_FN Halves entered(double x) const { return halves_of(x, (int)at[EXPONENT]); }
    GPUVGM_FN float entered(float x) const { return high_of(x, at[POWER]); }
    template <class Row> GPUVGM_FN Row row(Row entered) const { return entered; }
};

// Of a row that has entered, what is finite just where the row is.
GPUVGM_FN double& number_of(double& entered) { return entered; }
GPUVGM_FN float& number_of(float& entered) { return entered; }
GPUVGM_FN float& number_of(Halves& entered) { return entered.high; }

// ---- modes ---------------------------------------------------------------------------------------------------------

constexpr int KEPT_COMPONENTS = 16;  // more are not kept in registers but computed again

// The same address, so that the compiler does not hold what lies there in registers over a whole loop.
template <class T> GPUVGM_FN const T* reloaded(const T* address) {
    int nothing = 0;
#if defined(__CUDACC__)
    asm volatile("" : "+r"(nothing));
#endif
    return address + nothing;
}

// Four numbers moved down by some places: a loop that works on the first ones needs no index that only the run knows.
template <int PLACES, class T> GPUVGM_FN void rotate(T* four) {
    T before[QUAD];
#pragma unroll
    for (int j = 0; j < QUAD; ++j) {
        before[j] = four[j];
    }
#pragma unroll
    for (int j = 0; j < QUAD; ++j) {
        four[j] = before[(j + PLACES) % QUAD];
    }
}

// The mode of a drawn row. Up to KEPT_COMPONENTS components the exponentials stay in registers.
template <int K, class Real, class Row>
GPUVGM_FN int drawn_mode(const Parameters<Real>& table, Row row, Real uniform, int active) {
    Real top = Law<Real>::LOWEST_DRAWN, total = 0, threshold = 0, sum = 0;
    int mode = 0;
    if constexpr (K <= KEPT_COMPONENTS) {
        Real share[K];
#pragma unroll
        for (int k = 0; k < K; ++k) {
            share[k] = table.component(k).density(row);
            top = maximum(share[k], top);
        }
#pragma unroll
        for (int k = 0; k < K; ++k) {
            share[k] = Law<Real>::exponential(share[k] - top);
            total = total + share[k];
            threshold = k + 1 == active ? total : threshold;  // the active components come first
        }
        const Real floor = table.at[FLOOR] * total;
        threshold = threshold_of(uniform, (Real)active, floor, threshold);
#pragma unroll
        for (int k = 0; k + 1 < K; ++k) {
            sum = sum + (share[k] + floor);
            mode = k + 1 < active && sum <= threshold ? k + 1 : mode;
        }
    } else {
#pragma unroll 1
        for (int k = 0; k < K; ++k) {
            top = maximum(table.component(k).density(row), top);
        }
#pragma unroll 1
        for (int k = 0; k < K; ++k) {
            total = total + Law<Real>::exponential(table.component(k).density(row) - top);
            threshold = k + 1 == active ? total : threshold;
        }
        const Real floor = table.at[FLOOR] * total;
        threshold = threshold_of(uniform, (Real)active, floor, threshold);
#pragma unroll 1
        for (int k = 0; k + 1 < active; ++k) {
            sum = sum + (Law<Real>::exponential(table.component(k).density(row) - top) + floor);
            mode = sum <= threshold ? k + 1 : mode;
        }
    }
    return mode;
}

// The most probable active component of each of some rows; ties go to the lower index.
template <class Real, int ROWS, class Row>
GPUVGM_FN void most_probable_modes(const Parameters<Real>& table, const Row (&row)[ROWS], int active,
                                   int (&mode)[ROWS]) {
    Real top[ROWS];
#pragma unroll
    for (int j = 0; j < ROWS; ++j) {
        top[j] = Law<Real>::LOWEST;
        mode[j] = 0;
    }
#pragma unroll 2
    for (int k = 0; k < active; ++k) {
        const auto component = table.component(k);
#pragma unroll
        for (int j = 0; j < ROWS; ++j) {
            const Real density = component.density(row[j]);
            mode[j] = density <= top[j] ? mode[j] : k;
            top[j] = maximum(density, top[j]);
        }
    }
}

// Uniforms of a quad of rows; the quads are those of the generator's counters, so that one call serves four rows.
template <class Real> GPUVGM_FN void draw_quad(u64 counter, u64 column, u64 seed, Real* uniforms) {
    u32 words[QUAD];
    philox(counter, column, seed, words);
#pragma unroll
    for (int j = 0; j < QUAD; ++j) {
        uniforms[j] = Law<Real>::uniform(words[j]);
    }
}

enum Randomness { GENERATOR, GIVEN, NONE };

// Rows that a thread works on side by side. Drawn ones keep the machine busy with their own components, and more would
// not fit the registers; the others share what they load.
GPUVGM_FN constexpr int rows_at_once(int randomness) { return randomness == NONE ? QUAD : 1; }

// Rows 4 i - skip ... 4 i - skip + 3, where skip = first_row % 4.
// Value: what a row is taken as; by the law of float a float where Float32Table.takes_float32 allows it, else double.
template <int K, int RANDOMNESS, class Value, class Real, class X, class Scalar, class CellIndex>
GPUVGM_FN void transform_quad(i64 i, const X* x, i64 rows, const Real* parameters, const Real* given, u64 seed,
                              u64 column, u64 first_row, Scalar* scalar, CellIndex* cell) {
    const Parameters<Real> whole{parameters};
    const int active = (int)whole.at[ACTIVE];
    const i64 first = QUAD * i - (i64)(first_row % QUAD);
    Value values[QUAD];
    decltype(whole.entered(Value())) entered[QUAD];  // a row's scalar takes the place of its number,
    Real uniforms[QUAD] = {};                        // and its cell that of its uniform
    read_quad(x, first, rows, (Value)0, values);
    if (RANDOMNESS == GENERATOR) {
        draw_quad(first_row / QUAD + (u64)i, column, seed, uniforms);
    } else if (RANDOMNESS == GIVEN) {
        read_quad(given, first, rows, (Real)0, uniforms);
    }
#pragma unroll
    for (int j = 0; j < QUAD; ++j) {
        entered[j] = whole.entered(values[j]);
    }
    constexpr int GROUP = rows_at_once(RANDOMNESS);
#pragma unroll 1
    for (int done = 0; done < QUAD; done += GROUP) {
        const Parameters<Real> table{reloaded(parameters)};
        decltype(table.row(entered[0])) row[GROUP];
        int mode[GROUP];
#pragma unroll
        for (int j = 0; j < GROUP; ++j) {
            row[j] = table.row(entered[j]);
        }
        if constexpr (RANDOMNESS == NONE) {
            most_probable_modes(table, row, active, mode);
        } else {
            mode[0] = drawn_mode<K>(table, row[0], uniforms[0], active);
        }
#pragma unroll
        for (int j = 0; j < GROUP; ++j) {
            const Mode<Real> chosen = table.mode(mode[j]);
            const Real z = Law<Real>::position(deviation_of(row[j], chosen.mean), chosen.width, table.at[LIMIT]);
            Real& number = number_of(entered[j]);
            uniforms[j] = select_finite(number, chosen.cell, table.at[MISSING_CELL]);
            number = select_finite(number, z, (Real)0);
        }
        rotate<GROUP>(entered);
        rotate<GROUP>(uniforms);
    }
    Real scalars[QUAD];
    u32 cells[QUAD];
#pragma unroll
    for (int j = 0; j < QUAD; ++j) {
        scalars[j] = number_of(entered[j]);
        cells[j] = (u32)(int)uniforms[j];
    }
    write_quad(scalars, first, rows, scalar);
    write_quad(cells, first, rows, cell);
}

}  // namespace
}  // namespace gpuvgm
