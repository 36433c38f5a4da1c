// After a window: its sums go into the totals, and the table is left empty. Cells that at least `least_rows` rows of the
// window fell into become frequent ones; of those that share a slot, the one with most rows.
#pragma once
#include "cell_table.cuh"

// table, touched, totals: see cell_table.cuh; cells: the length of the table. frequent: (SLOTS,) of rows * 2^32 + cell.
extern "C" GPUVGM_KERNEL(256) GPUVGM_NAME(unsigned int cells, unsigned int least_rows, const unsigned int* touched,
                                          unsigned long long* table, unsigned long long* totals,
                                          unsigned long long* frequent) {
    using namespace gpuvgm;
    const u32 inner = cells - OUTER_CELLS, all = inner + touched[0] * ENTRY_CELLS;
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < all; i += gridDim.x * blockDim.x) {
        const u32 outer = i - inner;
        const u32 cell = i < inner ? OUTER_CELLS + i
                                   : touched[1 + outer / ENTRY_CELLS] * ENTRY_CELLS + outer % ENTRY_CELLS;
        ulonglong2* const sums = (ulonglong2*)table + cell;
        const ulonglong2 window = *sums;
        if (window.x == 0) {
            continue;
        }
        const u64 count = window.x >> 42, second = totals[2 * (u64)cells + cell] + window.y;
        totals[cell] += count;
        totals[(u64)cells + cell] += window.x & (ONE_ROW - 1);
        totals[2 * (u64)cells + cell] = second;
        totals[3 * (u64)cells + cell] += second < window.y ? 1 : 0;
        *sums = {0, 0};
        if (count >= least_rows) {
            atomicMax(frequent + cell % SLOTS, count << 32 | cell);
        }
    }
}
