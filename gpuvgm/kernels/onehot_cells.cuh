// Which cell a row of the onehot layout has.
#pragma once
#include "vgm_math.cuh"

namespace gpuvgm {
namespace {

// The first of `cells` positions, taken in `order`, that holds the largest value; NaN counts as the largest. `cells`
// itself for a row of zeros where that means no cell.
template <class Real, class Index>
GPUVGM_FN Index largest_cell(const Real* at, const Index* order, Index cells, bool zero_is_none) {
    Index best = order[0];
    bool any = at[best] != 0;
    for (Index i = 1; i < cells && at[best] == at[best]; ++i) {
        const Index cell = order[i];
        any |= at[cell] != 0;
        best = at[cell] <= at[best] ? best : cell;
    }
    return any || !zero_is_none ? best : cells;
}

}  // namespace
}  // namespace gpuvgm
