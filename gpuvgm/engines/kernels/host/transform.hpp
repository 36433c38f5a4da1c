// Transform (posterior, draw, position) and inverse, a tile of rows at a time.
#pragma once
#include "e_step.hpp"
#include "rows.hpp"

namespace gpuvgm {
namespace {

// The mode that each row of some Lanes takes.
struct Mode {
    Lanes mean, width, code;
};
GPUVGM_FN Mode mode_of(const DrawTable& table, int k) {
    return {splat(table.mixture.means[k]), splat(table.widths[k]), splat(table.codes[k])};
}
GPUVGM_FN Mode select_le(Lanes a, Lanes b, const Mode& yes, const Mode& no) {
    return {select_le(a, b, yes.mean, no.mean), select_le(a, b, yes.width, no.width),
            select_le(a, b, yes.code, no.code)};
}

// Inverse-CDF draw over the active components, each with `floor` of the whole posterior added.
GPUVGM_FN void choose_drawn(const Workspace<DRAW_TILE>& work, const DrawTable& table, const Lanes* row,
                            const double* uniforms, Mode* chosen) {
    Lanes top[DRAW_TILE], total[DRAW_TILE], threshold[DRAW_TILE], sum[DRAW_TILE];
    tile_densities(work, table.mixture, row, top);
    tile_exponentials(work, table.mixture.components, top, total, table.active, threshold);
    for (int v = 0; v < DRAW_TILE; ++v) {
        total[v] = splat(table.floor) * total[v];  // from here on the floor
        threshold[v] = threshold_of(load(uniforms + v * LANES), splat((double)table.active), total[v], threshold[v]);
        sum[v] = splat(0.0);
    }
    for (int k = 0; k + 1 < table.active; ++k) {
        const Mode mode = mode_of(table, k + 1);
        for (int v = 0; v < DRAW_TILE; ++v) {
            sum[v] = sum[v] + (load(work.at(k, v)) + total[v]);
            chosen[v] = select_le(sum[v], threshold[v], mode, chosen[v]);
        }
    }
}

// The most probable active component; ties go to the lower index.
GPUVGM_FN void choose_most_probable(const DrawTable& table, const Lanes* row, Mode* chosen) {
    Lanes top[DRAW_TILE];
    for (int v = 0; v < DRAW_TILE; ++v) {
        top[v] = maximum(component_of(table.mixture, 0).density(row[v]), splat(LOWEST));
    }
    for (int k = 1; k < table.active; ++k) {
        const Component component = component_of(table.mixture, k);
        const Mode mode = mode_of(table, k);
        for (int v = 0; v < DRAW_TILE; ++v) {
            const Lanes density = component.density(row[v]);
            chosen[v] = select_le(density, top[v], chosen[v], mode);
            top[v] = maximum(density, top[v]);
        }
    }
}

template <bool DRAWN>
void transform_rows(const double* x, int64_t rows, const DrawTable& table, const Draw& draw, const Output& out) {
    constexpr int ROWS = DRAW_TILE * LANES, BATCH_ROWS = DRAW_ROWS / ROWS * ROWS;
    static_assert(ROWS % 4 == 0, "a tile holds whole counters");
    const Workspace<DRAW_TILE> work(table.mixture.components);
    const Lanes limit = splat(table.limit), missing = splat(table.missing_code), zero = splat(0.0);
    alignas(64) double x_end[ROWS];
    alignas(64) double scalars[ROWS], codes[ROWS], drawn[BATCH_ROWS + ROWS] = {};
    for (int64_t i = 0; i < rows; i += ROWS) {
        const int64_t have = rows - i < ROWS ? rows - i : ROWS;
        if (DRAWN && i % BATCH_ROWS == 0) {
            const int count = (int)(rows - i < BATCH_ROWS ? rows - i : BATCH_ROWS);
            if (draw.uniforms) {
                __builtin_memcpy(drawn, draw.uniforms + i, sizeof(double) * count);
            } else {
                draw_uniforms(draw, draw.first_row + i, count, drawn);
            }
        }
        const double* tile = full_tile<DRAW_TILE>(x + i, have, __builtin_nan(""), x_end);
        Lanes row[DRAW_TILE];
        Mode chosen[DRAW_TILE];
        for (int v = 0; v < DRAW_TILE; ++v) {
            row[v] = load(tile + v * LANES) * splat(table.mixture.scale) - splat(table.mixture.centre);
            chosen[v] = mode_of(table, 0);
        }
        if (DRAWN) {
            choose_drawn(work, table, row, drawn + i % BATCH_ROWS, chosen);
        } else {
            choose_most_probable(table, row, chosen);
        }
        for (int v = 0; v < DRAW_TILE; ++v) {
            const Lanes number = load(tile + v * LANES);
            const Lanes scalar = position_in_mode(row[v] - chosen[v].mean, chosen[v].width, limit);
            store(scalars + v * LANES, select_finite(number, scalar, zero));
            store(codes + v * LANES, select_finite(number, chosen[v].code, missing));
        }
        out.write<ROWS>(i, have, scalars, codes);
    }
}

void transform(const double* x, int64_t rows, const DrawTable& table, const Draw& draw, void* scalar, int scalar_bytes,
               void* code, int code_bytes) {
    const Output out{scalar, code, scalar_bytes, code_bytes};
    if (draw.most_probable || table.active == 1) {
        transform_rows<false>(x, rows, table, draw, out);
    } else {
        transform_rows<true>(x, rows, table, draw, out);
    }
}

template <class Scalar, class Code>
int64_t inverse_rows(const Scalar* scalar, const Code* code, int64_t rows, const InverseTable& table, double* value) {
    Code largest = 0;
    for (int64_t i = 0; i < rows; ++i) {
        largest = code[i] > largest ? code[i] : largest;
    }
    if (rows > 0 && largest >= table.codes) {
        for (int64_t i = 0; i < rows; ++i) {
            if (code[i] >= table.codes) {
                return i;
            }
        }
    }
    const double factor = 1.0 / table.scale, centre = table.centre, limit = table.limit;
    const double *means = table.means, *widths = table.widths;
    for (int64_t i = 0; i < rows; ++i) {
        const double y = value_of_position((double)scalar[i], means[code[i]], widths[code[i]], limit);
        value[i] = (y + centre) * factor;
    }
    return -1;
}

int64_t inverse_transform(const void* scalar, int scalar_bytes, const void* code, int code_bytes, int64_t rows,
                          const InverseTable& table, double* value) {
    if (scalar_bytes == 4) {
        return code_bytes == 1 ? inverse_rows((const float*)scalar, (const uint8_t*)code, rows, table, value)
                               : inverse_rows((const float*)scalar, (const uint16_t*)code, rows, table, value);
    }
    return code_bytes == 1 ? inverse_rows((const double*)scalar, (const uint8_t*)code, rows, table, value)
                           : inverse_rows((const double*)scalar, (const uint16_t*)code, rows, table, value);
}

}  // namespace
}  // namespace gpuvgm
