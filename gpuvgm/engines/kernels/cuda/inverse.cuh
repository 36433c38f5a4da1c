// Inverse on the device, four rows a thread: value = (clipped scalar * width + mean + centre) / scale.
#pragma once
#include "quad.cuh"

namespace gpuvgm {
namespace {

// Rows 4 i ... 4 i + 3. parameters: centre, factor = 1 / scale, limit, then mean and width of each code. The first row
// whose code does not exist, and the first without a scalar go into `found`, which starts as the largest numbers.
template <class Scalar, class Code, class Value>
GPUVGM_FN void inverse_quad(i64 i, const Scalar* scalar, const Code* code, i64 rows, const double* parameters,
                            u32 code_count, Value* value, u64* found) {
    const double centre = parameters[0], factor = parameters[1], limit = parameters[2];
    const double* table = parameters + 3;
    const i64 first = QUAD * i;
    double scalars[QUAD], values[QUAD];
    u32 codes[QUAD];
    read_quad(scalar, first, rows, 0.0, scalars);
    read_quad(code, first, rows, 0u, codes);
#pragma unroll
    for (int j = 0; j < QUAD; ++j) {
        if (codes[j] >= code_count) {
            atomicMin(found, (u64)(first + j));
            codes[j] = 0;
        }
        if (scalars[j] != scalars[j]) {
            atomicMin(found + 1, (u64)(first + j));
        }
        const double y = value_of_position(scalars[j], table[2 * codes[j]], table[2 * codes[j] + 1], limit);
        values[j] = (y + centre) * factor;
    }
    write_quad(values, first, rows, value);
}

}  // namespace
}  // namespace gpuvgm
