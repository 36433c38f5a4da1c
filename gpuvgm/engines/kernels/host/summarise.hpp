// One pass over the rows of a column: count, first and second moment of the position in every cell of the grid.
#pragma once
#include "host.hpp"
#include "lanes.hpp"
#include "row_rules.hpp"

namespace gpuvgm {
namespace {

constexpr int BATCH = RULED_ROWS;
constexpr int LAG = 32;  // rows between finding a cell and adding to it: arithmetic fills the waits for memory
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

// Addresses and amounts of eight rows. Rows with the hot key go to spare cells, spread so that no store waits for the
// one before; the number of them is returned.
#if defined(__AVX512F__)
// Eight entries of 16 bytes as eight starts and eight packed rests; plain loads are quicker than gathers.
GPUVGM_FN void load_entries(const void* directory, const u64* keys, __m512i* start, __m512i* packed) {
    const __m128i* entries = (const __m128i*)directory;
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14),
                  odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    __m512i half[2];
    for (int h = 0; h < 2; ++h) {
        const u64* four = keys + 4 * h;
        const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(entries + (four[0] >> 48))),
                                                    _mm_loadu_si128(entries + (four[1] >> 48)), 1);
        const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(entries + (four[2] >> 48))),
                                                     _mm_loadu_si128(entries + (four[3] >> 48)), 1);
        half[h] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
    *start = _mm512_permutex2var_epi64(half[0], even, half[1]);
    *packed = _mm512_permutex2var_epi64(half[0], odd, half[1]);
}

GPUVGM_FN int address_eight(const GridTable& grid, Addresses& at, int j, uint8_t* touched) {
    const __m512i key = _mm512_load_si512(at.key + j);
    __m512i start, packed;
    load_entries(grid.directory, at.key + j, &start, &packed);
    const __m512i bits = _mm512_srli_epi64(packed, 56);
    const __m512i drop = _mm512_and_si512(_mm512_srli_epi64(packed, 48), _mm512_set1_epi64(0xFF));
    const __m512i last = _mm512_and_si512(_mm512_srli_epi64(packed, 32), _mm512_set1_epi64(0xFFFF));
    const __m512i first = _mm512_and_si512(packed, _mm512_set1_epi64(0xFFFFFFFF));
    const __m512i units = _mm512_srlv_epi64(_mm512_sub_epi64(key, start), drop), inner = _mm512_srlv_epi64(units, bits);
    const __mmask8 inside = _mm512_cmple_epu64_mask(inner, last);
    const __mmask8 hot = _mm512_cmpeq_epi64_mask(key, _mm512_set1_epi64((long long)grid.hot_key));
    __m512i cell = _mm512_add_epi64(first, inner), position = _mm512_sub_epi64(units, _mm512_sllv_epi64(inner, bits));
    if (__builtin_expect(inside != 0xFF, 0)) {
        const __m512i outer = _mm512_and_si512(_mm512_srli_epi64(key, 22), _mm512_set1_epi64(0xFFFFF));
        cell = _mm512_mask_blend_epi64(inside, _mm512_srli_epi64(key, 42), cell);
        position = _mm512_mask_blend_epi64(inside, outer, position);
        for (int l = 0; l < LANES; ++l) {
            if (!(inside >> l & 1)) {
                touched[at.key[j + l] >> 48] = 1;
            }
        }
    }
    const __m512i lane = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    cell = _mm512_mask_add_epi64(cell, hot, lane, _mm512_set1_epi64(SPARE_CELL + (j & 56)));
    const __m512i one = _mm512_add_epi64(position, _mm512_set1_epi64((long long)ONE_ROW));
    const __m512i square = _mm512_mul_epu32(position, position);
    const __m512i low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11),
                  high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    _mm256_store_si256((__m256i*)(at.cell + j), _mm512_cvtepi64_epi32(cell));
    _mm512_store_si512(at.amount + 2 * j, _mm512_permutex2var_epi64(one, low, square));
    _mm512_store_si512(at.amount + 2 * j + 8, _mm512_permutex2var_epi64(one, high, square));
    return __builtin_popcount(hot);
}
#else
GPUVGM_FN int address_eight(const GridTable& grid, Addresses& at, int j, uint8_t* touched) {
    const DirectoryEntry* directory = (const DirectoryEntry*)grid.directory;
    int hot_rows = 0;
    for (int l = j; l < j + LANES; ++l) {
        u32 cell;
        u64 position;
        address(directory, at.key[l], touched, &cell, &position);
        const bool hot = at.key[l] == grid.hot_key;
        hot_rows += hot;
        at.cell[l] = hot ? SPARE_CELL + (u32)(l & 63) : cell;
        at.amount[2 * l] = position + ONE_ROW;
        at.amount[2 * l + 1] = (u64)(u32)position * (u32)position;
    }
    return hot_rows;
}
#endif

