// The cells of a grid on the device while rows are added to them.
//
// table: (cells, 2) of count * 2^42 + sum of positions, and sum of their squares, of the rows of one window.
// totals: (4, cells) of count, sum of positions, and sum of their squares in two words (low, high).
// touched: how many of the directory's entries have rows in outer cells, which they are, and a mark for each entry.
#pragma once
#include "block.cuh"
#include "vgm_math.cuh"

namespace gpuvgm {
namespace {

constexpr u64 ONE_ROW = (u64)1 << 42;
constexpr u32 OUTER_CELLS = 1u << 22, ENTRIES = 1u << 16, ENTRY_CELLS = 64;
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

// Remembers the entry of an outer cell.
GPUVGM_FN void touch(u32* touched, u32 cell) {
    const u32 entry = cell / ENTRY_CELLS;
    u32* mark = touched + 1 + ENTRIES + entry;
    if (*mark == 0 && atomicCAS(mark, 0u, 1u) == 0) {
        touched[1 + atomicAdd(touched, 1u)] = entry;
    }
}

GPUVGM_FN void add_cell(u64* table, u32* touched, u32 cell, u64 count_and_first, u64 second) {
    if (cell < OUTER_CELLS) {
        touch(touched, cell);
    }
    atomicAdd(table + 2 * (u64)cell, count_and_first);
    atomicAdd(table + 2 * (u64)cell + 1, second);
}

}  // namespace
}  // namespace gpuvgm
