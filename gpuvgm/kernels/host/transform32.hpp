// Transform by the law of float32 (vgm_math32.cuh), a tile of rows at a time.
#pragma once
#include "lanes.hpp"
#include "rows.hpp"

namespace gpuvgm {
namespace {

constexpr int NARROW_ROWS = DRAW_TILE * LanesOf<float>::SIZE;

// Shares of the components of a tile; (components, DRAW_TILE, LanesOf<float>::SIZE), on a 64-byte border.
struct Shares {
    float* share;
    void* memory;

    explicit Shares(int components) {
        memory = __builtin_malloc(sizeof(float) * NARROW_ROWS * components + 64);
        share = (float*)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
    }
    ~Shares() { __builtin_free(memory); }
    Shares(const Shares&) = delete;

    GPUVGM_FN float* at(int component, int v) const {
        return share + (component * DRAW_TILE + v) * LanesOf<float>::SIZE;
    }
};

// Rows of a tile in two parts.
struct NarrowRows {
    LanesOf<float> high[DRAW_TILE], low[DRAW_TILE];

    GPUVGM_FN NarrowRows(const double* x, int64_t have, int exponent) {
        alignas(64) float highs[NARROW_ROWS], lows[NARROW_ROWS];
        if (have >= NARROW_ROWS) {
            for (int j = 0; j < NARROW_ROWS; ++j) {
                const Halves halves = halves_of(x[j], exponent);
                highs[j] = halves.high;
                lows[j] = halves.low;
            }
        } else {
            for (int j = 0; j < NARROW_ROWS; ++j) {
                const Halves halves = j < have ? halves_of(x[j], exponent) : Halves{__builtin_nanf(""), 0.0f};
                highs[j] = halves.high;
                lows[j] = halves.low;
            }
        }
        for (int v = 0; v < DRAW_TILE; ++v) {
            high[v] = load(highs + v * LanesOf<float>::SIZE);
            low[v] = load(lows + v * LanesOf<float>::SIZE);
        }
    }
};

// One component, in every lane.
struct NarrowComponent {
    LanesOf<float> mean_high, mean_low, root, coefficient;

    GPUVGM_FN NarrowComponent(const NarrowTable& table, int k)
        : mean_high(splat(table.mean_high[k])),
          mean_low(splat(table.mean_low[k])),
          root(splat(table.root_precisions[k])),
          coefficient(splat(table.coefficients[k])) {}
    GPUVGM_FN LanesOf<float> density(const NarrowRows& rows, int v) const {
        return log_density_of(deviation_of(rows.high[v], rows.low[v], mean_high, mean_low), root, coefficient);
    }
};

// Mean, width and cell of the mode that each row of a tile takes.
struct NarrowChosen {
    LanesOf<float> mean_high[DRAW_TILE], mean_low[DRAW_TILE], width[DRAW_TILE], cell[DRAW_TILE];

