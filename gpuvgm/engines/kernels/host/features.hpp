// E-step and log densities of mixtures over several features, 4,096 rows at a time.
#pragma once
#include "feature_moments.hpp"
#include "feature_tile.hpp"

namespace gpuvgm {
namespace {

constexpr int MOST_FETCHED = 64;  // features; more would drive the tile out of the cache

// ---- sums ----------------------------------------------------------------------------------------------------------

// Sum of log2 densities over the rows of a chunk.
struct LogSum {
    LogProduct product;  // of rows that count once
    Lanes weighted = splat(0.0);

    GPUVGM_FN double total(bool is_weighted) const { return LN_2 * (is_weighted ? sum_of(weighted) : product.total()); }
};

// Fetches a group of rows of the next tile while this one is worked on.
template <class Real> GPUVGM_FN void fetch(const Real* x, int features) {
    if (features <= MOST_FETCHED) {
        for (int64_t j = 0; j < (int64_t)GROUP * LANES * features; j += 64 / sizeof(Real)) {
            __builtin_prefetch(x + j, 0, 2);
        }
    }
}

// Eight rows whose shares of a component are all below 2^-100 add nothing to its moments: beside one row of its own
// they would have to lie 2^24 deviations away before a double noticed them. With distinct components most rows are
// such.
constexpr double LEAST_SHARE = 7.888609052210118e-31;

// Whether component k, whose density is largest at its mean, has no share of any row beside the densities so far: then
// 2^-1020 stands for it (exp2_nonpositive), however far the rows are. So it is with the surplus components of a fit.
GPUVGM_FN bool is_negligible(double coefficient, double best, const Lanes* top) {
    if (coefficient > best - 1020.0) {
        return false;
    }
    Lanes lowest = top[0];
    for (int v = 1; v < GROUP; ++v) {
        lowest = minimum(lowest, top[v]);
    }
    return !any_above(splat(coefficient) - lowest, -1020.0);
}

// Responsibilities of a group of rows, times their weights, in the place of its densities; and their sums.
template <bool DIAGONAL, bool WEIGHTED>
GPUVGM_FN void group_responsibilities(const FeatureWorkspace& work, const GaussianTable& table, int group,
                                      LogSum& log_sum) {
    const Densities<GROUP> densities{work.density + (int64_t)group * table.components * GROUP * LANES};
    Lanes top[GROUP], share[GROUP];
    for (int v = 0; v < GROUP; ++v) {
        top[v] = splat(-1e300);
    }
    double best = -1e300;  // no density so far is larger
    for (int k = 0; k < table.components; ++k) {
        Lanes density[GROUP];
        if (is_negligible(work.coefficients[k], best, top)) {
            for (int v = 0; v < GROUP; ++v) {
                store(densities.at(k, v), splat(work.coefficients[k]));
            }
            continue;
        }
        best = maximum(work.coefficients[k], best);
        group_density<DIAGONAL>(work, table, group, k, density);
        for (int v = 0; v < GROUP; ++v) {
            density[v] = maximum(density[v], splat(-1e300));  // a far row still has a component of share 1
            store(densities.at(k, v), density[v]);
            top[v] = maximum(density[v], top[v]);
        }
    }
    tile_exponentials(densities, table.components, top, share);
    for (int v = 0; v < GROUP; ++v) {
        const Lanes counted = load(work.counted + (group * GROUP + v) * LANES);
        if (WEIGHTED) {
            log_sum.weighted = fused(counted, top[v] + log2_positive(share[v]), log_sum.weighted);
        } else {
            log_sum.product.multiply(counted, top[v], share[v]);
        }
        share[v] = counted / share[v];
    }
    log_sum.product.set_exponent_aside();
    for (int k = 0; k < table.components; ++k) {
        Lanes count = load(work.counts + k * LANES);
        uint32_t present = 0;
        for (int v = 0; v < GROUP; ++v) {
            const Lanes e = load(densities.at(k, v)), r = e * share[v];
            present |= (uint32_t)any_above(e, LEAST_SHARE) << v;
            count = count + r;
            store(densities.at(k, v), r);
        }
        store(work.counts + k * LANES, count);
        work.present[k] = (group == 0 ? 0 : work.present[k]) | present << (group * GROUP);
    }
}

template <bool DIAGONAL, bool WEIGHTED, class Real>
void feature_rows(const Real* x, const double* weight, int64_t rows, const GaussianTable& table, double* partials) {
    const FeatureWorkspace work(table, LOG2_E);
    const int64_t width = table.width();
    for (int64_t start = 0; start < rows; start += CHUNK_ROWS, partials += width) {
        const int64_t end = start + CHUNK_ROWS < rows ? start + CHUNK_ROWS : rows;
        LogSum log_sum;
        for (int64_t j = 0; j < width; ++j) {
            partials[j] = 0.0;
        }
        for (int64_t j = 0; j < (int64_t)table.components * LANES; ++j) {
            work.counts[j] = 0.0;
        }
        for (int64_t i = start; i < end; i += FEATURE_ROWS) {
            load_tile(x + i * table.features, WEIGHTED ? weight + i : nullptr, rows - i, table, work);
            for (int g = 0; g < GROUPS; ++g) {
                group_responsibilities<DIAGONAL, WEIGHTED>(work, table, g, log_sum);
                fetch(x + (i + FEATURE_ROWS + g * (GROUP * LANES)) * table.features, table.features);
            }
            tile_moments<DIAGONAL>(work, table, partials);
        }
        for (int k = 0; k < table.components; ++k) {
            partials[k] = sum_of(load(work.counts + k * LANES));
        }
        partials[width - 1] = log_sum.total(WEIGHTED);
    }
}

template <bool DIAGONAL, class Real>
void feature_e_step(const Real* x, const double* weight, int64_t rows, const GaussianTable& table, double* partials) {
    if (weight) {
        feature_rows<DIAGONAL, true>(x, weight, rows, table, partials);
    } else {
        feature_rows<DIAGONAL, false>(x, nullptr, rows, table, partials);
    }
}

// ---- log densities by row ------------------------------------------------------------------------------------------

// Log densities of the tile's rows; `have` of them exist.
void write_densities(const FeatureWorkspace& work, int components, int64_t have, double* out) {
    for (int64_t row = 0; row < FEATURE_ROWS && row < have; row += LANES) {
        const int v = (int)(row / LANES);
        const double* from = work.density + ((int64_t)(v / GROUP) * components * GROUP + v % GROUP) * LANES;
        for (int first = 0; first < components; first += LANES) {
            const int wide = components - first < LANES ? components - first : LANES;
            Lanes values[LANES];
            for (int k = 0; k < LANES; ++k) {
                values[k] = k < wide ? load(from + (int64_t)(first + k) * GROUP * LANES) : splat(0.0);
            }
            transpose(values);
            for (int l = 0; l < LANES && row + l < have; ++l) {
                double* to = out + (row + l) * components + first;
                if (wide == LANES) {
                    store(to, values[l]);
                } else {
                    double part[LANES];
                    store(part, values[l]);
                    for (int k = 0; k < wide; ++k) {
                        to[k] = part[k];
                    }
                }
            }
        }
    }
}

template <bool DIAGONAL, class Real>
void feature_log_prob(const Real* x, int64_t rows, const GaussianTable& table, double* out) {
    const FeatureWorkspace work(table, 1.0);
    for (int64_t start = 0; start < rows; start += FEATURE_ROWS) {
        load_tile(x + start * table.features, nullptr, rows - start, table, work);
        for (int g = 0; g < GROUPS; ++g) {
            for (int k = 0; k < table.components; ++k) {
                const Densities<GROUP> densities{work.density + (int64_t)g * table.components * GROUP * LANES};
                Lanes density[GROUP];
                group_density<DIAGONAL>(work, table, g, k, density);
                for (int v = 0; v < GROUP; ++v) {
                    store(densities.at(k, v), density[v]);
                }
            }
        }
        write_densities(work, table.components, rows - start, out + start * table.components);
    }
}

// ---- entries -------------------------------------------------------------------------------------------------------

void e_step_features(const void* x, int value_bytes, const double* weight, int64_t rows, const GaussianTable& table,
                     double* partials) {
    if (value_bytes == 4) {
        table.diagonal ? feature_e_step<true>((const float*)x, weight, rows, table, partials)
                       : feature_e_step<false>((const float*)x, weight, rows, table, partials);
    } else {
        table.diagonal ? feature_e_step<true>((const double*)x, weight, rows, table, partials)
                       : feature_e_step<false>((const double*)x, weight, rows, table, partials);
    }
}

void log_prob(const void* x, int value_bytes, int64_t rows, const GaussianTable& table, double* density) {
    if (value_bytes == 4) {
        table.diagonal ? feature_log_prob<true>((const float*)x, rows, table, density)
                       : feature_log_prob<false>((const float*)x, rows, table, density);
    } else {
        table.diagonal ? feature_log_prob<true>((const double*)x, rows, table, density)
                       : feature_log_prob<false>((const double*)x, rows, table, density);
    }
}

}  // namespace
}  // namespace gpuvgm