// The split of a cell at the last midpoint that is not above the key; null where its rows stay in the cell itself.
inline const Split* split_of(const GridTable& grid, u32 cell, u64 key) {
    int64_t low = 0, high = grid.split_count;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (grid.splits[middle].midpoint <= key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (int64_t s = low - 1; s >= 0 && (grid.splits[s].midpoint >> 48) == (key >> 48); --s) {
        if (grid.splits[s].parent == cell) {  // no cell reaches beyond its directory entry
            return grid.splits + s;
        }
    }
    return nullptr;
}

// Rows of split cells that lie above a midpoint move to the part that belongs to it.
inline void settle_splits(const GridTable& grid, const Addresses& at, int from, Cell* cells) {
    for (int j = from; j < from + LANES; ++j) {
        if (!(cells[at.cell[j]].second & SPLIT_MARK)) {
            continue;
        }
        if (const Split* split = split_of(grid, at.cell[j], at.key[j])) {
            Cell &lower = cells[at.cell[j]], &upper = cells[split->upper];
            lower.count_and_first -= at.amount[2 * j];
            lower.second -= at.amount[2 * j + 1];
            upper.count_and_first += at.amount[2 * j];
            upper.second += at.amount[2 * j + 1];
        }
    }
}

// Adds the amounts of eight rows to their cells, and looks at the marks of the cells met.
GPUVGM_FN void add_eight(const GridTable& grid, const Addresses& at, int j, Cell* cells) {
    Pair met = {0, 0};
    for (int l = j; l < j + LANES; ++l) {
        Pair* cell = (Pair*)&cells[at.cell[l]];
        const Pair sum = *cell + *(const Pair*)&at.amount[2 * l];
        *cell = sum;
        met |= sum;
    }
    if (__builtin_expect((met[1] & SPLIT_MARK) != 0, 0)) {
        settle_splits(grid, at, j, cells);
    }
}

// Keys of a batch; what there is to say of the values themselves goes into the tally.
GPUVGM_FN void keys_of(const double* x, const GridTable& grid, u64* keys, Tally* tally) {
    Lanes low = splat(tally->minimum), high = splat(tally->maximum), missing = splat(0.0), finite = splat(0.0);
    const Lanes scale = splat(grid.scale), centre = splat(grid.centre), zero = splat(0.0), one = splat(1.0);
    for (int j = 0; j < BATCH; j += LANES) {
        const Lanes v = load(x + j);
        low = minimum(select_finite(v, v, low), low);
        high = maximum(select_finite(v, v, high), high);
        finite = finite + select_finite(v, one, zero);
        missing = missing + select_le(v, v, zero, one);
        double y[LANES];
        store(y, (v * scale - centre) + zero);
        for (int l = 0; l < LANES; ++l) {
            keys[j + l] = ordered_key(y[l]);
        }
    }
    const int64_t gone = (int64_t)sum_of(missing);
    tally->missing += gone;
    tally->infinite += BATCH - gone - (int64_t)sum_of(finite);
    double ends[2][LANES];
    store(ends[0], low);
    store(ends[1], high);
    for (int l = 0; l < LANES; ++l) {
        tally->minimum = minimum(ends[0][l], tally->minimum);
        tally->maximum = maximum(ends[1][l], tally->maximum);
    }
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
    if (const Split* split = split_of(grid, cell, grid.hot_key)) {
        cell = split->upper;
    }
    cells[cell].count_and_first += (u64)rows * (position + ONE_ROW);
    cells[cell].second += (u64)rows * (position * position);
}

// Keys of NaN and infinity fall into outer cells that no finite number has; a batch that is not full is filled up with
// NaN.
void summarise(const double* x, int64_t rows, const RowRules& rules, const GridTable& grid, Cell* cells,
               uint8_t* touched, Tally* tally, RowCounts* counts) {
    Addresses at;
    double numbers[BATCH];
    const bool is_plain = are_plain(rules);
    int64_t hot_rows = 0;
    for (int64_t i = 0; i < rows; i += BATCH) {
        const int count = (int)(rows - i < BATCH ? rows - i : BATCH);
        const bool as_it_is = is_plain && count == BATCH;
        if (!as_it_is) {
            apply_rules(x + i, count, i, rules, numbers, counts);
            for (int j = count; j < BATCH; ++j) {
                numbers[j] = __builtin_nan("");
            }
            tally->missing -= BATCH - count;
        }
        keys_of(as_it_is ? x + i : numbers, grid, at.key, tally);
        if (changes_numbers(rules)) {
            follow_ends(x + i, numbers, count, counts);
        }
        for (int j = 0; j < BATCH; j += LANES) {
            hot_rows += address_eight(grid, at, j, touched);
            if (j >= LAG) {
                add_eight(grid, at, j - LAG, cells);
            }
        }
        for (int j = BATCH - LAG; j < BATCH; j += LANES) {
            add_eight(grid, at, j, cells);
        }
    }
    settle_hot_rows(grid, hot_rows, touched, cells);
}

}  // namespace
}  // namespace gpuvgm
