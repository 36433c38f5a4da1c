// One pass over the values of a column: count, first and second moment of the position in every cell of the grid, rows
// of each modal value, rows off the step, and both ends.
//
//     y   = (number * scale - centre) + 0.0,   key = ordered_key(y)
//     (cell, position) by the grid's directory; a part of the cell where a midpoint splits it
//     sums of the cell += 1, position, position^2
//
// A launch adds a few windows of rows, each to its own table of the inner cells: two words a cell are enough for a
// window (see cell_table.cuh). carry.cuh then moves the tables into the totals. Outer cells, which few rows fall into,
// are added to the totals themselves. Integers add up to the same in any order, so neither launches nor windows show in
// them.
//
// Rows of one cell would wait for each other in global memory. So rows with the hot key are counted, neighbours in one
// cell are added up first, and cells that many rows fell into before (`frequent`, at most one a slot) are summed in
// shared memory, in words of 32 bits, for which there are instructions.
//
// Constants: GPUVGM_BLOCKS (of a multiprocessor, at a time), and those of values.cuh.
#pragma once
#include "cell_table.cuh"
#include "values.cuh"

namespace gpuvgm {
namespace {

constexpr int THREADS = 256;
constexpr u32 SEVERAL = 0xFFFFFFFFu;  // more than one split cell has this slot
constexpr int MODAL_SLOTS = 256;      // modal values whose rows a block adds up
enum Apart { MISSING, INFINITE, LEAST, MOST, OCCUPIED, OFF_STEP, FIRST_MODAL = 8 };  // what is counted apart from cells

// What is known beforehand of the cells of a slot: one that many rows fall into, one that is split; 0 for none.
struct Slot {
    u32 frequent, split;
};

// Sums of the frequent cells while a block adds to them: the two words of a cell of the table in halves.
struct Frequent {
    u32 count_and_first[2][SLOTS], second[2][SLOTS];
};

GPUVGM_FN void add_halves(u32* low, u32* high, u64 amount) {
    const u32 old = atomicAdd(low, (u32)amount);
    atomicAdd(high, (u32)(amount >> 32) + (old + (u32)amount < old ? 1u : 0u));
}

// What a block finds besides cells.
struct Found {
    u32 missing, infinite, off_step, hot_rows;
    u32 lowest[2], highest[2];  // halves of numbers with the order of values, low first
};

struct Splits {
    const u64* midpoints;  // (count,) ascending
    const u32* parents;    // (count,)
    int count;
    u32 first_part;

    // The cell or its part that holds `key`: the last midpoint inside the cell that is not above the key counts.
    GPUVGM_FN u32 settle(u32 cell, u64 key) const {
        for (int s = count - 1; s >= 0; --s) {
            if (parents[s] == cell && key >= midpoints[s]) {
                return first_part + (u32)s;
            }
        }
        return cell;
    }
};

// Rows of one cell, one after the other, that a thread has not added to the cell yet.
struct Pending {
    u32 cell;
    bool frequent;
    u64 count_and_first, second;

    GPUVGM_FN void add(Frequent& sums, const CellTable& table) const {
        if (frequent) {
            const u32 slot = cell % SLOTS;
            add_halves(&sums.count_and_first[0][slot], &sums.count_and_first[1][slot], count_and_first);
            add_halves(&sums.second[0][slot], &sums.second[1][slot], second);
        } else if (cell != 0) {
            table.add(cell, count_and_first, second);
        }
    }
};

// Rows of one modal value, one after the other but for others, that a thread has not counted yet.
struct ModalRows {
    int index;
    u32 rows;

