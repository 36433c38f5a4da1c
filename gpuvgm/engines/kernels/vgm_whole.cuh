// Whole numbers as floats and back: the integer arithmetic of gpuvgm/engines/whole.py, with its bits.
#pragma once
#include "vgm_math.cuh"

namespace gpuvgm {
namespace {

// What is subtracted from the values of a column.
struct Origin {
    double number;  // of floats, and of whole numbers that no difference of 64 bits is taken of
    u64 base;       // of whole numbers, modulo 2^64
    u64 as_floats;  // whether whole numbers are subtracted as floats
};

GPUVGM_FN double difference(double value, const Origin& origin) { return value - origin.number; }

GPUVGM_FN double difference(i64 value, const Origin& origin) {
    const i64 base = (i64)origin.base, steps = (i64)((u64)value - (u64)base);
    if (origin.as_floats) {
        return (double)value - origin.number;
    }
    const bool overflows = ((value ^ base) & (value ^ steps)) < 0;
    return overflows ? (double)value - (double)base : (double)steps;
}

GPUVGM_FN double difference(u64 value, const Origin& origin) {
    if (origin.as_floats) {
        return (double)value - origin.number;
    }
    return value >= origin.base ? (double)(value - origin.base) : -(double)(origin.base - value);
}

// Multiples of a step, counted from a base: `nearest_multiples`.
struct Multiples {
    double rest, step;   // the base modulo the step; the step
    double low, high;    // multiples at and beyond which the ends are the values
    u64 base, factor;    // multiples in the base; the step; both modulo 2^64
    u64 least, largest;  // multiples at the ends, modulo 2^64
};

// The multiple nearest to base + number, modulo 2^64; halves go to the even one.
GPUVGM_FN u64 nearest_multiple(double number, const Multiples& of) {
    const double steps = rint(of.step == 1.0 ? number : (number + of.rest) / of.step);
    const bool inside = steps > of.low && steps < of.high;
    // in two halves of 32 bits: a step may be longer than any integer type
    const double upper = floor((inside ? steps : 0.0) * 0x1p-32), lower = (inside ? steps : 0.0) - upper * 0x1p32;
    const u64 sum = ((u64)(i64)upper << 32) + (u64)(i64)lower + of.base;
    return (inside ? sum : steps >= of.high ? of.largest : of.least) * of.factor;
}

}  // namespace
}  // namespace gpuvgm
