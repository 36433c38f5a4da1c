// The cells of a grid on the device while rows are added to them.
//
// table: (inner cells and parts, 2) of count * 2^42 + sum of positions, and sum of their squares, of one window of
// rows. totals: (cells, 4) of count, sum of positions, and sum of their squares in two words (low, high). Outer cells
// come first; touched: (2^22 / SEGMENT,), 1 for every segment of them that a row fell into.
#pragma once
#include "../vgm_math.cuh"
#include "block.cuh"

namespace gpuvgm {
namespace {

constexpr u64 ONE_ROW = (u64)1 << 42;
constexpr u32 OUTER_CELLS = 1u << 22;
constexpr u32 SEGMENT = 1024;
constexpr u32 SLOTS = 1024;  // frequent cells, one at most for each remainder of cell / SLOTS

struct Place {
    u32 cell, position;
};

// Where a key belongs, splits left aside. directory: (2^16, 2), an entry of it as in DirectoryEntry.
GPUVGM_FN Place place_of(const u64* directory, u64 key) {
    const ulonglong2 entry = ((const ulonglong2*)directory)[key >> 48];
    const u32 first = (u32)entry.y, rest = (u32)(entry.y >> 32);
    const u32 last = rest & 0xFFFFu, drop = rest >> 16 & 0xFFu, bits = rest >> 24;
    const u64 units = (key - entry.x) >> drop, inner = units >> bits;
    if (inner <= last) {
        return {first + (u32)inner, (u32)units & ((1u << bits) - 1)};
    }
    return {(u32)outer_cell(key), (u32)outer_position(key)};
}

// Gives `work` every cell that may be occupied, a segment a block: outer ones that no row fell into are passed over.
template <class Work> GPUVGM_FN void each_cell(u32 cells, const u32* touched, Work work) {
    for (u32 first = blockIdx.x * SEGMENT; first < cells; first += gridDim.x * SEGMENT) {
        if (first < OUTER_CELLS && touched[first / SEGMENT] == 0) {
            continue;
        }
        const u32 end = first + SEGMENT < cells ? first + SEGMENT : cells;
        for (u32 cell = first + threadIdx.x; cell < end; cell += blockDim.x) {
            work(cell);
        }
    }
}

// A window's table and the totals, as many blocks add to them.
struct CellTable {
    u64 *table, *totals;
    u32* touched;

    GPUVGM_FN void add(u32 cell, u64 count_and_first, u64 second) const {
        if (cell >= OUTER_CELLS) {
            u64* sums = table + 2 * (u64)(cell - OUTER_CELLS);
            atomicAdd(sums, count_and_first);
            atomicAdd(sums + 1, second);
            return;
        }
        atomicOr(touched + cell / SEGMENT, 1u);
        u64* sums = totals + 4 * (u64)cell;
        atomicAdd(sums, count_and_first >> 42);
        atomicAdd(sums + 1, count_and_first & (ONE_ROW - 1));
        const u64 old = atomicAdd(sums + 2, second);
        if (old + second < old) {
            atomicAdd(sums + 3, (u64)1);
        }
    }
};

}  // namespace
}  // namespace gpuvgm
