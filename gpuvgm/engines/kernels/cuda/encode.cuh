// Values to scalars and codes, four rows a thread: posterior, draw, position in the mode, another mode where this one
// does not hold the row, and counts of rows that the fit had not seen; the steps of `Engine.encode`.
//
//   e_k = 2^(l_k - max l),  l_k = log2 of weight times density;  threshold = u (sum of e over the active + A floor);
//   mode = number of running sums of e_k + floor that do not exceed the threshold;  scalar = deviation / width.
//
// Constants: GPUVGM_SCALAR and GPUVGM_CODE (types of the results), GPUVGM_COMPONENTS, GPUVGM_RANDOMNESS (a Randomness),
// GPUVGM_HOLDS (1 where there is a coverage, else 0), and those of values.cuh.
#pragma once
#include "values.cuh"

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

// What modes are drawn by, then six doubles a component: mean, half precision and coefficient, its width and code if it
// is active.
struct DrawTable {
    double limit, active, missing_code, floor, scale, centre;
    double low, high;       // ends of the training range
    double least, largest;  // the same, but finite
    u64 usual;              // upper words of sizes of scalars from 2^-126 on that are at no end, less that of 2^-126

    GPUVGM_FN const double2* pairs(int k) const { return (const double2*)(this + 1) + 3 * k; }
    GPUVGM_FN Component component(int k) const {
        const double2 shape = pairs(k)[0], level = pairs(k)[1];
        return {shape.x, shape.y, level.x};
    }
    GPUVGM_FN Mode mode(int k) const {
        const double2* pair = pairs(k);
        return {pair[0].x, pair[1].y, pair[2].x};
    }
    GPUVGM_FN double row(double number) const { return number * scale - centre; }

    // Whether a row lies in the training range, its scalar at no end of its mode and not so near to its middle that the
    // scalar is 0: upper words tell, but for rows next to the ends.
    GPUVGM_FN bool is_usual(double number, double position) const {
        const u32 size = (u32)__double2hiint(position) & 0x7FFFFFFFu;
        return (number >= least) & (number <= largest) & (size - 0x38100000u < (u32)usual);
    }
};

struct HoldMode {
    double mean, width, coefficient, half_precision, code;
};

// A `Coverage`, then its modes, active components first.
struct HoldTable {
    double limit, scale, centre, modes, active, unused;

    GPUVGM_FN HoldMode mode(int index) const { return ((const HoldMode*)(this + 1))[index]; }
    GPUVGM_FN double row(double number) const { return number * scale - centre; }
    GPUVGM_FN bool holds(const HoldMode& mode, double y) const { return fabs(y - mode.mean) <= limit * mode.width; }

    // Of the components that hold a row the likeliest, else the narrowest tail mode that does, else the nearest mode.
    GPUVGM_FN int other(double y) const {
        int likeliest = -1, narrowest = -1, nearest = 0;
        double highest = 0, least_reach = 0, least_gap = 0;
#pragma unroll 1
        for (int index = 0; index < (int)modes; ++index) {
            const HoldMode own = mode(index);
            const double away = fabs(y - own.mean), reach = limit * own.width, gap = away - reach;
            if (index == 0 || gap < least_gap) {
                nearest = index;
                least_gap = gap;
            }
            if (!(away <= reach)) {
                continue;
            }
            if (index >= (int)active) {
                const bool narrower = narrowest < 0 || reach < least_reach;
                narrowest = narrower ? index : narrowest;
                least_reach = narrower ? reach : least_reach;
                continue;
            }
            const double density = own.coefficient - own.half_precision * (away * away);
            if (likeliest < 0 || density > highest) {
                likeliest = index;
                highest = density;
            }
        }
        return likeliest >= 0 ? likeliest : narrowest >= 0 ? narrowest : nearest;
    }
};

constexpr double GAP = 1.0009765625;  // reaches of a mode, as in engines/encode.py

// ---- rows that the fit had not seen --------------------------------------------------------------------------------

enum Sort { INFINITE, MISSING, OUTSIDE, CLIPPED, OFF_STEP, SORTS };

// Where the threads of a block count rows by sort.
struct Counts {
    u32 rows[SORTS];
    u64 first[SORTS];
};

