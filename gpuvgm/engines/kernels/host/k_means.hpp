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

// The nearest of centres of one feature; see `nearest_centres`.
GPUVGM_FN int32_t nearest_centre(double x, const double* centres, const double* squares, int components) {
    double least = __builtin_inf();
    int32_t nearest = 0;
    for (int k = 0; k < components; ++k) {
        const double distance = squares[k] + -2.0 * (x * centres[k]);
        if (distance < least) {
            least = distance;
            nearest = k;
        }
    }
    return nearest;
}

// Between which numbers of one feature each centre is the nearest, whatever the roundings; no number of the last entry
// is, nor of a centre that is there twice.
//
// A computed distance (see `nearest_centres`) is off by less than 2^-51 (c^2 + 2 |x c|) and what underflow takes. Two
// centres that are d apart differ in theirs by 2 d a number's distance to the midpoint; those beyond by more.
struct Ranges {
    double *low, *high;

    Ranges(const double* centres, int components, double largest)
        : low((double*)__builtin_malloc(2 * sizeof(double) * (components + 1))), high(low + components + 1) {
        double length = 0.0;
        for (int k = 0; k < components; ++k) {
            length = __builtin_fabs(centres[k]) > length ? __builtin_fabs(centres[k]) : length;
        }
        const double error = 0x1p-50 * (length * length + 2.0 * (largest * length)) + 0x1p-1060;
        for (int k = 0; k < components; ++k) {
            double below = -__builtin_inf(), above = __builtin_inf();
            bool is_single = true;
            for (int j = 0; j < components; ++j) {
                const double other = centres[j];
                below = other < centres[k] && other > below ? other : below;
                above = other > centres[k] && other < above ? other : above;
                is_single = is_single && (j == k || other != centres[k]);
            }
            const auto margin = [&](double gap) { return error / gap + 0x1p-50 * length; };
            low[k] = below + 0.5 * (centres[k] - below) + margin(centres[k] - below);
            high[k] = above - 0.5 * (above - centres[k]) - margin(above - centres[k]);
            low[k] = below == -__builtin_inf() ? below : low[k];
            high[k] = above == __builtin_inf() ? above : high[k];
            low[k] = is_single ? low[k] : __builtin_inf();
        }
        low[components] = __builtin_inf();
        high[components] = -__builtin_inf();
    }
    ~Ranges() { __builtin_free(low); }
    Ranges(const Ranges&) = delete;
};

// Adds rows of one feature to the sum of their centre, in row order. The sum of the usual centre stays in a register:
// through memory each of its rows would wait for the one before. What memory adds for these is lost in SPARE places
// behind the sums, one after the other.
void add_in_line(const double* x, int64_t rows, const int32_t* labels, int32_t usual, int components, double* sums) {
    double usual_sum = sums[usual];
    for (int64_t i = 0; i < rows; ++i) {
        const int64_t mask = -(int64_t)(labels[i] == usual);  // a branch could not be foretold
        int64_t word;
        double value;
        __builtin_memcpy(&word, x + i, sizeof word);
        word &= mask;
        __builtin_memcpy(&value, &word, sizeof value);
        usual_sum += value;
        sums[(labels[i] & ~mask) | ((components + i % SPARE) & mask)] += x[i];
    }
    sums[usual] = usual_sum;
}

// Writes labels of the nearest centres of rows of one feature, none of which is larger than `largest`, moves rows
// between the counts of centres, and sums up each centre's rows. Only rows that may have another label than before, -1
// for none, are compared with all centres. Returns whether a label changed.
bool label_and_sum(const double* x, int64_t rows, const double* centres, const double* squares, int components,
                   double largest, int32_t* labels, int64_t* counts, double* sums) {
    constexpr int64_t TOGETHER = 512, MANY = TOGETHER / 4;
    const Ranges ranges(centres, components, largest);
    bool changed = false;
    int32_t usual = 0;
    for (int64_t start = 0; start < rows; start += TOGETHER) {
        const int64_t have = rows - start < TOGETHER ? rows - start : TOGETHER;
        const double* row = x + start;
        int32_t* label = labels + start;
        int32_t nearest[TOGETHER];
        int16_t doubtful[TOGETHER];
        int64_t doubts = 0;
        for (int64_t i = 0; i < have; ++i) {
            const int32_t at = label[i] < 0 ? components : label[i];
            doubtful[doubts] = (int16_t)i;
            doubts += !((row[i] > ranges.low[at]) & (row[i] < ranges.high[at]));
        }
        if (doubts > MANY) {
            nearest_centres(row, have, 1, centres, squares, components, nearest);
        } else {
            for (int64_t d = 0; d < doubts; ++d) {
                nearest[doubtful[d]] = nearest_centre(row[doubtful[d]], centres, squares, components);
            }
        }
        for (int64_t d = 0; d < doubts; ++d) {
            const int64_t i = doubtful[d];
            if (nearest[i] != label[i]) {
                counts[nearest[i]] += 1;
                counts[label[i] < 0 ? nearest[i] : label[i]] -= label[i] >= 0;
                label[i] = nearest[i];
                changed = true;
            }
        }
        if (start == 0) {
            for (int32_t k = 1; k < components; ++k) {
                usual = counts[k] > counts[usual] ? k : usual;
            }
        }
        const bool are_alike = label[0] == label[have - 1];  // as of most rows that ascend
        add_in_line(row, have, label, are_alike ? label[0] : usual, components, sums);
    }
    return changed;
}

// Adds rows and their sum a centre to counts and sums, in row order.
void sums_by_centre(const double* x, int64_t rows, int features, const int32_t* labels, double* counts, double* sums) {
    for (int64_t i = 0; i < rows; ++i, x += features) {
        double* sum = sums + (int64_t)labels[i] * features;
        counts[labels[i]] += 1;
        for (int64_t f = 0; f < features; ++f) {
            sum[f] += x[f];
        }
    }
}

// `closer` for one feature.
void closer_in_line(const double* x, const double* row_squares, int64_t rows, const double* nearest,
                    const double* candidates, const double* squares, int count, double* out, int64_t stride) {
    for (int64_t start = 0; start < rows; start += LANES) {
        const bool is_whole = rows - start >= LANES;
        double last[3][LANES] = {}, found[LANES];
        for (int64_t i = 0; !is_whole && i < rows - start; ++i) {
            last[0][i] = x[start + i];
            last[1][i] = row_squares[start + i];
            last[2][i] = nearest[start + i];
        }
        const Lanes row = load(is_whole ? x + start : last[0]);
        const Lanes row_square = load(is_whole ? row_squares + start : last[1]);
        const Lanes least = load(is_whole ? nearest + start : last[2]);
        for (int k = 0; k < count; ++k) {
            const Lanes distance = (splat(-2.0) * (row * splat(candidates[k])) + splat(squares[k])) + row_square;
            const Lanes with_candidate = minimum(maximum(distance, splat(0.0)), least);
            double* to = out + k * stride + start;
            store(is_whole ? to : found, with_candidate);
            for (int64_t i = 0; !is_whole && i < rows - start; ++i) {
                to[i] = found[i];
            }
        }
    }
}

// Squared distance of each row to the nearest of some centres, of which `nearest` has it, and one more: a row of `out`,
// `stride` apart, for each of the candidates.
void closer(const double* x, const double* row_squares, int64_t rows, int features, const double* nearest,
            const double* candidates, const double* squares, int count, double* out, int64_t stride) {
    if (features == 1) {
        closer_in_line(x, row_squares, rows, nearest, candidates, squares, count, out, stride);
        return;
    }
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
