// Rows that the mode drawn for them cannot hold are given to another, and rows that the fit had not seen are counted;
// the steps of engines/hold.py.
#pragma once
#include "../vgm_step.cuh"
#include "quad.cuh"

namespace gpuvgm {
namespace {

// Parameters as they lie in one array: the rules, then those of each mode, active components first.
enum HoldRule { SCALAR_LIMIT, LIMIT, HOLDS, LOW, HIGH, SCALE, CENTRE, MODES, ACTIVE, NUMERATOR, DENOMINATOR, BITS };
constexpr int HOLD_RULES = 12;
enum HoldMode { MEAN, WIDTH, COEFFICIENT, HALF_PRECISION, CODE, HOLD_MODE };
constexpr double GAP = 1.0009765625;  // reaches of a mode, as in engines/hold.py
enum Sort { INFINITE, MISSING, OUTSIDE, CLIPPED, OFF_STEP, SORTS };

struct Modes {
    const double* at;

    GPUVGM_FN double of(int mode, HoldMode part) const { return at[HOLD_RULES + HOLD_MODE * mode + part]; }
    GPUVGM_FN double reach(int mode) const { return at[LIMIT] * of(mode, WIDTH); }
    GPUVGM_FN double distance(int mode, double y) const { return fabs(y - of(mode, MEAN)); }
    GPUVGM_FN bool holds(int mode, double y) const { return distance(mode, y) <= reach(mode); }

    // The mode with a code.
    GPUVGM_FN int drawn(u32 code) const {
        int mode = 0;
        while (mode + 1 < (int)at[MODES] && (u32)of(mode, CODE) != code) {
            ++mode;
        }
        return mode;
    }

    // Of the components that hold a row the likeliest, else the narrowest tail mode that does, else the nearest mode.
    GPUVGM_FN int other(double y) const {
        const int modes = (int)at[MODES], active = (int)at[ACTIVE];
        int likeliest = -1, narrowest = -1, nearest = 0;
        double highest = 0;
#pragma unroll 1
        for (int mode = 0; mode < modes; ++mode) {
            const double away = distance(mode, y);
            if (away - reach(mode) < distance(nearest, y) - reach(nearest)) {
                nearest = mode;
            }
            if (!holds(mode, y)) {
                continue;
            }
            if (mode >= active) {
                narrowest = narrowest < 0 || reach(mode) < reach(narrowest) ? mode : narrowest;
                continue;
            }
            const double density = of(mode, COEFFICIENT) - of(mode, HALF_PRECISION) * (away * away);
            if (likeliest < 0 || density > highest) {
                likeliest = mode;
                highest = density;
            }
        }
        return likeliest >= 0 ? likeliest : narrowest >= 0 ? narrowest : nearest;
    }
};

// Rows of a thread by sort, and the first of each.
struct Noted {
    u32 rows[SORTS];
    u64 first[SORTS];

    GPUVGM_FN void note(int sort, bool held, i64 row) {
        rows[sort] += held ? 1u : 0u;
        first[sort] = held && (u64)row < first[sort] ? (u64)row : first[sort];
    }
};

// One ordinary row: its scalar and code are changed where its mode cannot hold it.
template <class Scalar, class Code>
GPUVGM_FN void hold_row(const Modes& modes, double number, double position, i64 row, Scalar* scalar, Code* code,
                        Noted& noted) {
    const double* rules = modes.at;
    const bool outside = !(number >= rules[LOW] && number <= rules[HIGH]);
    bool clipped = fabs(position) >= rules[SCALAR_LIMIT];
    if (clipped && rules[HOLDS] != 0) {
        const double y = number * rules[SCALE] - rules[CENTRE], limit = rules[LIMIT];
        const int drawn = modes.drawn(code[row]), mode = modes.holds(drawn, y) ? drawn : modes.other(y);
        const double held = (y - modes.of(mode, MEAN)) / modes.of(mode, WIDTH);
        if (mode != drawn) {
            scalar[row] = converted<Scalar>(held < -limit ? -limit : held > limit ? limit : held);
            code[row] = (Code)modes.of(mode, CODE);
        }
        clipped = fabs(held) >= (outside ? limit : GAP * limit);
    }
    noted.note(OUTSIDE, outside, row);
    noted.note(CLIPPED, clipped, row);
}

}  // namespace
}  // namespace gpuvgm

// parameters: (HOLD_RULES + HOLD_MODE modes,); off_step: (rows,), of `masked` rows, else anything; found: (SORTS, 2) of
// how many rows there are, to begin with 0, and the first, to begin with the largest number.
extern "C" GPUVGM_KERNEL(256)
    GPUVGM_NAME(const GPUVGM_X* x, long long rows, const double* parameters, const unsigned char* off_step, int masked,
                GPUVGM_SCALAR* scalar, GPUVGM_CODE* code, unsigned long long* found) {
    using namespace gpuvgm;
    GPUVGM_SHARED u64 together[2 * SORTS];
    const u32 thread = threadIdx.x;
    if (thread < 2 * SORTS) {
        together[thread] = thread % 2 ? ~(u64)0 : 0;
    }
    __syncthreads();
    const Modes modes{parameters};
    Noted noted;
#pragma unroll
    for (int sort = 0; sort < SORTS; ++sort) {
        noted.rows[sort] = 0;
        noted.first[sort] = ~(u64)0;
    }
    const i64 stride = (i64)gridDim.x * blockDim.x;
#pragma unroll 1
    for (i64 i = (i64)blockIdx.x * blockDim.x + thread; QUAD * i < rows; i += stride) {
        double numbers[QUAD], positions[QUAD];
        u32 off[QUAD] = {};
        read_quad(x, QUAD * i, rows, 0.0, numbers);
        read_quad(scalar, QUAD * i, rows, 0.0, positions);
        if (masked) {
            read_quad(off_step, QUAD * i, rows, 0u, off);
        }
#pragma unroll
        for (int j = 0; j < QUAD; ++j) {
            const i64 row = QUAD * i + j;
            const double number = numbers[j];
            if (row >= rows) {
                continue;
            }
            const bool missing = number != number;
            noted.note(MISSING, missing, row);
            if (missing) {
                continue;
            }
            noted.note(INFINITE, number - number != 0, row);
            hold_row(modes, number, positions[j], row, scalar, code, noted);
            if (parameters[NUMERATOR] != 0) {
                off[j] = is_off_step(number, parameters[NUMERATOR], parameters[DENOMINATOR], (int)parameters[BITS]);
            }
            noted.note(OFF_STEP, off[j] != 0, row);
        }
    }
#pragma unroll
    for (int sort = 0; sort < SORTS; ++sort) {
        if (noted.rows[sort]) {
            atomicAdd(together + 2 * sort, (u64)noted.rows[sort]);
            atomicMin(together + 2 * sort + 1, noted.first[sort]);
        }
    }
    __syncthreads();
    if (thread < SORTS && together[2 * thread]) {
        atomicAdd(found + 2 * thread, together[2 * thread]);
        atomicMin(found + 2 * thread + 1, together[2 * thread + 1]);
    }
}
