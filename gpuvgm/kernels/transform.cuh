// Transform on the device, four rows a thread: posterior, draw, position in the mode; the same steps in the same order
// as host_transform.hpp.
//
//   e_k = 2^(l_k - max l),  l_k = log2 of weight times density;  threshold = u (sum of e over the active + A floor);
//   mode = number of running sums of e_k + floor that do not exceed the threshold;  scalar = (y - mean) / width.
#pragma once
#include "quad.cuh"

namespace gpuvgm {
namespace {

// Parameters of a draw as they lie in one array of doubles: the rules, then four of each component (its mean, half
// precision and coefficient, and its width if it is active), then the cells of the active ones.
enum Rule { SCALE, CENTRE, FLOOR, LIMIT, MISSING_CELL, ACTIVE, RULES };

template <int K> struct DrawParameters {
    const double* at;  // (RULES + 5 K,), on a border of 16 bytes

    GPUVGM_FN double rule(int which) const { return at[which]; }
    GPUVGM_FN int active() const { return (int)at[ACTIVE]; }
    GPUVGM_FN double mean(int k) const { return at[RULES + 4 * k]; }
    GPUVGM_FN double width(int k) const { return at[RULES + 4 * k + 3]; }
    GPUVGM_FN double cell(int k) const { return at[RULES + 4 * K + k]; }
    GPUVGM_FN double density(double y, int k) const {
        const double2* pair = (const double2*)(at + RULES + 4 * k);
        const double2 shape = pair[0], level = pair[1];
        return log_density(y - shape.x, shape.y, level.x);
    }
};

constexpr int KEPT_COMPONENTS = 16;  // more are not kept in registers but computed again

// The same address, so that the compiler does not hold what lies there in registers over a whole loop.
GPUVGM_FN const double* reloaded(const double* address) {
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
template <int K> GPUVGM_FN int drawn_mode(const DrawParameters<K>& table, double y, double uniform, int active) {
    double top = -1e300, total = 0.0, threshold = 0.0, sum = 0.0;
    int mode = 0;
    if constexpr (K <= KEPT_COMPONENTS) {
        double share[K];
#pragma unroll
        for (int k = 0; k < K; ++k) {
            share[k] = table.density(y, k);
            top = maximum(share[k], top);
        }
#pragma unroll
        for (int k = 0; k < K; ++k) {
            share[k] = exp2_nonpositive(share[k] - top);
            total = total + share[k];
            threshold = k + 1 == active ? total : threshold;  // the active components come first
        }
        const double floor = table.rule(FLOOR) * total;
        threshold = uniform * fused((double)active, floor, threshold);
#pragma unroll
        for (int k = 0; k + 1 < K; ++k) {
            sum = sum + (share[k] + floor);
            mode = k + 1 < active && sum <= threshold ? k + 1 : mode;
        }
    } else {
#pragma unroll 1
        for (int k = 0; k < K; ++k) {
            top = maximum(table.density(y, k), top);
        }
#pragma unroll 1
        for (int k = 0; k < K; ++k) {
            total = total + exp2_nonpositive(table.density(y, k) - top);
            threshold = k + 1 == active ? total : threshold;
        }
        const double floor = table.rule(FLOOR) * total;
        threshold = uniform * fused((double)active, floor, threshold);
#pragma unroll 1
        for (int k = 0; k + 1 < active; ++k) {
            sum = sum + (exp2_nonpositive(table.density(y, k) - top) + floor);
            mode = sum <= threshold ? k + 1 : mode;
        }
    }
    return mode;
}

// The most probable active component; ties go to the lower index.
template <int K> GPUVGM_FN int most_probable_mode(const DrawParameters<K>& table, double y, int active) {
    double top = -1.7976931348623157e308;
    int mode = 0;
#pragma unroll
    for (int k = 0; k < (K <= KEPT_COMPONENTS ? K : 0); ++k) {
        const double density = table.density(y, k);
        const bool better = k < active && !(density <= top);
        mode = better ? k : mode;
        top = better ? density : top;
    }
#pragma unroll 1
    for (int k = 0; K > KEPT_COMPONENTS && k < active; ++k) {
        const double density = table.density(y, k);
        mode = density <= top ? mode : k;
        top = maximum(density, top);
    }
    return mode;
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

// Rows 4 i - skip ... 4 i - skip + 3, where skip = first_row % 4.
template <int K, int RANDOMNESS, class X, class Scalar, class CellIndex>
GPUVGM_FN void transform_quad(i64 i, const X* x, i64 rows, const double* parameters, const double* given, u64 seed,
                              u64 column, u64 first_row, Scalar* scalar, CellIndex* cell) {
    const int active = DrawParameters<K>{parameters}.active();
    const i64 first = QUAD * i - (i64)(first_row % QUAD);
    double values[QUAD], uniforms[QUAD] = {}, scalars[QUAD] = {};
    u32 cells[QUAD] = {};
    read_quad(x, first, rows, 0.0, values);
    if (RANDOMNESS == GENERATOR) {
        draw_quad(first_row / QUAD + (u64)i, column, seed, uniforms);
    } else if (RANDOMNESS == GIVEN) {
        read_quad(given, first, rows, 0.0, uniforms);
    }
    // drawn rows one at a time: their components keep the machine busy, and more would not fit the registers
    constexpr int GROUP = RANDOMNESS == NONE ? QUAD : 1;
#pragma unroll 1
    for (int done = 0; done < QUAD; done += GROUP) {
        const DrawParameters<K> table{reloaded(parameters)};
#pragma unroll
        for (int j = 0; j < GROUP; ++j) {
            const double y = values[j] * table.rule(SCALE) - table.rule(CENTRE);
            const int mode = RANDOMNESS == NONE ? most_probable_mode<K>(table, y, active)
                                                : drawn_mode<K>(table, y, uniforms[j], active);
            const double z = position_in_mode(y, table.mean(mode), table.width(mode), table.rule(LIMIT));
            scalars[j] = select_finite(values[j], z, 0.0);
            cells[j] = (u32)(int)select_finite(values[j], table.cell(mode), table.rule(MISSING_CELL));
        }
        rotate<GROUP>(values);
        rotate<GROUP>(uniforms);
        rotate<GROUP>(scalars);
        rotate<GROUP>(cells);
    }
    write_quad(scalars, first, rows, scalar);
    write_quad(cells, first, rows, cell);
}

}  // namespace
}  // namespace gpuvgm
