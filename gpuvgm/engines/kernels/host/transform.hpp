// Transform (posterior, draw, position) and inverse, a tile of rows at a time.
#pragma once
#include "e_step.hpp"
#include "rows.hpp"

namespace gpuvgm {
namespace {

constexpr int TILE_ROWS = DRAW_TILE * LANES;

// Mean, width and cell of the mode that each row of a tile takes.
struct Chosen {
    Lanes mean[DRAW_TILE], width[DRAW_TILE], cell[DRAW_TILE];
};

// Inverse-CDF draw over the active components, each with `floor` of the whole posterior added.
GPUVGM_FN void choose_drawn(const Workspace<DRAW_TILE>& work, const MixtureTable& table, const DrawTable& active,
                            const Lanes* total, const double* uniforms, Chosen* chosen) {
    Lanes floor[DRAW_TILE], threshold[DRAW_TILE], sum[DRAW_TILE];
    for (int v = 0; v < DRAW_TILE; ++v) {
        threshold[v] = splat(0.0);
    }
    for (int k = 0; k < active.active; ++k) {
        for (int v = 0; v < DRAW_TILE; ++v) {
            threshold[v] = threshold[v] + load(work.at(k, v));
        }
    }
    for (int v = 0; v < DRAW_TILE; ++v) {
        floor[v] = splat(active.floor) * total[v];
        threshold[v] = threshold_of(load(uniforms + v * LANES), splat((double)active.active), floor[v], threshold[v]);
        sum[v] = splat(0.0);
    }
    for (int k = 0; k + 1 < active.active; ++k) {
        const Lanes mean = splat(table.means[k + 1]), width = splat(active.widths[k + 1]),
                    cell = splat(active.cells[k + 1]);
        for (int v = 0; v < DRAW_TILE; ++v) {
            sum[v] = sum[v] + (load(work.at(k, v)) + floor[v]);
            chosen->mean[v] = select_le(sum[v], threshold[v], mean, chosen->mean[v]);
            chosen->width[v] = select_le(sum[v], threshold[v], width, chosen->width[v]);
            chosen->cell[v] = select_le(sum[v], threshold[v], cell, chosen->cell[v]);
        }
    }
}

// The most probable active component; ties go to the lower index.
GPUVGM_FN void choose_most_probable(const MixtureTable& table, const DrawTable& active, const Lanes* y,
                                    Chosen* chosen) {
    Lanes top[DRAW_TILE];
    for (int v = 0; v < DRAW_TILE; ++v) {
        top[v] = splat(-1.7976931348623157e308);
    }
    for (int k = 0; k < active.active; ++k) {
        const Lanes mean = splat(table.means[k]), half = splat(table.half_precisions[k]);
        const Lanes coefficient = splat(table.coefficients[k]), width = splat(active.widths[k]),
                    cell = splat(active.cells[k]);
        for (int v = 0; v < DRAW_TILE; ++v) {
            const Lanes density = log_density(y[v] - mean, half, coefficient);
            chosen->mean[v] = select_le(density, top[v], chosen->mean[v], mean);
            chosen->width[v] = select_le(density, top[v], chosen->width[v], width);
            chosen->cell[v] = select_le(density, top[v], chosen->cell[v], cell);
            top[v] = maximum(density, top[v]);
        }
    }
}

template <bool DRAWN>
void transform_rows(const double* x, int64_t rows, const MixtureTable& table, const DrawTable& active, const Draw& draw,
                    const Output& out) {
    constexpr int BATCH_ROWS = DRAW_ROWS / TILE_ROWS * TILE_ROWS;
    static_assert(TILE_ROWS % 4 == 0, "a tile holds whole counters");
    Workspace<DRAW_TILE> work(table.components);
    const Lanes scale = splat(table.scale), centre = splat(table.centre), limit = splat(active.limit);
    const Lanes missing = splat(active.missing_cell), zero = splat(0.0);
    alignas(64) double x_end[TILE_ROWS], scalars[TILE_ROWS], cells[TILE_ROWS];
    alignas(64) double drawn[BATCH_ROWS + TILE_ROWS] = {};
    for (int64_t i = 0; i < rows; i += TILE_ROWS) {
        const int64_t have = rows - i < TILE_ROWS ? rows - i : TILE_ROWS;
        if (DRAWN && i % BATCH_ROWS == 0) {
            const int count = (int)(rows - i < BATCH_ROWS ? rows - i : BATCH_ROWS);
            if (draw.uniforms) {
                __builtin_memcpy(drawn, draw.uniforms + i, sizeof(double) * count);
            } else {
                draw_uniforms<double, uniform_of>(draw, draw.first_row + i, count, drawn);
            }
        }
        const double* tile = full_tile<DRAW_TILE>(x + i, have, __builtin_nan(""), x_end);
        Lanes y[DRAW_TILE], top[DRAW_TILE], total[DRAW_TILE];
        Chosen chosen;
        for (int v = 0; v < DRAW_TILE; ++v) {
            y[v] = load(tile + v * LANES) * scale - centre;
            chosen.mean[v] = splat(table.means[0]);
            chosen.width[v] = splat(active.widths[0]);
            chosen.cell[v] = splat(active.cells[0]);
        }
        if (DRAWN) {
            tile_densities(work, table, y, top);
            tile_exponentials(work, table.components, top, total);
            choose_drawn(work, table, active, total, drawn + i % BATCH_ROWS, &chosen);
        } else {
            choose_most_probable(table, active, y, &chosen);
        }
        for (int v = 0; v < DRAW_TILE; ++v) {
            const Lanes row = load(tile + v * LANES);
            const Lanes scalar = position_in_mode(y[v], chosen.mean[v], chosen.width[v], limit);
            store(scalars + v * LANES, select_finite(row, scalar, zero));
            store(cells + v * LANES, select_finite(row, chosen.cell[v], missing));
        }
        out.write<TILE_ROWS>(i, have, scalars, cells);
    }
}

void transform(const double* x, int64_t rows, const MixtureTable& table, const DrawTable& active, const Draw& draw,
               void* scalar, int scalar_bytes, void* cell, int cell_bytes) {
    const Output out{scalar, cell, scalar_bytes, cell_bytes};
    if (draw.most_probable || active.active == 1) {
        transform_rows<false>(x, rows, table, active, draw, out);
    } else {
        transform_rows<true>(x, rows, table, active, draw, out);
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