// A thread's part in them. It works on its rows in their order, so that the first of a sort is the first that it meets.
struct Notes {
    Counts& counts;
    i64 rows;
    u32 met;  // sorts, a bit each

    GPUVGM_FN void note(int sort, i64 row) {
        if (row < 0 || row >= rows) {
            return;
        }
        atomicAdd(&counts.rows[sort], 1u);
        if (!(met >> sort & 1u)) {
            met |= 1u << sort;
            atomicMin(&counts.first[sort], (u64)row);
        }
    }
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
template <int K> GPUVGM_FN int drawn_mode(const DrawTable& table, double row, double uniform, int active) {
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
        const double floor = table.floor * total;
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
        const double floor = table.floor * total;
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
GPUVGM_FN void most_probable_modes(const DrawTable& table, const double (&row)[ROWS], int active, int (&mode)[ROWS]) {
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

// Whether so many rows may have no number that it is worth a look before modes are drawn.
constexpr bool OFTEN_LACKING = GPUVGM_MISSING || GPUVGM_MODAL || GPUVGM_SCALE != LINEAR;

// Rows that a thread works on side by side. Drawn ones keep the machine busy with their own components, and more would
// not fit the registers; the others share what they load.
GPUVGM_FN constexpr int rows_at_once(int randomness) { return randomness == NONE ? QUAD : 1; }

// ---- a row ---------------------------------------------------------------------------------------------------------

// A row that a mode was drawn for.
struct Drawn {
    double number, position;  // the position as it is, beyond the limit too
    int mode;
    i64 row;
};

// Scalar and code of a row with a number that is not `is_usual`.
GPUVGM_FN void settle(const DrawTable& table, const HoldTable& coverage, const Drawn& drawn, Notes& notes,
                      double& scalar, double& code) {
    GPUVGM_REREAD;  // so that nothing of this is computed for all rows
    const bool outside = drawn.number < table.low || drawn.number > table.high;
    if (outside) {
        notes.note(OUTSIDE, drawn.row);
    }
    if (MAY_BE_NO_NUMBER && !is_finite(drawn.number)) {
        notes.note(is_nan(drawn.number) ? MISSING : INFINITE, drawn.row);
        scalar = 0.0;
        code = table.missing_code;
        return;
    }
    scalar = kept_position(drawn.position, table.limit);
    const double written = converted<double>(converted<GPUVGM_SCALAR>(scalar));
    if (fabs(written) < converted<double>(converted<GPUVGM_SCALAR>(table.limit))) {
        return;
    }
    if constexpr (GPUVGM_HOLDS) {
        const double y = coverage.row(drawn.number), limit = coverage.limit;
        const int index = coverage.holds(coverage.mode(drawn.mode), y) ? drawn.mode : coverage.other(y);
        const HoldMode mode = coverage.mode(index);
        const double place = (y - mode.mean) / mode.width;
        if (index != drawn.mode) {
            scalar = place < -limit ? -limit : place > limit ? limit : place;
            code = mode.code;
        }
        if (!(fabs(place) >= (outside ? limit : GAP * limit))) {
            return;
        }
    }
    notes.note(CLIPPED, drawn.row);
}

}  // namespace
}  // namespace gpuvgm

// values: (rows,); missing: (rows,) mask, or anything; parameters: `Rules`, `DrawTable` and its components, `HoldTable`
// and its modes; given: (rows,) uniforms, or anything; found: (SORTS, 2) of how many rows there are, to begin with 0,
// and the first, to begin with the largest number. A thread takes rows 4 i - skip ... 4 i - skip + 3, skip = first_row
// % 4.
extern "C" GPUVGM_KERNEL_TOGETHER(128, 6)
    GPUVGM_NAME(const GPUVGM_VALUE* values, const unsigned char* missing, long long rows, const double* parameters,
                const double* given, unsigned long long seed, unsigned long long column, unsigned long long first_row,
                GPUVGM_SCALAR* scalar, GPUVGM_CODE* code, unsigned long long* found) {
    using namespace gpuvgm;
    GPUVGM_SHARED Counts counts;
    const u32 thread = threadIdx.x;
    if (thread < SORTS) {
        counts.rows[thread] = 0;
        counts.first[thread] = ~(u64)0;
    }
    __syncthreads();
    constexpr int GROUP = rows_at_once(GPUVGM_RANDOMNESS);
    const Rules& rules = *(const Rules*)parameters;
    const DrawTable& draw = *(const DrawTable*)(&rules + 1);
    const HoldTable& coverage = *(const HoldTable*)draw.pairs(GPUVGM_COMPONENTS);
    Notes notes{counts, rows, 0};
    const i64 begin = QUAD * ((i64)blockIdx.x * blockDim.x + thread) - (i64)(first_row % QUAD);
#pragma unroll 1
    for (i64 first = begin; first < rows; first += QUAD * (i64)gridDim.x * blockDim.x) {
        Value own[QUAD];
        u32 masked[QUAD] = {};
        double numbers[QUAD];        // a row's scalar takes the place of its number,
        double uniforms[QUAD] = {};  // and its code that of its uniform
        u32 modal = 0, off = 0;      // rows with a modal value, and off the step, a bit each
        read_quad(values, first, rows, (Value)0, own);
        if constexpr (GPUVGM_MISSING) {
            read_quad(missing, first, rows, 0u, masked);
        }
        hide_missing(own, masked);
        if constexpr (GPUVGM_RANDOMNESS == GENERATOR) {
            draw_quad((first_row + (u64)first) / QUAD, column, seed, uniforms);
        } else if constexpr (GPUVGM_RANDOMNESS == GIVEN) {
            read_quad(given, first, rows, 0.0, uniforms);
        }
#pragma unroll
        for (int j = 0; j < QUAD; ++j) {
            bool there = is_there(masked[j]);
            if constexpr (GPUVGM_MODAL) {
                const int modal_code = there ? rules.modal_code(own[j]) : -1;
                if (modal_code >= 0) {
                    uniforms[j] = modal_code;
                    modal |= 1u << j;
                    there = false;
                }
            }
            if constexpr (GPUVGM_STEP) {
                off |= there && rules.is_off(own[j]) ? 1u << j : 0u;
            }
            numbers[j] = there ? rules.distance(own[j]) : not_a_number();
        }
#pragma unroll 1
        for (int done = 0; done < QUAD; done += GROUP) {
            const DrawTable& table = *reloaded(&draw);
            const int active = (int)table.active;
            double row[GROUP];
            int mode[GROUP] = {};
#pragma unroll
            for (int j = 0; j < GROUP; ++j) {
                if (GPUVGM_STEP && (off >> j & 1u)) {
                    notes.note(OFF_STEP, first + done + j);
                }
                numbers[j] = rules.curve(numbers[j]);
                row[j] = table.row(numbers[j]);
            }
            if constexpr (GPUVGM_RANDOMNESS == NONE) {
                most_probable_modes(table, row, active, mode);
            } else if (!OFTEN_LACKING || is_finite(numbers[0])) {
                mode[0] = drawn_mode<GPUVGM_COMPONENTS>(table, row[0], uniforms[0], active);
            }
#pragma unroll
            for (int j = 0; j < GROUP; ++j) {
                const Mode chosen = table.mode(mode[j]);
                double z = (row[j] - chosen.mean) / chosen.width;
                if (GPUVGM_MODAL && (modal >> j & 1u)) {
                    numbers[j] = 0.0;  // the code is there
                    continue;
                }
                uniforms[j] = chosen.code;
                if (!table.is_usual(numbers[j], z)) {
                    const Drawn drawn{numbers[j], z, mode[j], first + done + j};
                    settle(table, coverage, drawn, notes, z, uniforms[j]);
                }
                numbers[j] = z;
            }
            rotate<GROUP>(numbers);
            rotate<GROUP>(uniforms);
            modal >>= GROUP;
            off >>= GROUP;
        }
        u32 codes[QUAD];
#pragma unroll
        for (int j = 0; j < QUAD; ++j) {
            codes[j] = (u32)(int)uniforms[j];
        }
        write_quad(numbers, first, rows, scalar);
        write_quad(codes, first, rows, code);
    }
    __syncthreads();
    if (thread < SORTS && counts.rows[thread]) {
        atomicAdd(found + 2 * thread, (u64)counts.rows[thread]);
        atomicMin(found + 2 * thread + 1, counts.first[thread]);
    }
}
