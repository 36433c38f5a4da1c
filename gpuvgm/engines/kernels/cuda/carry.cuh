// After a launch of summarise.cuh: the windows' sums go into the totals, and the tables are left empty.
#pragma once
#include "cell_table.cuh"

// tables: (windows, inner, 2), totals: (2^22 + inner, 4), see cell_table.cuh; inner: inner cells and parts.
extern "C" GPUVGM_KERNEL(256)
    GPUVGM_NAME(unsigned int inner, int windows, unsigned long long* tables, unsigned long long* totals) {
    using namespace gpuvgm;
    for (u32 cell = blockIdx.x * blockDim.x + threadIdx.x; cell < inner; cell += gridDim.x * blockDim.x) {
        u64 count = 0, first = 0, second = 0, second_high = 0;
        for (int window = 0; window < windows; ++window) {
            ulonglong2* const at = (ulonglong2*)tables + ((u64)window * inner + cell);
            const ulonglong2 sums = *at;
            if (sums.x != 0) {
                *at = {0, 0};
                count += sums.x >> 42;
                first += sums.x & (ONE_ROW - 1);
                second += sums.y;
                second_high += second < sums.y ? 1 : 0;
            }
        }
        if (count != 0) {
            u64* const total = totals + 4 * (u64)(OUTER_CELLS + cell);
            total[0] += count;
            total[1] += first;
            total[2] += second;
            total[3] += second_high + (total[2] < second ? 1 : 0);
        }
    }
}
