// Transform on the device, four rows a thread: posterior, draw, position in the mode; the same steps in the same order
// as host/transform.hpp.
//
//   e_k = 2^(l_k - max l),  l_k = log2 of weight times density;  threshold = u (sum of e over the active + A floor);
//   mode = number of running sums of e_k + floor that do not exceed the threshold;  scalar = deviation / width.
#pragma once
#include "quad.cuh"

namespace gpuvgm {
namespace {

// ---- parameters ----------------------------------------------------------------------------------------------------

struct Component {
    double mean, half_precision, coefficient;

    GPUVGM_FN double density(double row) const { return log_density(row - mean, half_precision, coefficient); }
};

struct Mode {
    double mean, width, code;
};

enum Rule { LIMIT, ACTIVE, MISSING_CODE, FLOOR, SCALE, CENTRE, RULES = 8 };

// Parameters of a draw as they lie in one array: the rules, of which the last ones have no meaning, then six doubles a
// component: mean, half precision and coefficient, its width and code if it is active.
struct Parameters {
    const double* at;  // (RULES + 6 K,), on a border of 16 bytes

    GPUVGM_FN const double2* pairs(int k) const { return (const double2*)(at + RULES + 6 * k); }
    GPUVGM_FN Component component(int k) const {
        const double2 shape = pairs(k)[0], level = pairs(k)[1];
        return {shape.x, shape.y, level.x};
    }
    GPUVGM_FN Mode mode(int k) const {
        const double2* pair = pairs(k);
        return {pair[0].x, pair[1].y, pair[2].x};
    }
    GPUVGM_FN double row(double x) const { return x * at[SCALE] - at[CENTRE]; }
};

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
template <int PLACES> GPUVGM_FN void rotate(double* four) {
    double before[QUAD];
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
template <int K> GPUVGM_FN int drawn_mode(const Parameters& table, double row, double uniform, int active) {
    double top = LOWEST_DRAWN, total = 0, threshold = 0, sum = 0;
    int mode = 0;
    if constexpr (K <= KEPT_COMPONENTS) {
        double share[K];
#pragma unroll
        for (int k = 0; k < K; ++k) {
            share[k] = table.component(k).density(row);
            top = maximum(share[k], top);
        }
#pragma unroll
        for (int k = 0; k < K; ++k) {
            share[k] = exp2_nonpositive(share[k] - top);
            total = total + share[k];
            threshold = k + 1 == active ? total : threshold;  // the active components come first
        }
        const double floor = table.at[FLOOR] * total;
        threshold = threshold_of(uniform, (double)active, floor, threshold);
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
            total = total + exp2_nonpositive(table.component(k).density(row) - top);
            threshold = k + 1 == active ? total : threshold;
        }
        const double floor = table.at[FLOOR] * total;
        threshold = threshold_of(uniform, (double)active, floor, threshold);
#pragma unroll 1
        for (int k = 0; k + 1 < active; ++k) {
            sum = sum + (exp2_nonpositive(table.component(k).density(row) - top) + floor);
            mode = sum <= threshold ? k + 1 : mode;
        }
    }
    return mode;
}

// The most probable active component of each of some rows; ties go to the lower index.
template <int ROWS>
GPUVGM_FN void most_probable_modes(const Parameters& table, const double (&row)[ROWS], int active, int (&mode)[ROWS]) {
    double top[ROWS];
#pragma unroll
    for (int j = 0; j < ROWS; ++j) {
        top[j] = LOWEST;
        mode[j] = 0;
    }
#pragma unroll 2
    for (int k = 0; k < active; ++k) {
        const Component component = table.component(k);
#pragma unroll
        for (int j = 0; j < ROWS; ++j) {
            const double density = component.density(row[j]);
            mode[j] = density <= top[j] ? mode[j] : k;
            top[j] = maximum(density, top[j]);
        }
    }
}

// Uniforms of a quad of rows; the quads are those of the generator's counters, so that one call serves four rows.
GPUVGM_FN void draw_quad(u64 counter, u64 column, u64 seed, double* uniforms) {
    u32 words[QUAD];
    philox(counter, column, seed, words);
#pragma unroll
    for (int j = 0; j < QUAD; ++j) {
        uniforms[j] = uniform_of(words[j]);
    }
}

enum Randomness { GENERATOR, GIVEN, NONE };

// Rows that a thread works on side by side. Drawn ones keep the machine busy with their own components, and more would
// not fit the registers; the others share what they load.
GPUVGM_FN constexpr int rows_at_once(int randomness) { return randomness == NONE ? QUAD : 1; }

// Rows 4 i - skip ... 4 i - skip + 3, where skip = first_row % 4.
template <int K, int RANDOMNESS, class X, class Scalar, class Code>
GPUVGM_FN void transform_quad(i64 i, const X* x, i64 rows, const double* parameters, const double* given, u64 seed,
                              u64 column, u64 first_row, Scalar* scalar, Code* code) {
    const int active = (int)parameters[ACTIVE];
    const i64 first = QUAD * i - (i64)(first_row % QUAD);
    double numbers[QUAD];        // a row's scalar takes the place of its number,
    double uniforms[QUAD] = {};  // and its code that of its uniform
    read_quad(x, first, rows, 0.0, numbers);
    if (RANDOMNESS == GENERATOR) {
        draw_quad(first_row / QUAD + (u64)i, column, seed, uniforms);
    } else if (RANDOMNESS == GIVEN) {
        read_quad(given, first, rows, 0.0, uniforms);
    }
    constexpr int GROUP = rows_at_once(RANDOMNESS);
#pragma unroll 1
    for (int done = 0; done < QUAD; done += GROUP) {
        const Parameters table{reloaded(parameters)};
        double row[GROUP];
        int mode[GROUP];
#pragma unroll
        for (int j = 0; j < GROUP; ++j) {
            row[j] = table.row(numbers[j]);
        }
        if constexpr (RANDOMNESS == NONE) {
            most_probable_modes(table, row, active, mode);
        } else {
            mode[0] = drawn_mode<K>(table, row[0], uniforms[0], active);
        }
#pragma unroll
        for (int j = 0; j < GROUP; ++j) {
            const Mode chosen = table.mode(mode[j]);
            const double z = position_in_mode(row[j] - chosen.mean, chosen.width, table.at[LIMIT]);
            uniforms[j] = select_finite(numbers[j], chosen.code, table.at[MISSING_CODE]);
            numbers[j] = select_finite(numbers[j], z, 0.0);
        }
        rotate<GROUP>(numbers);
        rotate<GROUP>(uniforms);
    }
    u32 codes[QUAD];
#pragma unroll
    for (int j = 0; j < QUAD; ++j) {
        codes[j] = (u32)(int)uniforms[j];
    }
    write_quad(numbers, first, rows, scalar);
    write_quad(codes, first, rows, code);
}

}  // namespace
}  // namespace gpuvgm
