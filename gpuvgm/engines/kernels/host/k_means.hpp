// k-means over one feature: the operations of scikit-learn's lloyd_iter_chunked_dense and euclidean_distances one by
// one and in their order, hence the same bits.
#pragma once
#include "host.hpp"

namespace gpuvgm {
namespace {

constexpr int64_t NEAREST_ROWS = 32;  // whose nearest centres are found together

// The squared distance is ||c||^2 - 2 x c, less what all centres share; of equal distances the first counts. Rows and
// sums per centre are added up in row order. Returns whether a label changed.
bool lloyd(const double* x, int64_t rows, const double* centres, int components, int32_t* labels, double* counts,
           double* sums) {
    bool changed = false;
    for (int k = 0; k < components; ++k) {
        counts[k] = sums[k] = 0;
    }
    for (int64_t start = 0; start < rows; start += NEAREST_ROWS) {
        const int64_t size = rows - start < NEAREST_ROWS ? rows - start : NEAREST_ROWS;
        double row[NEAREST_ROWS], least[NEAREST_ROWS];
        int64_t nearest[NEAREST_ROWS];
        for (int64_t i = 0; i < NEAREST_ROWS; ++i) {
            row[i] = x[start + (i < size ? i : 0)];
            least[i] = centres[0] * centres[0] + -2.0 * (row[i] * centres[0]);
            nearest[i] = 0;
        }
        for (int k = 1; k < components; ++k) {
            const double centre = centres[k], square = centre * centre;
            for (int64_t i = 0; i < NEAREST_ROWS; ++i) {
                const double distance = square + -2.0 * (row[i] * centre);
                nearest[i] = distance < least[i] ? k : nearest[i];
                least[i] = distance < least[i] ? distance : least[i];
            }
        }
        int64_t moved = 0, differ = 0;
        for (int64_t i = 0; i < size; ++i) {
            moved |= nearest[i] ^ labels[start + i];
            differ |= nearest[i] ^ nearest[0];
            labels[start + i] = (int32_t)nearest[i];
        }
        changed |= moved != 0;
        if (differ == 0) {  // as of most rows that ascend: their sum stays in a register
            double sum = sums[nearest[0]];
            for (int64_t i = 0; i < size; ++i) {
                sum += row[i];
            }
            sums[nearest[0]] = sum;
            counts[nearest[0]] += (double)size;
        } else {
            for (int64_t i = 0; i < size; ++i) {
                counts[nearest[i]] += 1;
                sums[nearest[i]] += row[i];
            }
        }
    }
    return changed;
}

// Squared distance of each row to the nearest of some centres, of which `nearest` has it, and one more: a row of `out`
// for each of the candidates.
void closer(const double* x, int64_t rows, const double* nearest, const double* candidates, int count, double* out) {
    for (int k = 0; k < count; ++k, out += rows) {
        const double centre = candidates[k], square = centre * centre;
        for (int64_t i = 0; i < rows; ++i) {
            const double distance = (-2.0 * (centre * x[i]) + square) + x[i] * x[i];
            const double above = distance > 0.0 ? distance : 0.0;
            out[i] = above < nearest[i] ? above : nearest[i];
        }
    }
}

}  // namespace
}  // namespace gpuvgm
