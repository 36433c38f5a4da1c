// What row loops of transform share: uniforms drawn ahead, and scalars and codes written in the caller's types.
#pragma once
#include "../vgm_math.cuh"
#include "host.hpp"

namespace gpuvgm {
namespace {

constexpr int DRAW_ROWS = 1024;  // uniforms drawn at once

// Uniforms of rows first_row ... first_row + count - 1: word row % 4 of the generator's counter row / 4.
void draw_uniforms(const Draw& draw, uint64_t first_row, int count, double* out) {
    constexpr int COUNTERS = DRAW_ROWS / 4 + 1;
    alignas(64) u32 words[4][COUNTERS + 7];
    const uint64_t first_counter = first_row / 4;
    const int counters = (int)((first_row + count + 3) / 4 - first_counter), skip = (int)(first_row % 4);
    for (int c = 0; c < counters; ++c) {
        u32 four[4];
        philox(first_counter + c, draw.column, draw.seed, four);
        words[0][c] = four[0];
        words[1][c] = four[1];
        words[2][c] = four[2];
        words[3][c] = four[3];
    }
    if (skip == 0 && count % 4 == 0) {
        for (int c = 0; c < count / 4; ++c) {
            for (int w = 0; w < 4; ++w) {
                out[4 * c + w] = uniform_of(words[w][c]);
            }
        }
        return;
    }
    for (int j = 0; j < count; ++j) {
        out[j] = uniform_of(words[(j + skip) % 4][(j + skip) / 4]);
    }
}

struct Output {
    void *scalar, *code;
    int scalar_bytes, code_bytes;

    // The first `count` of a tile of rows.
    template <int TILE>
    GPUVGM_FN void write(int64_t at, int64_t count, const double* scalars, const double* codes) const {
        if (scalar_bytes == 4) {
            convert<TILE, float>((float*)scalar + at, count, scalars);
        } else {
            convert<TILE, double>((double*)scalar + at, count, scalars);
        }
        if (code_bytes == 1) {
            convert<TILE, int>((uint8_t*)code + at, count, codes);
        } else {
            convert<TILE, int>((uint16_t*)code + at, count, codes);
        }
    }
    template <int TILE, class Between, class To>
    static GPUVGM_FN void convert(To* to, int64_t count, const double* from) {
        if (count >= TILE) {
            for (int j = 0; j < TILE; ++j) {
                to[j] = (To)(Between)from[j];
            }
        } else {
            for (int64_t j = 0; j < count; ++j) {
                to[j] = (To)(Between)from[j];
            }
        }
    }
};

}  // namespace
}  // namespace gpuvgm
