// Transform by the law of float32 (vgm_math32.cuh), a tile of rows at a time.
#pragma once
#include "lanes32.hpp"
#include "rows.hpp"

namespace gpuvgm {
namespace {

constexpr int NARROW_ROWS = NARROW_TILE * NARROW_LANES;

// Shares of the components of a tile; (components, NARROW_TILE, NARROW_LANES), on a 64-byte border.
struct Shares {
    float* share;
    void* memory;

    explicit Shares(int components) {
        memory = __builtin_malloc(sizeof(float) * NARROW_ROWS * components + 64);
        share = (float*)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
    }
    ~Shares() { __builtin_free(memory); }
    Shares(const Shares&) = delete;

    GPUVGM_FN float* at(int component, int v) const { return share + (component * NARROW_TILE + v) * NARROW_LANES; }
};

// Rows of a tile in two parts.
struct NarrowRows {
    NarrowLanes high[NARROW_TILE], low[NARROW_TILE];

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
        for (int v = 0; v < NARROW_TILE; ++v) {
            high[v] = load_narrow(highs + v * NARROW_LANES);
            low[v] = load_narrow(lows + v * NARROW_LANES);
        }
    }
};

// One component, in every lane.
struct NarrowComponent {
    NarrowLanes mean_high, mean_low, root, coefficient;

    GPUVGM_FN NarrowComponent(const NarrowTable& table, int k)
        : mean_high(splat_narrow(table.mean_high[k])),
          mean_low(splat_narrow(table.mean_low[k])),
          root(splat_narrow(table.root_precisions[k])),
          coefficient(splat_narrow(table.coefficients[k])) {}
    GPUVGM_FN NarrowLanes density(const NarrowRows& rows, int v) const {
        return log_density_of(deviation_of(rows.high[v], rows.low[v], mean_high, mean_low), root, coefficient);
    }
};

// Mean, width and cell of the mode that each row of a tile takes.
struct NarrowChosen {
    NarrowLanes mean_high[NARROW_TILE], mean_low[NARROW_TILE], width[NARROW_TILE], cell[NARROW_TILE];

    explicit GPUVGM_FN NarrowChosen(const NarrowTable& table) {
        for (int v = 0; v < NARROW_TILE; ++v) {
            mean_high[v] = splat_narrow(table.mean_high[0]);
            mean_low[v] = splat_narrow(table.mean_low[0]);
            width[v] = splat_narrow(table.widths[0]);
            cell[v] = splat_narrow(table.cells[0]);
        }
    }
    // Rows with a <= b take component k, or keep what they have while the others take it.
    GPUVGM_FN void take_where_le(NarrowLanes a, NarrowLanes b, const NarrowTable& table, int k, int v) {
        mean_high[v] = select_le(a, b, splat_narrow(table.mean_high[k]), mean_high[v]);
        mean_low[v] = select_le(a, b, splat_narrow(table.mean_low[k]), mean_low[v]);
        width[v] = select_le(a, b, splat_narrow(table.widths[k]), width[v]);
        cell[v] = select_le(a, b, splat_narrow(table.cells[k]), cell[v]);
    }
    GPUVGM_FN void keep_where_le(NarrowLanes a, NarrowLanes b, const NarrowTable& table, int k, int v) {
        mean_high[v] = select_le(a, b, mean_high[v], splat_narrow(table.mean_high[k]));
        mean_low[v] = select_le(a, b, mean_low[v], splat_narrow(table.mean_low[k]));
        width[v] = select_le(a, b, width[v], splat_narrow(table.widths[k]));
        cell[v] = select_le(a, b, cell[v], splat_narrow(table.cells[k]));
    }
};

// Inverse-CDF draw over the active components, each with `floor` of the whole posterior added.
GPUVGM_FN void choose_drawn(const Shares& shares, const NarrowTable& table, const NarrowRows& rows,
                            const float* uniforms, NarrowChosen* chosen) {
    NarrowLanes top[NARROW_TILE], total[NARROW_TILE], threshold[NARROW_TILE], sum[NARROW_TILE];
    for (int v = 0; v < NARROW_TILE; ++v) {
        top[v] = splat_narrow(-LARGEST_FLOAT);
        total[v] = threshold[v] = sum[v] = splat_narrow(0.0f);
    }
    for (int k = 0; k < table.components; ++k) {
        const NarrowComponent component(table, k);
        for (int v = 0; v < NARROW_TILE; ++v) {
            const NarrowLanes density = component.density(rows, v);
            store(shares.at(k, v), density);
            top[v] = maximum(density, top[v]);
        }
    }
    for (int k = 0; k < table.components; ++k) {
        if (k == table.active) {
            for (int v = 0; v < NARROW_TILE; ++v) {
                threshold[v] = total[v];
            }
        }
        for (int v = 0; v < NARROW_TILE; ++v) {
            const NarrowLanes share = exp2_narrow(load_narrow(shares.at(k, v)) - top[v]);
            store(shares.at(k, v), share);
            total[v] = total[v] + share;
        }
    }
    for (int v = 0; v < NARROW_TILE; ++v) {
        const NarrowLanes active_sum = table.active == table.components ? total[v] : threshold[v];
        total[v] = splat_narrow(table.floor) * total[v];  // from here on the floor
        threshold[v] = threshold_of(load_narrow(uniforms + v * NARROW_LANES), splat_narrow((float)table.active),
                                    total[v], active_sum);
    }
    for (int k = 0; k + 1 < table.active; ++k) {
        for (int v = 0; v < NARROW_TILE; ++v) {
            sum[v] = sum[v] + (load_narrow(shares.at(k, v)) + total[v]);
            chosen->take_where_le(sum[v], threshold[v], table, k + 1, v);
        }
    }
}

// The most probable active component; ties go to the lower index.
GPUVGM_FN void choose_most_probable(const NarrowTable& table, const NarrowRows& rows, NarrowChosen* chosen) {
    NarrowLanes top[NARROW_TILE];
    {
        const NarrowComponent component(table, 0);
        for (int v = 0; v < NARROW_TILE; ++v) {
            top[v] = maximum(component.density(rows, v), splat_narrow(-LARGEST_FLOAT));
        }
    }
    for (int k = 1; k < table.active; ++k) {
        const NarrowComponent component(table, k);
        for (int v = 0; v < NARROW_TILE; ++v) {
            const NarrowLanes density = component.density(rows, v);
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
    const NarrowLanes limit = splat_narrow(table.limit), missing = splat_narrow(table.missing_cell);
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
        for (int v = 0; v < NARROW_TILE; ++v) {
            const NarrowLanes deviation =
                deviation_of(tile.high[v], tile.low[v], chosen.mean_high[v], chosen.mean_low[v]);
            const NarrowLanes scalar = position_of(deviation, chosen.width[v], limit);
            store(scalars + v * NARROW_LANES, select_finite(tile.high[v], scalar, splat_narrow(0.0f)));
            store(cells + v * NARROW_LANES, select_finite(tile.high[v], chosen.cell[v], missing));
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
