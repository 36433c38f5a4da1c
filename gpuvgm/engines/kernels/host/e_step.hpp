// E-step over rows and over weighted cells: responsibilities and their sums, 4,096 rows at a time.
#pragma once
#include "host.hpp"
#include "lanes.hpp"

namespace gpuvgm {
namespace {

// log2 densities of a tile of T Lanes, then what they become; (components, T, LANES).
template <int T> struct Densities {
    double* density;

    GPUVGM_FN double* at(int component, int v) const { return density + (component * T + v) * LANES; }
};

// Room for one tile of T Lanes and one chunk of any number of components, on 64-byte borders.
template <int T> struct Workspace : Densities<T> {
    using Densities<T>::density;
    double* sums;  // (components, 3, LANES): of r, r d and r d^2
    void* memory;

    explicit Workspace(int components) {
        memory = __builtin_malloc(sizeof(Lanes) * (T + 3) * components + 64);
        density = (double*)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
        sums = this->at(components, 0);
    }
    ~Workspace() { __builtin_free(memory); }
    Workspace(const Workspace&) = delete;

    void clear(int components) {
        for (int j = 0; j < 3 * LANES * components; ++j) {
            sums[j] = 0;
        }
    }
};

// A component in every lane.
struct Component {
    Lanes mean, half_precision, coefficient;

    GPUVGM_FN Lanes density(Lanes row) const { return log_density(row - mean, half_precision, coefficient); }
};
GPUVGM_FN Component component_of(const MixtureTable& table, int k) {
    return {splat(table.means[k]), splat(table.half_precisions[k]), splat(table.coefficients[k])};
}

// Sums of one component while a tile is added to them.
struct Moments {
    Lanes count, first, second;

    explicit GPUVGM_FN Moments(const double* from)
        : count(load(from)), first(load(from + LANES)), second(load(from + 2 * LANES)) {}
    GPUVGM_FN void keep(double* to) const {
        store(to, count);
        store(to + LANES, first);
        store(to + 2 * LANES, second);
    }
};

// Copies rows into a full tile; what is beyond the end is NaN in `x` (so it counts for nothing) and 0 in a weight.
template <int T> GPUVGM_FN const double* full_tile(const double* rows, int64_t have, double filler, double* padded) {
    if (have >= T * LANES) {
        return rows;
    }
    for (int j = 0; j < T * LANES; ++j) {
        padded[j] = j < have ? rows[j] : filler;
    }
    return padded;
}

template <int T>
GPUVGM_FN void write_partials(const Workspace<T>& work, int components, double log_norm, double* partials) {
    for (int k = 0; k < components; ++k) {
        const Moments sums(work.sums + 3 * LANES * k);
        partials[k] = sum_of(sums.count);
        partials[components + k] = sum_of(sums.first);
        partials[2 * components + k] = sum_of(sums.second);
    }
    partials[3 * components] = log_norm;
}

// log2 densities of a tile into work.density, their maximum into `top`.
template <int T>
GPUVGM_FN void tile_densities(const Workspace<T>& work, const MixtureTable& table, const Lanes* row, Lanes* top) {
    for (int v = 0; v < T; ++v) {
        top[v] = splat(LOWEST_DRAWN);
    }
    for (int k = 0; k < table.components; ++k) {
        const Component component = component_of(table, k);
        for (int v = 0; v < T; ++v) {
            const Lanes density = component.density(row[v]);
            store(work.at(k, v), density);
            top[v] = maximum(density, top[v]);
        }
    }
}

// Densities relative to the largest, and their sum; where it is asked for, also that of the first `active`.
template <int T>
GPUVGM_FN void tile_exponentials(const Densities<T>& work, int components, const Lanes* top, Lanes* sum, int active = 0,
                                 Lanes* active_sum = nullptr) {
    for (int v = 0; v < T; ++v) {
        sum[v] = splat(0.0);
    }
    for (int k = 0; k < components; ++k) {
        for (int v = 0; v < T; ++v) {
            const Lanes e = exp2_nonpositive(load(work.at(k, v)) - top[v]);
            store(work.at(k, v), e);
            sum[v] = sum[v] + e;
        }
        if (active_sum && k + 1 == active) {
            for (int v = 0; v < T; ++v) {
                active_sum[v] = sum[v];
            }
        }
    }
}

// Sum of log2 densities over rows that count once or not at all, by the product of the rows' sums: its exponent is set
// aside after every tile, which changes no bit of the mantissa.
struct LogProduct {
    Lanes top = splat(0.0), exponent = splat(0.0), mantissa = splat(1.0);