    GPUVGM_FN void add(u32* of_block, u64* of_all) const {
        if (rows != 0 && index < MODAL_SLOTS) {
            atomicAdd(of_block + index, rows);
        } else if (rows != 0) {
            atomicAdd(of_all + index, (u64)rows);
        }
    }
};

// Smallest and largest key of the block's threads, in two rounds of 32 bits.
GPUVGM_FN void join_keys(u64 lowest, u64 highest, Found& found) {
    atomicMin(&found.lowest[1], (u32)(lowest >> 32));
    atomicMax(&found.highest[1], (u32)(highest >> 32));
    __syncthreads();
    if ((u32)(lowest >> 32) == found.lowest[1]) {
        atomicMin(&found.lowest[0], (u32)lowest);
    }
    if ((u32)(highest >> 32) == found.highest[1]) {
        atomicMax(&found.highest[0], (u32)highest);
    }
    __syncthreads();
}

GPUVGM_FN u64 joined(const u32* halves) { return (u64)halves[1] << 32 | halves[0]; }

}  // namespace
}  // namespace gpuvgm

// x: values `first` ... `first + rows` - 1 of it are added, `window_rows` to a window, by `window_blocks` blocks each.
// missing: (all rows,) mask, or anything; rules: see `Rules`. directory: (2^16, 2), see DirectoryEntry; midpoints,
// parents: (split_count,); frequent: (SLOTS,), the cell in the low half; split_cells: (SLOTS,). hot_cell, hot_position:
// where rows with the hot key belong. tables: (windows, cells - 2^22, 2); totals: (cells, 4); apart: numbers of rows,
// and the order of the least and the largest value, see `Apart`.
extern "C" GPUVGM_KERNEL_TOGETHER(256, GPUVGM_BLOCKS)
    GPUVGM_NAME(const GPUVGM_VALUE* x, const unsigned char* missing, const unsigned long long* rules, long long first,
                long long rows, int window_rows, int window_blocks, double scale, double centre,
                const unsigned long long* directory, const unsigned long long* midpoints, const unsigned int* parents,
                int split_count, unsigned int cells, const unsigned int* split_cells, unsigned long long hot_key,
                unsigned int hot_cell, unsigned int hot_position, const unsigned long long* frequent,
                unsigned long long* tables, unsigned long long* totals, unsigned int* touched,
                unsigned long long* apart) {
    using namespace gpuvgm;
    GPUVGM_SHARED Slot slots[SLOTS];
    GPUVGM_SHARED Frequent sums;
    GPUVGM_SHARED Found found;
    GPUVGM_SHARED u32 modal_rows[GPUVGM_MODAL ? MODAL_SLOTS : 1];
    const int t = (int)threadIdx.x;
    for (int s = t; s < SLOTS; s += THREADS) {
        slots[s] = {(u32)frequent[s], split_cells[s]};
        sums.count_and_first[0][s] = sums.count_and_first[1][s] = sums.second[0][s] = sums.second[1][s] = 0;
    }
    if (GPUVGM_MODAL && t < MODAL_SLOTS) {
        modal_rows[t] = 0;
    }
    if (t == 0) {
        found = {0, 0, 0, 0, {~0u, ~0u}, {0, 0}};
    }
    __syncthreads();
    const Splits splits{midpoints, parents, split_count, cells - (u32)split_count};
    const int block = (int)blockIdx.x % window_blocks;
    const i64 window = (int)blockIdx.x / window_blocks, before = window * window_rows;
    const CellTable table{tables + 2 * window * (cells - OUTER_CELLS), totals, touched};
    const GPUVGM_VALUE* from = x + first + before;
    const unsigned char* mask = missing + first + before;
    const int count = rows - before < window_rows ? (int)(rows - before) : window_rows;
    const int skip = (int)((size_t)from / sizeof(GPUVGM_VALUE) % QUAD);  // fours begin where four values are aligned
    const int fours = (count + skip + QUAD - 1) / QUAD, each = (fours + window_blocks - 1) / window_blocks;
    const int end = ((block + 1) * each < fours ? (block + 1) * each : fours) * QUAD - skip;
    const Rules& of = *(const Rules*)rules;
    u32 missing_rows = 0, off_step = 0, hot_rows = 0;
    u64 lowest = ~(u64)0, highest = 0;
    Pending pending{0, false, 0, 0};
    ModalRows modal{0, 0};
    for (int start = (block * each + t) * QUAD - skip; start < end; start += THREADS * QUAD) {
        Value values[QUAD];
        u32 masked[QUAD] = {};
        if (start >= 0 && start + QUAD <= count) {
            load_four(from + start, values);
        } else {
#pragma unroll
            for (int j = 0; j < QUAD; ++j) {
                const bool there = start + j >= 0 && start + j < count;
                values[j] = there ? converted<Value>(from[start + j]) : (Value)(ARE_FLOATS ? not_a_number() : 0.0);
                masked[j] = !ARE_FLOATS && !there;
                missing_rows -= !there;
            }
        }
        if constexpr (GPUVGM_MISSING) {
            read_quad(mask, start, count, 1u, masked);
        }
        hide_missing(values, masked);
#pragma unroll
        for (int j = 0; j < QUAD; ++j) {
            GPUVGM_REREAD;  // so that rows are not worked on side by side: registers do not hold what four need
            const Value value = values[j];
            const bool there = is_there(masked[j]);
            if constexpr (GPUVGM_MODAL) {
                const int index = there ? of.modal_code(value) : -1;
                if (index >= 0) {
                    if (index != modal.index) {
                        modal.add(modal_rows, apart + FIRST_MODAL);
                        modal = {index, 0};
                    }
                    ++modal.rows;
                    continue;
                }
            }
            if constexpr (GPUVGM_STEP) {
                off_step += there && of.is_off(value);
            }
            double number = of.curve(of.distance(value));
            number = there ? number : not_a_number();
            const double y = (number * scale - centre) + 0.0;
            const u64 key = ordered_key(y);
            if (!is_finite(y)) {
                missing_rows += is_nan(number);
                if (MAY_BE_INFINITE && is_infinite(number)) {
                    atomicAdd(&found.infinite, 1u);
                }
                continue;
            }
            const u64 own = order_of(value);
            lowest = own < lowest ? own : lowest;
            highest = own > highest ? own : highest;
            if (key == hot_key) {
                ++hot_rows;
                continue;
            }
            Place place = place_of(directory, key);
            Slot slot = slots[place.cell % SLOTS];
            if (slot.split == place.cell || slot.split == SEVERAL) {
                place.cell = splits.settle(place.cell, key);
                slot = slots[place.cell % SLOTS];
            }
            const u64 amount = ONE_ROW + place.position, square = (u64)place.position * place.position;
            if (place.cell == pending.cell) {
                pending.count_and_first += amount;
                pending.second += square;
            } else {
                pending.add(sums, table);
                pending = {place.cell, slot.frequent == place.cell, amount, square};
            }
        }
    }
    pending.add(sums, table);
    if constexpr (GPUVGM_MODAL) {
        modal.add(modal_rows, apart + FIRST_MODAL);
    }
    if (missing_rows != 0) {
        atomicAdd(&found.missing, missing_rows);
    }
    if (off_step != 0) {
        atomicAdd(&found.off_step, off_step);
    }
    if (hot_rows != 0) {
        atomicAdd(&found.hot_rows, hot_rows);
    }
    join_keys(lowest, highest, found);
    for (int s = t; s < SLOTS; s += THREADS) {
        const u64 count_and_first = (u64)sums.count_and_first[1][s] << 32 | sums.count_and_first[0][s];
        if (count_and_first != 0) {
            table.add(slots[s].frequent, count_and_first, (u64)sums.second[1][s] << 32 | sums.second[0][s]);
        }
    }
    if (t == 0) {
        if (found.hot_rows != 0) {
            const u64 squares = (u64)found.hot_rows * ((u64)hot_position * hot_position);
            table.add(hot_cell, found.hot_rows * (ONE_ROW + hot_position), squares);
        }
        atomicAdd(apart + MISSING, (u64)(i64)(int)found.missing);
        atomicAdd(apart + INFINITE, (u64)found.infinite);
        atomicMin(apart + LEAST, joined(found.lowest));
        atomicMax(apart + MOST, joined(found.highest));
        if (GPUVGM_STEP) {
            atomicAdd(apart + OFF_STEP, (u64)found.off_step);
        }
    }
    if (GPUVGM_MODAL && t < MODAL_SLOTS && modal_rows[t] != 0) {
        atomicAdd(apart + FIRST_MODAL + t, (u64)modal_rows[t]);
    }
}
