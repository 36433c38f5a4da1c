// The occupied cells of a table are written out, and taken out of it.
#pragma once
#include "cell_table.cuh"

// touched: (2^22 / SEGMENT,); totals: (cells, 4); gathered: (room, 5) of cell and totals, in any order; occupied: (1,),
// to begin with 0. Where it ends above `room`, the cells that found none are still in the table.
extern "C" GPUVGM_KERNEL(256)
    GPUVGM_NAME(unsigned int cells, unsigned int room, const unsigned int* touched, unsigned long long* totals,
                unsigned long long* gathered, unsigned long long* occupied) {
    using namespace gpuvgm;
    each_cell(cells, touched, [=](u32 cell) {
        ulonglong2* const sums = (ulonglong2*)totals + 2 * (u64)cell;
        if (sums[0].x == 0) {
            return;
        }
        const u64 place = atomicAdd(occupied, (u64)1);
        if (place < room) {
            u64* const out = gathered + 5 * place;
            out[0] = cell;
            out[1] = sums[0].x;
            out[2] = sums[0].y;
            out[3] = sums[1].x;
            out[4] = sums[1].y;
            sums[0] = sums[1] = {0, 0};
        }
    });
}
