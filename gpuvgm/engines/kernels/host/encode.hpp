// From values to scalars and codes in one pass: rules, posterior, draw, position, and rows that the fit had not seen.
#pragma once
#include "e_step.hpp"
#include "row_rules.hpp"

namespace gpuvgm {
namespace {

// Uniforms of at most RULED_ROWS rows from `first_row` on: word row % 4 of the generator's counter row / 4.
void draw_uniforms(const Draw& draw, uint64_t first_row, int count, double* out) {
    alignas(64) u32 words[RULED_ROWS + 8];
    const uint64_t first_counter = first_row / 4;
    const int counters = (int)((first_row + count + 3) / 4 - first_counter), skip = (int)(first_row % 4);
    for (int c = 0; c < counters; ++c) {
        philox(first_counter + c, draw.column, draw.seed, words + 4 * c);
    }
    for (int j = 0; j < count; ++j) {
        out[j] = uniform_of(words[j + skip]);
    }
}

// Scalars and codes in the caller's types.
struct Output {
    void *scalar, *code;
    int scalar_bytes, code_bytes;

    // Writes rows from `at` on, and returns how many scalars are at an end of their mode, not within the limit.
    int64_t write(int64_t at, int count, const double* scalars, const double* codes, double limit) const {
        if (code_bytes == 1) {
            write_codes((uint8_t*)code + at, count, codes);
        } else {
            write_codes((uint16_t*)code + at, count, codes);
        }
        return scalar_bytes == 4 ? write_scalars((float*)scalar + at, count, scalars, (float)limit)
                                 : write_scalars((double*)scalar + at, count, scalars, limit);
    }
    bool is_at_end(int64_t i, double limit) const {
        return scalar_bytes == 4 ? is_beyond(((const float*)scalar)[i], (float)limit)
                                 : is_beyond(((const double*)scalar)[i], limit);
    }

  private:
    template <class Scalar> static GPUVGM_FN bool is_beyond(Scalar scalar, Scalar limit) {
        return (scalar >= limit) | (scalar <= -limit);
    }
    template <class Code> static void write_codes(Code* to, int count, const double* codes) {
        for (int i = 0; i < count; ++i) {
            to[i] = (Code)(int)codes[i];
        }
    }
    template <class Scalar>
    static int64_t write_scalars(Scalar* to, int count, const double* scalars, Scalar limit) {
        int64_t ends = 0;
        for (int i = 0; i < count; ++i) {
            to[i] = (Scalar)scalars[i];
        }
        for (int i = 0; i < count; ++i) {
            ends += is_beyond(to[i], limit);
        }
        return ends;
    }
};

// Running sums of the first components' densities relative to the largest of all, in place of these.
GPUVGM_FN void add_up(const Workspace<DRAW_TILE>& work, int components, const Lanes* top, Lanes* sum) {
    for (int k = 0; k < components; ++k) {
        for (int v = 0; v < DRAW_TILE; ++v) {
            sum[v] = sum[v] + exp2_nonpositive(load(work.at(k, v)) - top[v]);
            store(work.at(k, v), sum[v]);
        }
    }
}

// The same with `floor` of the whole posterior added to each of the active components, of which the last sum is that
// without it.
GPUVGM_FN void add_up_with_floor(const Workspace<DRAW_TILE>& work, const EncodeTable& table, const Lanes* top,
                                 Lanes* floor, Lanes* sum) {
    Lanes total[DRAW_TILE], with_floor[DRAW_TILE];
    tile_exponentials(work, table.mixture.components, top, total, table.active, sum);
    for (int v = 0; v < DRAW_TILE; ++v) {
        floor[v] = splat(table.floor) * total[v];
        with_floor[v] = splat(0.0);
    }
    for (int k = 0; k < table.active; ++k) {
        for (int v = 0; v < DRAW_TILE; ++v) {
            with_floor[v] = with_floor[v] + (load(work.at(k, v)) + floor[v]);
            store(work.at(k, v), with_floor[v]);
        }
    }
}

// Inverse-CDF draw over the active components: the number of running sums that do not exceed the threshold. Without the
// last sum, no rounding leads past the last component.
GPUVGM_FN void choose_drawn(const Workspace<DRAW_TILE>& work, const EncodeTable& table, const Lanes* row,
                            const double* uniforms, Lanes* chosen) {
    Lanes top[DRAW_TILE], floor[DRAW_TILE], sum[DRAW_TILE];
    tile_densities(work, table.mixture, row, top);
    for (int v = 0; v < DRAW_TILE; ++v) {
        floor[v] = sum[v] = splat(0.0);
    }
    if (table.floor == 0) {
        add_up(work, table.active, top, sum);
    } else {
        add_up_with_floor(work, table, top, floor, sum);
    }
    for (int v = 0; v < DRAW_TILE; ++v) {
        sum[v] = threshold_of(load(uniforms + v * LANES), splat((double)table.active), floor[v], sum[v]);
    }
    for (int k = 0; k + 1 < table.active; ++k) {
        for (int v = 0; v < DRAW_TILE; ++v) {
            chosen[v] = count_le(load(work.at(k, v)), sum[v], chosen[v]);
        }
    }
}

// The most probable active component; ties go to the lower index.
GPUVGM_FN void choose_most_probable(const EncodeTable& table, const Lanes* row, Lanes* chosen) {
    Lanes top[DRAW_TILE];
    for (int v = 0; v < DRAW_TILE; ++v) {
        top[v] = maximum(component_of(table.mixture, 0).density(row[v]), splat(LOWEST));
    }
    for (int k = 1; k < table.active; ++k) {
        const Component component = component_of(table.mixture, k);
        for (int v = 0; v < DRAW_TILE; ++v) {
            const Lanes density = component.density(row[v]);
            chosen[v] = select_le(density, top[v], chosen[v], splat((double)k));
            top[v] = maximum(density, top[v]);
        }
    }
}

// Mean, width and code of each active component.
struct Modes {
    LookUp means, widths, codes;

