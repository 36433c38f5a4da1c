// A tile of rows over several features: laid out by feature, it stays in the cache while every component passes over
// it. The densities come from panels of four columns of P whose sums stay in registers. How many Lanes a panel spans
// moves no sum from its place, so every instruction set gives the same bits.
#pragma once
#include "../vgm_special.cuh"
#include "e_step.hpp"
#include "host.hpp"
#include "lanes.hpp"

namespace gpuvgm {
namespace {

// Lanes of a tile, and how it is divided.
constexpr int FEATURE_TILE = 32, GROUP = E_STEP_TILE, GROUPS = FEATURE_TILE / GROUP;
constexpr int FEATURE_ROWS = FEATURE_TILE * LANES, PANEL = 4;
constexpr double LOG2_E = 1.4426950408889634;
static_assert(FEATURE_TILE == 32, "one bit of a word a Lanes");
static_assert(CHUNK_ROWS % FEATURE_ROWS == 0 && GROUP % PANEL_TILE == 0, "tiles divide chunks, panels divide groups");

// Room for one tile of any number of components and features, and the table in the order of its use.
struct FeatureWorkspace {
    double* rows;          // (GROUPS, features, GROUP, LANES): x - centre
    double* density;       // (GROUPS, components, GROUP, LANES): densities, then responsibilities
    double* counted;       // (FEATURE_TILE, LANES): weights; 0 beyond the end
    double* counts;        // (components, LANES): sums of responsibilities
    double* factors;       // (components, moments): P by panels, or half the precisions
    double* coefficients;  // (components,)
    uint32_t* present;     // (components,): which Lanes of the tile have a share in the component's moments
    void* memory;

    // `unit` is log2 e for densities to base 2, 1 for natural ones.
    FeatureWorkspace(const GaussianTable& table, double unit) {
        const int64_t k = table.components, tile = FEATURE_ROWS * (table.features + k + 1);
        memory = __builtin_malloc(sizeof(double) * (tile + k * (LANES + table.moments() + 2)) + 64);
        rows = (double*)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
        density = rows + (int64_t)FEATURE_ROWS * table.features;
        counted = density + FEATURE_ROWS * k;
        counts = counted + FEATURE_ROWS;
        factors = counts + LANES * k;
        coefficients = factors + k * table.moments();
        present = (uint32_t*)(coefficients + k);
        for (int c = 0; c < table.components; ++c) {
            coefficients[c] = table.coefficients[c] * unit;
        }
        table.diagonal ? keep_diagonals(table, 0.5 * unit) : keep_panels(table, __builtin_sqrt(0.5 * unit));
    }
    ~FeatureWorkspace() { __builtin_free(memory); }
    FeatureWorkspace(const FeatureWorkspace&) = delete;

