// Searches of a synthesizer, for every compiler that runs them: the interval of a number, and the entry of a word.
#pragma once
#include "vgm_math.cuh"

namespace gpuvgm {
namespace {

// The first of `count` ascending keys from which on `beyond` is false, or `count`, in `steps` halvings without a
// branch.
template <class Beyond> GPUVGM_FN i64 first_not(i64 from, i64 count, int steps, Beyond beyond) {
    for (i64 jump = (i64)1 << steps; jump; jump >>= 1) {
        const i64 next = from + jump;
        from = next <= count && beyond(next - 1) ? next : from;
    }
    return from;
}

// The first of `entries` keys from `start` on that is above (block << 33) | word.
template <class Key> GPUVGM_FN i64 entry_of(const Key* keys, i64 start, i64 entries, int steps, i64 block, u32 word) {
    const Key wanted = ((Key)block << 33) | word;
    return first_not(start, entries, steps, [&](i64 at) { return keys[at] <= wanted; });
}

// Number of the interval between ascending edges that a value lies in, each with its upper edge; the last but one code
// is that of the last interval, the last one that of NaN.
GPUVGM_FN i64 interval_of(double value, const double* edges, i64 count, int steps) {
    return value == value ? first_not(0, count, steps, [&](i64 at) { return edges[at] < value; }) : count + 1;
}

}  // namespace
}  // namespace gpuvgm
