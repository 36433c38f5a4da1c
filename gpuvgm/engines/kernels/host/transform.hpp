// Transform (posterior, draw, position) by the law of double or of float, and inverse, a tile of rows at a time.
#pragma once
#include "e_step.hpp"
#include "rows.hpp"

namespace gpuvgm {
namespace {

// The mode that each row of some Lanes takes.
template <class Real> struct Mode {
    typename Law<Real>::template Mean<LanesOf<Real>> mean;
    LanesOf<Real> width, cell;
};
template <class Real> GPUVGM_FN Mode<Real> mode_of(const DrawTable<Real>& table, int k) {
    return {component_of(table.mixture, k).mean, splat(table.widths[k]), splat(table.cells[k])};
}
template <class Real>
GPUVGM_FN Mode<Real> select_le(LanesOf<Real> a, LanesOf<Real> b, const Mode<Real>& yes, const Mode<Real>& no) {
    return {select_le(a, b, yes.mean, no.mean), select_le(a, b, yes.width, no.width),
            select_le(a, b, yes.cell, no.cell)};
}

// Rows of a tile as their law takes them, and what is finite just where a row is.
GPUVGM_FN void read_tile(const double* x, const MixtureTable& table, Lanes* row) {
    for (int v = 0; v < DRAW_TILE; ++v) {
        row[v] = load(x + v * LANES) * splat(table.scale) - splat(table.centre);
    }
}
GPUVGM_FN Lanes checked(const double* x, const Lanes*, int v) { return load(x + v * LANES); }

typedef HalvesOf<LanesOf<float>> Float32Row;
GPUVGM_FN void read_tile(const double* x, const Float32MixtureTable& table, Float32Row* row) {
    constexpr int SIZE = LanesOf<float>::SIZE;
    alignas(64) float high[DRAW_TILE * SIZE], low[DRAW_TILE * SIZE];
    for (int j = 0; j < DRAW_TILE * SIZE; ++j) {
        const Halves halves = halves_of(x[j], table.exponent);
        high[j] = halves.high;
        low[j] = halves.low;
    }
    for (int v = 0; v < DRAW_TILE; ++v) {
        row[v] = {load(high + v * SIZE), load(low + v * SIZE)};
    }
}
GPUVGM_FN LanesOf<float> checked(const double*, const Float32Row* row, int v) { return row[v].high; }

// Inverse-CDF draw over the active components, each with `floor` of the whole posterior added.
template <class Real, class Row>
GPUVGM_FN void choose_drawn(const Workspace<DRAW_TILE, Real>& work, const DrawTable<Real>& table, const Row* row,
                            const Real* uniforms, Mode<Real>* chosen) {
    LanesOf<Real> top[DRAW_TILE], total[DRAW_TILE], threshold[DRAW_TILE], sum[DRAW_TILE];
    tile_densities(work, table.mixture, row, top);
    tile_exponentials(work, table.mixture.components, top, total, table.active, threshold);
    for (int v = 0; v < DRAW_TILE; ++v) {
        total[v] = splat(table.floor) * total[v];  // from here on the floor
        threshold[v] =
            threshold_of(load(uniforms + v * LanesOf<Real>::SIZE), splat((Real)table.active), total[v], threshold[v]);
        sum[v] = splat((Real)0);
    }
    for (int k = 0; k + 1 < table.active; ++k) {
        const Mode<Real> mode = mode_of(table, k + 1);
        for (int v = 0; v < DRAW_TILE; ++v) {
            sum[v] = sum[v] + (load(work.at(k, v)) + total[v]);
            chosen[v] = select_le(sum[v], threshold[v], mode, chosen[v]);
        }
    }
}

// The most probable active component; ties go to the lower index.
template <class Real, class Row>
GPUVGM_FN void choose_most_probable(const DrawTable<Real>& table, const Row* row, Mode<Real>* chosen) {
    LanesOf<Real> top[DRAW_TILE];
    for (int v = 0; v < DRAW_TILE; ++v) {
        top[v] = maximum(component_of(table.mixture, 0).density(row[v]), splat(Law<Real>::LOWEST));
    }
    for (int k = 1; k < table.active; ++k) {
        const Component<Real> component = component_of(table.mixture, k);
        const Mode<Real> mode = mode_of(table, k);
        for (int v = 0; v < DRAW_TILE; ++v) {
            const LanesOf<Real> density = component.density(row[v]);
            chosen[v] = select_le(density, top[v], chosen[v], mode);
            top[v] = maximum(density, top[v]);
        }
    }
}

template <class Real, bool DRAWN>
void transform_rows(const double* x, int64_t rows, const DrawTable<Real>& table, const Draw<Real>& draw,
                    const Output& out) {
    constexpr int SIZE = LanesOf<Real>::SIZE, ROWS = DRAW_TILE * SIZE, BATCH_ROWS = DRAW_ROWS / ROWS * ROWS;
    static_assert(ROWS % 4 == 0, "a tile holds whole counters");
    const Workspace<DRAW_TILE, Real> work(table.mixture.components);
    const LanesOf<Real> limit = splat(table.limit), missing = splat(table.missing_cell), zero = splat((Real)0);
    alignas(64) double x_end[ROWS];
    alignas(64) Real scalars[ROWS], cells[ROWS], drawn[BATCH_ROWS + ROWS] = {};
    for (int64_t i = 0; i < rows; i += ROWS) {
        const int64_t have = rows - i < ROWS ? rows - i : ROWS;
        if (DRAWN && i % BATCH_ROWS == 0) {
            const int count = (int)(rows - i < BATCH_ROWS ? rows - i : BATCH_ROWS);
            if (draw.uniforms) {
                __builtin_memcpy(drawn, draw.uniforms + i, sizeof(Real) * count);
            } else {
                draw_uniforms(draw, draw.first_row + i, count, drawn);
            }
        }
        const double* tile = full_tile<ROWS / LANES>(x + i, have, __builtin_nan(""), x_end);
        std::conditional_t<std::is_same_v<Real, float>, Float32Row, Lanes> row[DRAW_TILE];
        Mode<Real> chosen[DRAW_TILE];
        read_tile(tile, table.mixture, row);
        for (int v = 0; v < DRAW_TILE; ++v) {
            chosen[v] = mode_of(table, 0);
        }
        if (DRAWN) {
            choose_drawn(work, table, row, drawn + i % BATCH_ROWS, chosen);
        } else {
            choose_most_probable(table, row, chosen);
        }
        for (int v = 0; v < DRAW_TILE; ++v) {
            const LanesOf<Real> number = checked(tile, row, v), deviation = deviation_of(row[v], chosen[v].mean);
            const LanesOf<Real> scalar = Law<Real>::position(deviation, chosen[v].width, limit);
            store(scalars + v * SIZE, select_finite(number, scalar, zero));
            store(cells + v * SIZE, select_finite(number, chosen[v].cell, missing));
        }
        out.write<ROWS>(i, have, scalars, cells);
    }
}

template <class Real>
void transform(const double* x, int64_t rows, const DrawTable<Real>& table, const Draw<Real>& draw, void* scalar,
               int scalar_bytes, void* cell, int cell_bytes) {
    const Output out{scalar, cell, scalar_bytes, cell_bytes};
    if (draw.most_probable || table.active == 1) {
        transform_rows<Real, false>(x, rows, table, draw, out);
    } else {
        transform_rows<Real, true>(x, rows, table, draw, out);
    }
}

template <class Scalar, class CellIndex>
int64_t inverse_rows(const Scalar* scalar, const CellIndex* cell, int64_t rows, const InverseTable& table,
                     double* value) {
    CellIndex largest = 0;
    for (int64_t i = 0; i < rows; ++i) {
        largest = cell[i] > largest ? cell[i] : largest;
    }
    if (rows > 0 && largest >= table.cells) {
        for (int64_t i = 0; i < rows; ++i) {
            if (cell[i] >= table.cells) {
                return i;
            }
        }
    }
    const double factor = 1.0 / table.scale, centre = table.centre, limit = table.limit;
    const double *means = table.means, *widths = table.widths;
    for (int64_t i = 0; i < rows; ++i) {
        const double y = value_of_position((double)scalar[i], means[cell[i]], widths[cell[i]], limit);
        value[i] = (y + centre) * factor;
    }
    return -1;
}

int64_t inverse_transform(const void* scalar, int scalar_bytes, const void* cell, int cell_bytes, int64_t rows,
                          const InverseTable& table, double* value) {
    if (scalar_bytes == 4) {
        return cell_bytes == 1 ? inverse_rows((const float*)scalar, (const uint8_t*)cell, rows, table, value)
                               : inverse_rows((const float*)scalar, (const uint16_t*)cell, rows, table, value);
    }
    return cell_bytes == 1 ? inverse_rows((const double*)scalar, (const uint8_t*)cell, rows, table, value)
                           : inverse_rows((const double*)scalar, (const uint16_t*)cell, rows, table, value);
}

}  // namespace
}  // namespace gpuvgm
