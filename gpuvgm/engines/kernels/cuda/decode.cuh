// Scalars and codes to values, four rows a thread: the steps of `Engine.decode`.
//
//     number = (clipped scalar * width + mean + centre) / scale,   value = inverse scale(number) * unit + origin,
//
// rounded to the step; modal values as they are.
#pragma once
#include "../vgm_scale.cuh"
#include "../vgm_step.cuh"
#include "../vgm_whole.cuh"
#include "block_rows.cuh"
#include "quad.cuh"

namespace gpuvgm {
namespace {

// How values are made of numbers, eighteen words; then mean and width of each code.
struct Decoding {
    double centre, factor, limit;  // factor: 1 / scale
    double half, unit, origin;     // half: of asinh, see `Curve`
    double low, high;              // of floats on a scale
    double step, parts;            // of floats
    Multiples multiples;           // of whole numbers
};

constexpr double MODAL_WIDTH = -1.0;  // of a code whose mean holds the bits of a modal value

// Rows 4 i ... 4 i + 3. The first row whose code does not exist, and the first whose value is missing for a scalar that
// is, go into `found`, which starts as the largest numbers. missing: (rows,) mask, or anything.
template <int CURVE, bool UNIT, bool STEP, bool MODAL, bool MASKED, class Scalar, class Code, class Value>
GPUVGM_FN void decode_quad(i64 i, const Scalar* scalar, const Code* code, i64 rows, const double* parameters,
                           u32 code_count, Value* value, unsigned char* missing, u64* found) {
    constexpr bool FLOATS = (Value)0.5 != 0;
    const Decoding& of = *(const Decoding*)parameters;
    const double2* table = (const double2*)(&of + 1);
    const i64 first = QUAD * i;
    double scalars[QUAD];
    u32 codes[QUAD], lost[QUAD];
    Value values[QUAD];
    read_quad(scalar, first, rows, 0.0, scalars);
    read_quad(code, first, rows, 0u, codes);
#pragma unroll
    for (int j = 0; j < QUAD; ++j) {
        if (codes[j] >= code_count) {
            atomicMin(found, (u64)(first + j));
            codes[j] = 0;
        }
        const double2 mode = table[codes[j]];
        if (MODAL && mode.y == MODAL_WIDTH) {
            values[j] = FLOATS ? converted<Value>(mode.x) : (Value)as_bits(mode.x);
            lost[j] = 0;
            continue;
        }
        if (scalars[j] != scalars[j]) {
            atomicMin(found + 1, (u64)(first + j));
            if constexpr (FLOATS && CURVE != LINEAR) {
                values[j] = converted<Value>(scalars[j]);
                lost[j] = 1;
                continue;  // so that rows are not worked on side by side: registers do not hold what four need
            }
        }
        const double y = value_of_position(scalars[j], mode.x, mode.y, of.limit);
        double number = straight({CURVE, 0.0, 0.0, of.half}, (y + of.centre) * of.factor);
        lost[j] = number != number;
        number = UNIT ? number * of.unit : number;
        if constexpr (FLOATS) {
            if constexpr (CURVE != LINEAR) {
                const double moved = number + of.origin;
                number = moved < of.low ? of.low : moved > of.high ? of.high : moved;
            }
            values[j] = converted<Value>(STEP ? on_step(number, of.step, of.parts) + 0.0 : number);  // no minus zero
        } else {
            values[j] = (Value)nearest_multiple(lost[j] ? 0.0 : number, of.multiples);
        }
    }
    write_quad(values, first, rows, value);
    if constexpr (MASKED) {
        write_quad(lost, first, rows, missing);
    }
}

}  // namespace
}  // namespace gpuvgm