    void keep_diagonals(const GaussianTable& table, double half) {
        for (int64_t j = 0; j < (int64_t)table.components * table.features; ++j) {
            factors[j] = half * table.precisions[j] * table.precisions[j];
        }
    }
    void keep_panels(const GaussianTable& table, double root) {
        const int64_t features = table.features;
        double* to = factors;
        for (int64_t k = 0; k < table.components; ++k) {
            for (int64_t first = 0; first < features; first += PANEL) {
                const int64_t end = first + PANEL < features ? first + PANEL : features;
                for (int64_t i = 0; i < end; ++i) {
                    for (int64_t j = i < first ? first : i; j < end; ++j) {
                        *to++ = root * table.precisions[(k * features + i) * features + j];
                    }
                }
            }
        }
    }
};

// ---- rows into a tile ----------------------------------------------------------------------------------------------

// Eight rows from feature `first` on, by feature. What is beyond the row's end is never used; `readable` says that it
// may be read.
template <class Real>
GPUVGM_FN void eight_rows(const Real* x, int64_t have, int features, int first, bool readable, Lanes* out) {
#pragma GCC unroll 8
    for (int l = 0; l < LANES; ++l) {
        if (readable) {
            out[l] = load(x + (int64_t)l * features + first);
        } else {
            double row[LANES] = {};
            for (int f = first; f < features && f < first + LANES && l < have; ++f) {
                row[f - first] = x[(int64_t)l * features + f];
            }
            out[l] = load(row);
        }
    }
    transpose(out);
}

// Rows about the centre, by feature. Rows of weight 0 and rows beyond the end lie in the centre, whatever they hold.
template <class Real>
void load_tile(const Real* x, const double* weight, int64_t rows_left, const GaussianTable& table,
               const FeatureWorkspace& work) {
    const int features = table.features;
    for (int v = 0; v < FEATURE_TILE; ++v) {
        const int64_t row = v * LANES, have = rows_left - row;
        double* counted = work.counted + row;
        for (int l = 0; l < LANES; ++l) {
            counted[l] = l >= have ? 0.0 : weight ? weight[row + l] : 1.0;
        }
        double* to = work.rows + ((int64_t)(v / GROUP) * features * GROUP + v % GROUP) * LANES;
        for (int first = 0; first < features; first += LANES) {
            Lanes values[LANES];
            const bool readable = (have - (LANES - 1)) * features >= first + LANES;
            eight_rows(x + row * features, have, features, first, readable, values);
            for (int f = first; f < features && f < first + LANES; ++f) {
                const Lanes y = values[f - first] - splat(table.centre[f]);
                store(to + (int64_t)f * GROUP * LANES, select_le(load(counted), splat(0.0), splat(0.0), y));
            }
        }
    }
}

// Calls function(integral constant S) with S = size, for 1 <= size <= MOST.
template <int S> struct Size {
    static constexpr int value = S;
};
template <int MOST, class Function> GPUVGM_FN void with_size(int size, Function function) {
    if constexpr (MOST > 1) {
        if (size < MOST) {
            with_size<MOST - 1>(size, function);
            return;
        }
    }
    function(Size<MOST>());
}

// ---- densities -----------------------------------------------------------------------------------------------------

// Subtracts the squares of columns first to first + J of d P from V densities; returns the next panel.
template <int J, int V>
GPUVGM_FN const double* panel(const double* factor, const double* means, const double* rows, int first,
                              Lanes* density) {
    Lanes z[J][V];
    for (int j = 0; j < J; ++j) {
        for (int v = 0; v < V; ++v) {
            z[j][v] = splat(0.0);
        }
    }
    for (int i = 0; i < first; ++i, rows += GROUP * LANES, factor += J) {
        const Lanes mean = splat(means[i]);
        for (int v = 0; v < V; ++v) {
            const Lanes d = load(rows + v * LANES) - mean;
            for (int j = 0; j < J; ++j) {
                z[j][v] = fused(d, splat(factor[j]), z[j][v]);
            }
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < J; ++i) {
        const Lanes mean = splat(means[first + i]);
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            const Lanes d = load(rows + (i * GROUP + v) * LANES) - mean;
#pragma GCC unroll 4
            for (int j = 0; j < J; ++j) {
                if (j >= i) {
                    z[j][v] = fused(d, splat(factor[i * J - i * (i - 1) / 2 + j - i]), z[j][v]);
                }
            }
        }
    }
    factor += J * (J + 1) / 2;
#pragma GCC unroll 4
    for (int j = 0; j < J; ++j) {
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            density[v] = fused_minus(z[j][v], z[j][v], density[v]);
        }
    }
    return factor;
}

template <int V>
GPUVGM_FN void full_density(const double* factor, const double* means, const double* rows, int features,
                            Lanes* density) {
    int first = 0;
    for (; first + PANEL <= features; first += PANEL) {
        factor = panel<PANEL, V>(factor, means, rows, first, density);
    }
    if (first < features) {
        with_size<PANEL - 1>(features - first, [&](auto j) { panel<j.value, V>(factor, means, rows, first, density); });
    }
}

template <int V>
GPUVGM_FN void diagonal_density(const double* half, const double* means, const double* rows, int features,
                                Lanes* density) {
    for (int f = 0; f < features; ++f, rows += GROUP * LANES) {
        const Lanes mean = splat(means[f]), h = splat(half[f]);
        for (int v = 0; v < V; ++v) {
            density[v] = log_density(load(rows + v * LANES) - mean, h, density[v]);
        }
    }
}

// Log densities of a group of rows and component k.
template <bool DIAGONAL>
GPUVGM_FN void group_density(const FeatureWorkspace& work, const GaussianTable& table, int group, int k,
                             Lanes* density) {
    const double* rows = work.rows + (int64_t)group * table.features * GROUP * LANES;
    const double* means = table.means + (int64_t)k * table.features;
    const double* factors = work.factors + k * table.moments();
    constexpr int V = DIAGONAL ? GROUP : PANEL_TILE;
    for (int v = 0; v < GROUP; v += V) {
        Lanes* here = density + v;
        for (int u = 0; u < V; ++u) {
            here[u] = splat(work.coefficients[k]);
        }
        if (DIAGONAL) {
            diagonal_density<V>(factors, means, rows + v * LANES, table.features, here);
        } else {
            full_density<V>(factors, means, rows + v * LANES, table.features, here);
        }
    }
}

}  // namespace
}  // namespace gpuvgm
