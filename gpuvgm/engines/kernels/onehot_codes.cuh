// The code of a row of the onehot layout.
#pragma once
#include "vgm_math.cuh"

namespace gpuvgm {
namespace {

// A number to compare: devices take subnormal floats for 0 when they compare them.
#if defined(__CUDACC__)
template <class Real> GPUVGM_FN double compared(Real a) { return widened(a); }
#else
template <class Real> GPUVGM_FN Real compared(Real a) { return a; }
#endif

// The first of `codes` positions, taken in `order`, that holds the largest value; NaN counts as the largest. `codes`
// itself for a row of zeros where that means no code.
template <class Real, class Index>
GPUVGM_FN Index largest_code(const Real* at, const Index* order, Index codes, bool zero_is_none) {
    Index best = order[0];
    auto largest = compared(at[best]);
    bool any = largest != 0;
    for (Index i = 1; i < codes && largest == largest; ++i) {
        const Index code = order[i];
        const auto value = compared(at[code]);
        any |= value != 0;
        best = value <= largest ? best : code;
        largest = value <= largest ? largest : value;
    }
    return any || !zero_is_none ? best : codes;
}

}  // namespace
}  // namespace gpuvgm
