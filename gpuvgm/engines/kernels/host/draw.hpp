// Rows of a synthesizer: the bin that each number lies in, and bins and places drawn by the words of Philox. Whole
// numbers alone, but for the places.
#pragma once
#include "../vgm_draw.cuh"
#include "host.hpp"

namespace gpuvgm {
namespace {

constexpr int WORD_ROWS = 512;  // rows whose words are drawn at once

GPUVGM_FN int64_t entry_of(const Lottery& lottery, int64_t block, u32 word) {
    return entry_of(lottery.keys, lottery.starts[block], lottery.entries, lottery.steps, block, word);
}

void draw_rows(const DrawnColumn& column, const uint16_t* first, const uint16_t* second, const RowNumbers& row_numbers,
               int64_t rows, uint64_t counter, uint64_t seed, uint16_t* codes, double* numbers) {
    alignas(64) u32 words[4][WORD_ROWS];
    alignas(64) int64_t outer[WORD_ROWS], entry[WORD_ROWS];
    const int64_t bins = column.pieces.blocks;
    for (int64_t start = 0; start < rows; start += WORD_ROWS) {
        const int count = (int)(rows - start < WORD_ROWS ? rows - start : WORD_ROWS);
        for (int i = 0; i < count; ++i) {
            u32 four[4];
            philox(row_numbers.of(start + i), counter, seed, four);
            for (int w = 0; w < 4; ++w) {
                words[w][i] = four[w];
            }
        }
        for (int i = 0; i < count; ++i) {
            outer[i] = first ? first[start + i] : 0;
            entry[i] = outer[i] * column.width + (second ? column.second[second[start + i]] : 0);
        }
        if (column.inside.blocks) {
            for (int i = 0; i < count; ++i) {
                entry[i] = entry_of(column.groups, entry[i], words[0][i]) - entry[i] * column.group_count;
            }
            for (int i = 0; i < count; ++i) {
                entry[i] = entry_of(column.inside, outer[i] * column.group_count + entry[i], words[1][i]);
                codes[start + i] = (uint16_t)(entry[i] - outer[i] * bins);
            }
        } else if (!column.groups.blocks) {
            for (int i = 0; i < count; ++i) {
                codes[start + i] = first[start + i];
            }
        } else {
            for (int i = 0; i < count; ++i) {
                codes[start + i] = (uint16_t)(entry_of(column.groups, entry[i], words[0][i]) - entry[i] * bins);
            }
        }
        for (int i = 0; i < count; ++i) {
            const int64_t piece = entry_of(column.pieces, codes[start + i], words[2][i]);
            const double low = column.low[piece];
            numbers[start + i] = low + (column.high[piece] - low) * uniform_of(words[3][i]);
        }
    }
}

// codes[number of edges below x], and the last code for NaN.
void find_bins(const double* x, int64_t rows, const double* edges, int edge_count, const uint16_t* codes,
               uint16_t* out) {
    int steps = 0;
    while ((edge_count >> (steps + 1)) > 0) {
        ++steps;
    }
    for (int64_t i = 0; i < rows; ++i) {
        out[i] = codes[interval_of(x[i], edges, edge_count, steps)];
    }
}

}  // namespace
}  // namespace gpuvgm