    GPUVGM_FN void multiply(Lanes counted, Lanes tile_top, Lanes sum) {
        const Lanes one = splat(1.0);
        top = fused(counted, tile_top, top);
        mantissa = mantissa * fused(counted, sum - one, one);  // the sum is at least 1, so sum - 1 is exact
    }
    GPUVGM_FN void set_exponent_aside() {
        exponent = exponent + exponent_of(mantissa);
        mantissa = mantissa_of(mantissa);
    }
    GPUVGM_FN double total() const { return sum_of(top + (exponent + log2_positive(mantissa))); }
};

template <bool WEIGHTED, int T>
void e_step_chunk(const double* x, const double* weight, int64_t rows, const MixtureTable& table, Workspace<T>& work,
                  double* partials) {
    const Lanes scale = splat(table.scale), centre = splat(table.centre), anywhere = splat(table.means[0]);
    alignas(64) double x_end[T * LANES], weight_end[T * LANES];
    LogProduct product;
    Lanes weighted_log = splat(0.0);
    work.clear(table.components);
    for (int64_t i = 0; i < rows; i += T * LANES) {
        const double* tile = full_tile<T>(x + i, rows - i, __builtin_nan(""), x_end);
        const double* tile_weight = WEIGHTED ? full_tile<T>(weight + i, rows - i, 0.0, weight_end) : nullptr;
        Lanes y[T], top[T], share[T], counted[T];
        for (int v = 0; v < T; ++v) {
            const Lanes row = load(tile + v * LANES);
            const Lanes given = WEIGHTED ? load(tile_weight + v * LANES) : splat(1.0);
            y[v] = select_finite(row, row * scale - centre, anywhere);
            counted[v] = select_finite(row, given, splat(0.0));
        }
        tile_densities(work, table, y, top);
        tile_exponentials(work, table.components, top, share);
        for (int v = 0; v < T; ++v) {
            if (WEIGHTED) {
                weighted_log = fused(counted[v], top[v] + log2_positive(share[v]), weighted_log);
            } else {
                product.multiply(counted[v], top[v], share[v]);
            }
            share[v] = counted[v] / share[v];
        }
        product.set_exponent_aside();
        for (int k = 0; k < table.components; ++k) {
            const Lanes mean = splat(table.means[k]);
            Moments sums(work.sums + 3 * LANES * k);
            for (int v = 0; v < T; ++v) {
                const Lanes r = load(work.at(k, v)) * share[v], d = y[v] - mean, rd = r * d;
                sums.count = sums.count + r;
                sums.first = sums.first + rd;
                sums.second = fused(rd, d, sums.second);
            }
            sums.keep(work.sums + 3 * LANES * k);
        }
    }
    write_partials(work, table.components, WEIGHTED ? sum_of(weighted_log) : product.total(), partials);
}

void e_step_rows(const double* x, const double* weight, int64_t rows, const MixtureTable& table, double* partials) {
    Workspace<E_STEP_TILE> work(table.components);
    for (int64_t start = 0; start < rows; start += CHUNK_ROWS, partials += 3 * table.components + 1) {
        const int64_t size = rows - start < CHUNK_ROWS ? rows - start : CHUNK_ROWS;
        if (weight) {
            e_step_chunk<true>(x + start, weight + start, size, table, work, partials);
        } else {
            e_step_chunk<false>(x + start, nullptr, size, table, work, partials);
        }
    }
}

// A chunk of cells: the sums of their rows to second order in the cells' scatter. With g_k the slope and
// -lambda_k the curvature of component k's log density at the cell's mean, r' = r (g - gbar) and
// r'' = r (g^2 - lambda) - 2 gbar r' - r sum_j r_j (g_j^2 - lambda_j).
template <int T>
void e_step_cell_chunk(const double* mean, const double* weight, const double* scatter, int64_t cells,
                       const MixtureTable& table, Workspace<T>& work, double* partials) {
    const Lanes half = splat(0.5), log2_e = splat(1.4426950408889634);
    alignas(64) double ends[3][T * LANES];
    Lanes log_norm = splat(0.0);
    work.clear(table.components);
    for (int64_t i = 0; i < cells; i += T * LANES) {
        const double* tile = full_tile<T>(mean + i, cells - i, table.means[0], ends[0]);
        const double* tile_weight = full_tile<T>(weight + i, cells - i, 0.0, ends[1]);
        const double* tile_scatter = full_tile<T>(scatter + i, cells - i, 0.0, ends[2]);
        Lanes y[T], top[T], share[T], slope[T], curve[T], half_scatter[T], twice_slope[T];
        for (int v = 0; v < T; ++v) {
            y[v] = load(tile + v * LANES);
            slope[v] = splat(0.0);
            curve[v] = splat(0.0);
        }
        tile_densities(work, table, y, top);
        tile_exponentials(work, table.components, top, share);
        for (int v = 0; v < T; ++v) {
            top[v] = top[v] + log2_positive(share[v]);
            share[v] = splat(1.0) / share[v];
        }
        for (int k = 0; k < table.components; ++k) {
            const Lanes lambda = splat(2.0 * 0.6931471805599453 * table.half_precisions[k]),
                        centre = splat(table.means[k]);
            for (int v = 0; v < T; ++v) {
                const Lanes r = share_of_cell(load(work.at(k, v)), share[v]), g = (centre - y[v]) * lambda;
                store(work.at(k, v), r);
                slope[v] = fused(r, g, slope[v]);
                curve[v] = fused(r, fused(g, g, -lambda), curve[v]);
            }
        }
        for (int v = 0; v < T; ++v) {
            const Lanes n = load(tile_weight + v * LANES), m2 = load(tile_scatter + v * LANES);
            const Lanes bend = (curve[v] - slope[v] * slope[v]) * log2_e;
            half_scatter[v] = half * m2;
            log_norm = log_norm + fused(n, top[v], half_scatter[v] * bend);
            twice_slope[v] = slope[v] + slope[v];
        }
        for (int k = 0; k < table.components; ++k) {
            const Lanes lambda = splat(2.0 * 0.6931471805599453 * table.half_precisions[k]),
                        centre = splat(table.means[k]);
            Moments sums(work.sums + 3 * LANES * k);
            for (int v = 0; v < T; ++v) {
                const Lanes n = load(tile_weight + v * LANES), m2 = load(tile_scatter + v * LANES);
                const Lanes r = load(work.at(k, v)), to_centre = centre - y[v], g = to_centre * lambda;
                const Lanes r1 = r * (g - slope[v]);
                const Lanes r2 = r * (fused(g, g, -lambda) - curve[v]) - twice_slope[v] * r1;
                const Lanes count = fused(half_scatter[v], r2, n * r), shift = m2 * r1;
                sums.count = sums.count + count;
                sums.first = sums.first + fused_minus(to_centre, count, shift);
                sums.second =
                    sums.second + fused_minus(to_centre, fused_minus(to_centre, count, shift + shift), m2 * r);
            }
            sums.keep(work.sums + 3 * LANES * k);
        }
    }
    write_partials(work, table.components, sum_of(log_norm), partials);
}

void e_step_cells(const double* mean, const double* weight, const double* scatter, int64_t cells,
                  const MixtureTable& table, double* partials) {
    Workspace<CELL_TILE> work(table.components);
    for (int64_t start = 0; start < cells; start += CHUNK_ROWS, partials += 3 * table.components + 1) {
        const int64_t size = cells - start < CHUNK_ROWS ? cells - start : CHUNK_ROWS;
        e_step_cell_chunk(mean + start, weight + start, scatter + start, size, table, work, partials);
    }
}

// Weight of the rows whose most probable component is k (ties: the lower index); NaN counts for nothing.
void count_most_probable(const double* x, const double* weight, int64_t rows, const MixtureTable& table,
                         double* counts) {
    for (int64_t i = 0; i < rows; ++i) {
        const double y = x[i] * table.scale - table.centre;
        double top = -1e300;
        int best = -1;
        for (int k = 0; k < table.components; ++k) {
            const double density = log_density(y - table.means[k], table.half_precisions[k], table.coefficients[k]);
            if (density > top) {
                top = density;
                best = k;
            }
        }
        if (best >= 0) {
            counts[best] += weight ? weight[i] : 1.0;
        }
    }
}

}  // namespace
}  // namespace gpuvgm
