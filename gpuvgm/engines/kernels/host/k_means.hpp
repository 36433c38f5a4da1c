// k-means: the operations of scikit-learn's lloyd_iter_chunked_dense and euclidean_distances one by one and in their
// order, hence the same bits. Products of rows and centres are those of a matrix product: over the features, one chain
// of fused operations.
#pragma once
#include "feature_tile.hpp"

namespace gpuvgm {
namespace {

// Rows that are worked on together, laid out by feature.
struct NearestTile {
    static constexpr int ROWS = PANEL_TILE * LANES;
    int features;
    double* at;

    explicit NearestTile(int features_)
        : features(features_), at((double*)__builtin_malloc(sizeof(double) * ROWS * features_)) {}
    ~NearestTile() { __builtin_free(at); }
    NearestTile(const NearestTile&) = delete;

    // The first `have` rows; the first of them stands in the place of those beyond.
    void load(const double* x, int64_t have) const {
        for (int64_t i = 0; i < ROWS; ++i) {
            const double* row = x + (i < have ? i : 0) * features;
            for (int64_t f = 0; f < features; ++f) {
                at[f * ROWS + i] = row[f];
            }
        }
    }

    // x c of all rows and J centres.
    template <int J> GPUVGM_FN void products(const double* centres, Lanes (*product)[PANEL_TILE]) const {
        for (int j = 0; j < J; ++j) {
            for (int v = 0; v < PANEL_TILE; ++v) {
                product[j][v] = gpuvgm::load(at + v * LANES) * splat(centres[(int64_t)j * features]);
            }
        }
        for (int64_t f = 1; f < features; ++f) {
            for (int j = 0; j < J; ++j) {
                const Lanes centre = splat(centres[j * features + f]);
                for (int v = 0; v < PANEL_TILE; ++v) {
                    product[j][v] = fused(gpuvgm::load(at + f * ROWS + v * LANES), centre, product[j][v]);
                }
            }
        }
    }
};

// The squared distance is ||c||^2 - 2 x c, less what all centres share; of equal distances the first counts. Returns
// whether a label changed.
bool nearest_centres(const double* x, int64_t rows, int features, const double* centres, const double* squares,
                     int components, int32_t* labels) {
    const NearestTile tile(features);
    int32_t changed = 0;
    for (int64_t start = 0; start < rows; start += tile.ROWS) {
        const int64_t have = rows - start < tile.ROWS ? rows - start : tile.ROWS;
        tile.load(x + start * features, have);
        Lanes least[PANEL_TILE], nearest[PANEL_TILE];
        for (int v = 0; v < PANEL_TILE; ++v) {
            least[v] = splat(__builtin_inf());
            nearest[v] = splat(0.0);
        }
        for (int first = 0; first < components; first += PANEL) {
            with_size<PANEL>(components - first, [&](auto j) {
                constexpr int J = j.value;
                Lanes product[J][PANEL_TILE];
                tile.products<J>(centres + (int64_t)first * features, product);
                for (int k = 0; k < J; ++k) {
                    const Lanes square = splat(squares[first + k]), label = splat(first + k);
                    for (int v = 0; v < PANEL_TILE; ++v) {
                        const Lanes closest = minimum(square + splat(-2.0) * product[k][v], least[v]);
                        nearest[v] = select_le(least[v], closest, nearest[v], label);
                        least[v] = closest;
                    }
                }
            });
        }
        double found[tile.ROWS];
        for (int v = 0; v < PANEL_TILE; ++v) {
            store(found + v * LANES, nearest[v]);
        }
        for (int64_t i = 0; i < have; ++i) {
            changed |= (int32_t)found[i] ^ labels[start + i];
            labels[start + i] = (int32_t)found[i];
        }
    }
    return changed != 0;
}

// Adds rows and their sum a centre to counts and sums, in row order.
void sums_by_centre(const double* x, int64_t rows, int features, const int32_t* labels, double* counts, double* sums) {
    constexpr int64_t TOGETHER = 32;
    for (int64_t start = 0; start < rows; start += TOGETHER) {
        const int64_t have = rows - start < TOGETHER ? rows - start : TOGETHER;
        const int32_t* label = labels + start;
        const double* row = x + start * features;
        int32_t differ = 0;
        for (int64_t i = 0; i < have; ++i) {
            counts[label[i]] += 1;
            differ |= label[i] ^ label[0];
        }
        if (features == 1 && differ == 0) {  // as of most rows that ascend: their sum stays in a register
            double sum = sums[label[0]];
            for (int64_t i = 0; i < have; ++i) {
                sum += row[i];
            }
            sums[label[0]] = sum;
            continue;
        }
        for (int64_t i = 0; i < have; ++i, row += features) {
            double* sum = sums + (int64_t)label[i] * features;
            for (int64_t f = 0; f < features; ++f) {
                sum[f] += row[f];
            }
        }
    }
}

// Squared distance of each row to the nearest of some centres, of which `nearest` has it, and one more: a row of `out`,
// `stride` apart, for each of the candidates.
void closer(const double* x, const double* row_squares, int64_t rows, int features, const double* nearest,
            const double* candidates, const double* squares, int count, double* out, int64_t stride) {
    const NearestTile tile(features);
    for (int64_t start = 0; start < rows; start += tile.ROWS) {
        const int64_t have = rows - start < tile.ROWS ? rows - start : tile.ROWS;
        tile.load(x + start * features, have);
        for (int k = 0; k < count; ++k) {
            Lanes product[1][PANEL_TILE];
            double products[tile.ROWS];
            tile.products<1>(candidates + (int64_t)k * features, product);
            for (int v = 0; v < PANEL_TILE; ++v) {
                store(products + v * LANES, product[0][v]);
            }
            double* to = out + k * stride + start;
            for (int64_t i = 0; i < have; ++i) {
                const double distance = (-2.0 * products[i] + squares[k]) + row_squares[start + i];
                const double above = distance > 0.0 ? distance : 0.0;
                to[i] = above < nearest[start + i] ? above : nearest[start + i];
            }
        }
    }
}

}  // namespace
}  // namespace gpuvgm
