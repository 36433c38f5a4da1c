// Rows that are no multiples of a step are counted, four of them a thread.
#pragma once
#include "../vgm_step.cuh"
#include "quad.cuh"

namespace gpuvgm {
namespace {

// Rows 4 i ... 4 i + 3; `off` is one number that is added to.
template <class Value>
GPUVGM_FN void count_off_step(i64 i, const Value* x, i64 rows, double step, double parts, int bits, u64* off) {
    double values[QUAD];
    read_quad(x, QUAD * i, rows, 0.0, values);
    int count = 0;
#pragma unroll
    for (int j = 0; j < QUAD; ++j) {
        count += is_off_step(values[j], step, parts, bits) ? 1 : 0;
    }
    if (count) {
        atomicAdd(off, (u64)count);
    }
}

}  // namespace
}  // namespace gpuvgm