    explicit Modes(const EncodeTable& table)
        : means(table.mixture.means, table.active),
          widths(table.widths, table.active),
          codes(table.codes, table.active) {}
};

// Scalars and codes of a tile of rows.
template <bool DRAWN>
GPUVGM_FN void encode_tile(const Workspace<DRAW_TILE>& work, const EncodeTable& table, const Modes& modes,
                           const double* numbers, const double* uniforms, double* scalars, double* codes) {
    const Lanes limit = splat(table.limit), missing = splat(table.missing_code), zero = splat(0.0);
    Lanes row[DRAW_TILE], chosen[DRAW_TILE];
    for (int v = 0; v < DRAW_TILE; ++v) {
        row[v] = load(numbers + v * LANES) * splat(table.mixture.scale) - splat(table.mixture.centre);
        chosen[v] = zero;
    }
    if (DRAWN) {
        choose_drawn(work, table, row, uniforms, chosen);
    } else {
        choose_most_probable(table, row, chosen);
    }
    for (int v = 0; v < DRAW_TILE; ++v) {
        const Lanes number = load(numbers + v * LANES);
        const Lanes scalar = position_in_mode(row[v] - modes.means.at(chosen[v]), modes.widths.at(chosen[v]), limit);
        store(scalars + v * LANES, select_finite(number, scalar, zero));
        store(codes + v * LANES, select_finite(number, modes.codes.at(chosen[v]), missing));
    }
}

// Notes the rows of a batch that the fit had not seen: x are its values.
inline void look_at(const double* x, const double* numbers, int rows, int64_t start, const EncodeTable& table,
                    Unseen* unseen) {
    const double low = table.low, high = table.high;
    const auto is_infinite = [=](int64_t i) { return fabs(numbers[i]) == __builtin_inf(); };
    const auto is_missing = [=](int64_t i) { return x[i] != x[i]; };  // modal rows have a value
    const auto is_outside = [=](int64_t i) { return (numbers[i] < low) | (numbers[i] > high); };
    int64_t infinite = 0, missing = 0, outside = 0;
    for (int64_t i = 0; i < rows; ++i) {
        infinite += is_infinite(i);
        missing += is_missing(i);
        outside += is_outside(i);
    }
    note(unseen->infinite, infinite, start, is_infinite);
    note(unseen->missing, missing, start, is_missing);
    note(unseen->outside, outside, start, is_outside);
}

template <bool DRAWN>
void encode_rows(const double* x, int64_t first, int64_t stop, const RowRules& rules, const EncodeTable& table,
                 const Draw& draw, const Output& out, RowCounts* counts, Unseen* unseen) {
    constexpr int BATCH_ROWS = RULED_ROWS, TILE = DRAW_TILE * LANES;
    static_assert(BATCH_ROWS % TILE == 0 && BATCH_ROWS % 4 == 0, "a batch holds whole tiles and whole counters");
    const Workspace<DRAW_TILE> work(table.mixture.components);
    const Modes modes(table);
    alignas(64) double ruled[BATCH_ROWS], drawn[BATCH_ROWS] = {}, scalars[BATCH_ROWS], codes[BATCH_ROWS];
    for (int64_t start = first; start < stop; start += BATCH_ROWS) {
        const int count = (int)(stop - start < BATCH_ROWS ? stop - start : BATCH_ROWS);
        const double *values = x + start, *numbers = values;
        if (!are_plain(rules) || count < BATCH_ROWS) {
            apply_rules(values, count, start, rules, ruled, counts);
            for (int i = count; i < BATCH_ROWS; ++i) {
                ruled[i] = __builtin_nan("");
            }
            numbers = ruled;
        }
        if (DRAWN && draw.uniforms) {
            __builtin_memcpy(drawn, draw.uniforms + start, sizeof(double) * count);
        } else if (DRAWN) {
            draw_uniforms(draw, draw.first_row + start, count, drawn);
        }
        for (int i = 0; i < count; i += TILE) {
            encode_tile<DRAWN>(work, table, modes, numbers + i, drawn + i, scalars + i, codes + i);
        }
        for (int m = 0; m < rules.modal_count; ++m) {
            const double value = rules.modal[m], code = table.modal_codes[m];
            for (int i = 0; i < count; ++i) {
                codes[i] = values[i] == value ? code : codes[i];
            }
        }
        const int64_t ends = out.write(start, count, scalars, codes, table.limit);
        for (int i = 0; ends && i < count; ++i) {
            unseen->rows[unseen->at_end] = start + i;
            unseen->numbers[unseen->at_end] = numbers[i];
            unseen->at_end += out.is_at_end(start + i, table.limit);
        }
        look_at(values, numbers, count, start, table, unseen);
    }
}

void encode(const double* x, int64_t start, int64_t stop, const RowRules& rules, const EncodeTable& table,
            const Draw& draw, void* scalar, int scalar_bytes, void* code, int code_bytes, RowCounts* counts,
            Unseen* unseen) {
    const Output out{scalar, code, scalar_bytes, code_bytes};
    if (draw.most_probable || table.active == 1) {
        encode_rows<false>(x, start, stop, rules, table, draw, out, counts, unseen);
    } else {
        encode_rows<true>(x, start, stop, rules, table, draw, out, counts, unseen);
    }
}

}  // namespace
}  // namespace gpuvgm
