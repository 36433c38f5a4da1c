// Cells that at least `least_rows` rows fell into become frequent ones; of those that share a slot, the one with most
// rows, and of equal ones the last.
#pragma once
#include "cell_table.cuh"

// touched: (2^22 / SEGMENT,); totals: (cells, 4), fewer than 2^32 rows in all; frequent: (SLOTS,) of rows * 2^32 +
// cell, to begin with 0.
extern "C" GPUVGM_KERNEL(256)
    GPUVGM_NAME(unsigned int cells, unsigned long long least_rows, const unsigned int* touched,
                const unsigned long long* totals, unsigned long long* frequent) {
    using namespace gpuvgm;
    each_cell(cells, touched, [=](u32 cell) {
        const u64 count = totals[4 * (u64)cell];
        if (count >= least_rows) {
            atomicMax(frequent + cell % SLOTS, count << 32 | cell);
        }
    });
}