    explicit GPUVGM_FN NarrowChosen(const NarrowTable& table) {
        for (int v = 0; v < DRAW_TILE; ++v) {
            mean_high[v] = splat(table.mean_high[0]);
            mean_low[v] = splat(table.mean_low[0]);
            width[v] = splat(table.widths[0]);
            cell[v] = splat(table.cells[0]);
        }
    }
    // Rows with a <= b take component k, or keep what they have while the others take it.
    GPUVGM_FN void take_where_le(LanesOf<float> a, LanesOf<float> b, const NarrowTable& table, int k, int v) {
        mean_high[v] = select_le(a, b, splat(table.mean_high[k]), mean_high[v]);
        mean_low[v] = select_le(a, b, splat(table.mean_low[k]), mean_low[v]);
        width[v] = select_le(a, b, splat(table.widths[k]), width[v]);
        cell[v] = select_le(a, b, splat(table.cells[k]), cell[v]);
    }
    GPUVGM_FN void keep_where_le(LanesOf<float> a, LanesOf<float> b, const NarrowTable& table, int k, int v) {
        mean_high[v] = select_le(a, b, mean_high[v], splat(table.mean_high[k]));
        mean_low[v] = select_le(a, b, mean_low[v], splat(table.mean_low[k]));
        width[v] = select_le(a, b, width[v], splat(table.widths[k]));
        cell[v] = select_le(a, b, cell[v], splat(table.cells[k]));
    }
};

// Inverse-CDF draw over the active components, each with `floor` of the whole posterior added.
GPUVGM_FN void choose_drawn(const Shares& shares, const NarrowTable& table, const NarrowRows& rows,
                            const float* uniforms, NarrowChosen* chosen) {
    LanesOf<float> top[DRAW_TILE], total[DRAW_TILE], threshold[DRAW_TILE], sum[DRAW_TILE];
    for (int v = 0; v < DRAW_TILE; ++v) {
        top[v] = splat(-LARGEST_FLOAT);
        total[v] = threshold[v] = sum[v] = splat(0.0f);
    }
    for (int k = 0; k < table.components; ++k) {
        const NarrowComponent component(table, k);
        for (int v = 0; v < DRAW_TILE; ++v) {
            const LanesOf<float> density = component.density(rows, v);
            store(shares.at(k, v), density);
            top[v] = maximum(density, top[v]);
        }
    }
    for (int k = 0; k < table.components; ++k) {
        if (k == table.active) {
            for (int v = 0; v < DRAW_TILE; ++v) {
                threshold[v] = total[v];
            }
        }
        for (int v = 0; v < DRAW_TILE; ++v) {
            const LanesOf<float> share = exp2_narrow(load(shares.at(k, v)) - top[v]);
            store(shares.at(k, v), share);
            total[v] = total[v] + share;
        }
    }
    for (int v = 0; v < DRAW_TILE; ++v) {
        const LanesOf<float> active_sum = table.active == table.components ? total[v] : threshold[v];
        total[v] = splat(table.floor) * total[v];  // from here on the floor
        threshold[v] =
            threshold_of(load(uniforms + v * LanesOf<float>::SIZE), splat((float)table.active), total[v], active_sum);
    }
    for (int k = 0; k + 1 < table.active; ++k) {
        for (int v = 0; v < DRAW_TILE; ++v) {
            sum[v] = sum[v] + (load(shares.at(k, v)) + total[v]);
            chosen->take_where_le(sum[v], threshold[v], table, k + 1, v);
        }
    }
}

// The most probable active component; ties go to the lower index.
GPUVGM_FN void choose_most_probable(const NarrowTable& table, const NarrowRows& rows, NarrowChosen* chosen) {
    LanesOf<float> top[DRAW_TILE];
    {
        const NarrowComponent component(table, 0);
        for (int v = 0; v < DRAW_TILE; ++v) {
            top[v] = maximum(component.density(rows, v), splat(-LARGEST_FLOAT));
        }
    }
    for (int k = 1; k < table.active; ++k) {
        const NarrowComponent component(table, k);
        for (int v = 0; v < DRAW_TILE; ++v) {
            const LanesOf<float> density = component.density(rows, v);
            chosen->keep_where_le(density, top[v], table, k, v);
            top[v] = maximum(density, top[v]);
        }
    }
}

template <bool DRAWN>
void transform_narrow_rows(const double* x, int64_t rows, const NarrowTable& table, const Draw& draw,
                           const float* uniforms, const Output& out) {
    constexpr int BATCH_ROWS = DRAW_ROWS / NARROW_ROWS * NARROW_ROWS;
    static_assert(NARROW_ROWS % 4 == 0, "a tile holds whole counters");
    const Shares shares(table.components);
    const LanesOf<float> limit = splat(table.limit), missing = splat(table.missing_cell);
    alignas(64) float scalars[NARROW_ROWS], cells[NARROW_ROWS], drawn[BATCH_ROWS + NARROW_ROWS] = {};
    for (int64_t i = 0; i < rows; i += NARROW_ROWS) {
        const int64_t have = rows - i < NARROW_ROWS ? rows - i : NARROW_ROWS;
        if (DRAWN && i % BATCH_ROWS == 0) {
            const int count = (int)(rows - i < BATCH_ROWS ? rows - i : BATCH_ROWS);
            if (uniforms) {
                __builtin_memcpy(drawn, uniforms + i, sizeof(float) * count);
            } else {
                draw_uniforms<float, uniform_narrow>(draw, draw.first_row + i, count, drawn);
            }
        }
        const NarrowRows tile(x + i, have, table.exponent);
        NarrowChosen chosen(table);
        if (DRAWN) {
            choose_drawn(shares, table, tile, drawn + i % BATCH_ROWS, &chosen);
        } else {
            choose_most_probable(table, tile, &chosen);
        }
        for (int v = 0; v < DRAW_TILE; ++v) {
            const LanesOf<float> deviation =
                deviation_of(tile.high[v], tile.low[v], chosen.mean_high[v], chosen.mean_low[v]);
            const LanesOf<float> scalar = position_of(deviation, chosen.width[v], limit);
            store(scalars + v * LanesOf<float>::SIZE, select_finite(tile.high[v], scalar, splat(0.0f)));
            store(cells + v * LanesOf<float>::SIZE, select_finite(tile.high[v], chosen.cell[v], missing));
        }
        out.write<NARROW_ROWS>(i, have, scalars, cells);
    }
}

void transform_narrow(const double* x, int64_t rows, const NarrowTable& table, const Draw& draw, const float* uniforms,
                      void* scalar, int scalar_bytes, void* cell, int cell_bytes) {
    const Output out{scalar, cell, scalar_bytes, cell_bytes};
    if (draw.most_probable || table.active == 1) {
        transform_narrow_rows<false>(x, rows, table, draw, uniforms, out);
    } else {
        transform_narrow_rows<true>(x, rows, table, draw, uniforms, out);
    }
}

}  // namespace
}  // namespace gpuvgm
