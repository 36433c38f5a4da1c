// Values of a column as numbers: scale((value - origin) / unit), as `RowRules.numbers` of engines/tables.py has it.
//
// Constants: GPUVGM_VALUE (type of a value), GPUVGM_SCALE (a ScaleName), GPUVGM_STEP (bits of the numbers that
// multiples of the step are compared as; 0 without a step), and 1 or 0 each for whether there are: an origin that
// floats are counted from (GPUVGM_ORIGIN), a unit other than 1 (GPUVGM_UNIT), modal values (GPUVGM_MODAL), a mask of
// missing rows (GPUVGM_MISSING), and infinite values that are missing (GPUVGM_INFINITE).
#pragma once
#include "../vgm_scale.cuh"
#include "../vgm_step.cuh"
#include "../vgm_whole.cuh"
#include "block_rows.cuh"
#include "quad.cuh"

namespace gpuvgm {
namespace {

// What values are in registers: floats of 64 bits, or whole numbers of 64.
template <class T> struct Widest {
    typedef i64 type;
};
template <> struct Widest<float> {
    typedef double type;
};
template <> struct Widest<double> {
    typedef double type;
};
template <> struct Widest<u64> {
    typedef u64 type;
};
typedef Widest<GPUVGM_VALUE>::type Value;

constexpr bool ARE_FLOATS = (GPUVGM_VALUE)0.5 != 0, ARE_SHORT = sizeof(GPUVGM_VALUE) < 8;

// Whether a row's number may be infinite: values are, or a scale makes it so. And whether it may be no number.
constexpr bool MAY_BE_INFINITE = (ARE_FLOATS && !GPUVGM_INFINITE) || GPUVGM_SCALE == LOG || GPUVGM_SCALE == LOG1P;
constexpr bool MAY_BE_NO_NUMBER = ARE_FLOATS || GPUVGM_MISSING || MAY_BE_INFINITE;

GPUVGM_FN double not_a_number() { return from_bits(0x7FF8000000000000ll); }

GPUVGM_FN bool equals(double value, u64 bits) { return value == from_bits((i64)bits); }
GPUVGM_FN bool equals(i64 value, u64 bits) { return (u64)value == bits; }
GPUVGM_FN bool equals(u64 value, u64 bits) { return value == bits; }

GPUVGM_FN bool is_infinite(double a) { return !is_finite(a) && !is_nan(a); }

// A number that has the order of the values.
GPUVGM_FN u64 order_of(double value) { return ordered_key(value); }
GPUVGM_FN u64 order_of(i64 value) { return (u64)value ^ 0x8000000000000000ull; }
GPUVGM_FN u64 order_of(u64 value) { return value; }

struct ModalValue {
    u64 bits;  // of the value, widened
    i64 code;  // not negative
};

// The rules as they lie in memory, eleven words; then the modal values.
struct Rules {
    Origin origin;
    double unit;
    double shrink, doublings;  // of asinh, see `Curve`
    double step, parts;        // of floats: they are multiples of step / parts
    u64 whole_step;            // of whole numbers; 0: greater than all of them
    u64 modal_count;
    u64 modal_at;  // words from here to the modal values

    GPUVGM_FN const ModalValue* modal() const { return (const ModalValue*)((const u64*)this + modal_at); }

    // Code of the modal value that a value is, or -1.
    GPUVGM_FN int modal_code(Value value) const {
        int code = -1;
#pragma unroll 1
        for (int m = 0; m < (int)modal_count; ++m) {
            code = equals(value, modal()[m].bits) ? (int)modal()[m].code : code;
        }
        return code;
    }

    // Whether a value that is not missing is no multiple of the step.
    GPUVGM_FN bool is_off(Value value) const {
        if constexpr (ARE_FLOATS) {
            return is_off_step(value, step, parts, GPUVGM_STEP);
        } else {
            const u64 size = (u64)(value < 0 ? 0 - (u64)value : (u64)value);
            if (whole_step == 0) {
                return size != 0;
            }
            return ARE_SHORT ? (u32)size % (u32)whole_step != 0 : size % whole_step != 0;
        }
    }

    // (value - origin) / unit.
    GPUVGM_FN double distance(Value value) const {
        double number;
        if constexpr (ARE_FLOATS && !GPUVGM_ORIGIN) {
            number = value;
        } else {
            number = difference(value, origin);
        }
        return GPUVGM_UNIT ? number / unit : number;
    }

    // The scale of a distance.
    GPUVGM_FN double curve(double distance) const {
        const double number = curved({GPUVGM_SCALE, shrink, doublings, 0.0}, distance);
        return GPUVGM_SCALE == ASINH ? select_finite(distance, number, distance) : number;
    }
};

// Floats of missing rows become NaN, so that their marks need not be kept. Whole numbers stay.
GPUVGM_FN void hide_missing(Value (&values)[QUAD], const u32 (&masked)[QUAD]) {
    if constexpr (ARE_FLOATS && (GPUVGM_MISSING || GPUVGM_INFINITE)) {
#pragma unroll
        for (int j = 0; j < QUAD; ++j) {
            const bool lost = masked[j] != 0 || (GPUVGM_INFINITE && is_infinite((double)values[j]));
            values[j] = lost ? (Value)not_a_number() : values[j];
        }
    }
}

// Whether a row has a value, or is a float that `hide_missing` has seen to.
GPUVGM_FN bool is_there(u32 masked) { return ARE_FLOATS || masked == 0; }

}  // namespace
}  // namespace gpuvgm
