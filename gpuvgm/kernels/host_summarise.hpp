// One pass over the rows of a column: count, first and second moment of the position in every cell of the grid.
#pragma once
#include "host.hpp"
#include "lanes.hpp"

namespace gpuvgm {
namespace {

constexpr int BATCH = 256;
constexpr u64 ONE_ROW = u64(1) << 42;
constexpr u64 SPLIT_MARK = u64(1) << 63;
constexpr u32 SPARE_CELL = (u32)(OUTER_CELLS - 64);  // 64 cells of NaN keys, where rows with the hot key spread out

typedef u64 Pair __attribute__((vector_size(16), may_alias));

// Where the rows of a batch go: their cell, and what they add to it.
struct Addresses {
    alignas(64) u64 key[BATCH];
    alignas(64) u32 cell[BATCH];
    alignas(64) u64 amount[2 * BATCH];
};

GPUVGM_FN void address(const DirectoryEntry* directory, u64 key, uint8_t* touched, u32* cell, u64* position) {
    const DirectoryEntry& entry = directory[key >> 48];
    const u64 units = (key - entry.start) >> entry.drop, inner = units >> entry.bits;
    if (__builtin_expect(inner <= entry.last, 1)) {
        *cell = entry.first + (u32)inner;
        *position = units & ((u64(1) << entry.bits) - 1);
    } else {
        *cell = (u32)outer_cell(key);
        *position = outer_position(key);
        touched[key >> 48] = 1;
    }
}

#if defined(__AVX512F__)
// The same for eight keys: two gathers bring the entries, all else is arithmetic in registers.
GPUVGM_FN void address_eight(const DirectoryEntry* directory, const u64* keys, uint8_t* touched, u32* cells, u64* positions) {
    const __m512i key = _mm512_load_si512(keys), at = _mm512_slli_epi64(_mm512_srli_epi64(key, 48), 1);
    const __m512i start = _mm512_i64gather_epi64(at, (const long long*)directory, 8);
    const __m512i packed = _mm512_i64gather_epi64(at, (const long long*)directory + 1, 8);
    const __m512i bits = _mm512_srli_epi64(packed, 56);
    const __m512i drop = _mm512_and_si512(_mm512_srli_epi64(packed, 48), _mm512_set1_epi64(0xFF));
    const __m512i last = _mm512_and_si512(_mm512_srli_epi64(packed, 32), _mm512_set1_epi64(0xFFFF));
    const __m512i first = _mm512_and_si512(packed, _mm512_set1_epi64(0xFFFFFFFF));
    const __m512i units = _mm512_srlv_epi64(_mm512_sub_epi64(key, start), drop), inner = _mm512_srlv_epi64(units, bits);
    const __mmask8 inside = _mm512_cmple_epu64_mask(inner, last);
    __m512i cell = _mm512_add_epi64(first, inner), position = _mm512_sub_epi64(units, _mm512_sllv_epi64(inner, bits));
    if (__builtin_expect(inside != 0xFF, 0)) {
        const __m512i outer = _mm512_and_si512(_mm512_srli_epi64(key, 22), _mm512_set1_epi64(0xFFFFF));
        cell = _mm512_mask_blend_epi64(inside, _mm512_srli_epi64(key, 42), cell);
        position = _mm512_mask_blend_epi64(inside, outer, position);
        for (int l = 0; l < LANES; ++l) {
            if (!(inside >> l & 1)) {
                touched[keys[l] >> 48] = 1;
            }
        }
    }
    _mm256_store_si256((__m256i*)cells, _mm512_cvtepi64_epi32(cell));
    _mm512_storeu_si512(positions, position);
}
#else
GPUVGM_FN void address_eight(const DirectoryEntry* directory, const u64* keys, uint8_t* touched, u32* cells, u64* positions) {
    for (int l = 0; l < LANES; ++l) {
        address(directory, keys[l], touched, &cells[l], &positions[l]);
    }
}
#endif

// Rows of split cells that lie above a midpoint move to the part that belongs to it.
inline void settle_splits(const GridTable& grid, const Addresses& at, int from, int count, Cell* cells) {
    for (int j = from; j < from + count; ++j) {
        if (!(cells[at.cell[j]].second & SPLIT_MARK)) {
            continue;
        }
        for (int64_t s = grid.split_count - 1; s >= 0; --s) {
            if (grid.splits[s].parent == at.cell[j] && at.key[j] >= grid.splits[s].midpoint) {
                Cell &lower = cells[at.cell[j]], &upper = cells[grid.splits[s].upper];
                lower.count_and_first -= at.amount[2 * j];
                lower.second -= at.amount[2 * j + 1];
                upper.count_and_first += at.amount[2 * j];
                upper.second += at.amount[2 * j + 1];
                break;
            }
        }
    }
}

// Adds the batch's amounts to its cells; every eight rows the marks of the cells met are looked at.
inline void add_to_cells(const GridTable& grid, const Addresses& at, int count, Cell* cells) {
    for (int j = 0; j < count; j += LANES) {
        Pair met = {0, 0};
        const int end = count - j < LANES ? count - j : LANES;
        for (int l = 0; l < end; ++l) {
            Pair* cell = (Pair*)&cells[at.cell[j + l]];
            const Pair sum = *cell + *(const Pair*)&at.amount[2 * (j + l)];
            *cell = sum;
            met |= sum;
        }
        if (__builtin_expect((met[1] & SPLIT_MARK) != 0, 0)) {
            settle_splits(grid, at, j, end, cells);
        }
    }
}

// Keys of a batch; what there is to say of the values themselves goes into the tally.
GPUVGM_FN void keys_of(const double* x, int count, const GridTable& grid, u64* keys, Tally* tally) {
    double low = tally->minimum, high = tally->maximum;
    int64_t missing = 0, infinite = 0;
    for (int j = 0; j < count; ++j) {
        const double v = x[j], gone = v - v;
        const bool finite = gone == 0.0;
        missing += v != v;
        infinite += !finite;
        low = finite && v < low ? v : low;
        high = finite && v > high ? v : high;
        keys[j] = ordered_key((v * grid.scale - grid.centre) + 0.0);
    }
    tally->minimum = low;
    tally->maximum = high;
    tally->missing += missing;
    tally->infinite += infinite - missing;
}

// The rows that all have the hot key, as one addition; the spare cells they were sent to are wiped.
inline void settle_hot_rows(const GridTable& grid, int64_t rows, uint8_t* touched, Cell* cells) {
    __builtin_memset(cells + SPARE_CELL, 0, sizeof(Cell) * 64);
    if (rows == 0) {
        return;
    }
    u32 cell;
    u64 position;
    address((const DirectoryEntry*)grid.directory, grid.hot_key, touched, &cell, &position);
    for (int64_t s = grid.split_count - 1; s >= 0; --s) {
        if (grid.splits[s].parent == cell && grid.hot_key >= grid.splits[s].midpoint) {
            cell = grid.splits[s].upper;
            break;
        }
    }
    cells[cell].count_and_first += (u64)rows * (position + ONE_ROW);
    cells[cell].second += (u64)rows * (position * position);
}

// At most WINDOW_ROWS rows. Keys of NaN and infinity fall into outer cells that no finite number has.
void summarise(const double* x, int64_t rows, const GridTable& grid, Cell* cells, uint8_t* touched, Tally* tally) {
    const DirectoryEntry* directory = (const DirectoryEntry*)grid.directory;
    Addresses at;
    alignas(64) u64 position[BATCH];
    for (int j = 0; j < BATCH; ++j) {
        at.key[j] = 0;
    }
    int64_t hot_rows = 0;
    for (int64_t i = 0; i < rows; i += BATCH) {
        const int count = (int)(rows - i < BATCH ? rows - i : BATCH);
        keys_of(x + i, count, grid, at.key, tally);
        for (int j = 0; j < BATCH; j += LANES) {
            address_eight(directory, at.key + j, touched, at.cell + j, position + j);
        }
        int64_t hot = 0;
        for (int j = 0; j < count; ++j) {
            const bool is_hot = at.key[j] == grid.hot_key;
            hot += is_hot;
            at.cell[j] = is_hot ? SPARE_CELL + (j & 63) : at.cell[j];
        }
        hot_rows += hot;
        for (int j = 0; j < count; ++j) {
            at.amount[2 * j] = position[j] + ONE_ROW;
            at.amount[2 * j + 1] = (u64)(u32)position[j] * (u32)position[j];
        }
        add_to_cells(grid, at, count, cells);
    }
    settle_hot_rows(grid, hot_rows, touched, cells);
}

}  // namespace
}  // namespace gpuvgm
