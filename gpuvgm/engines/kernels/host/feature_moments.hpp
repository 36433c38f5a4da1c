// First and second moments of one component over a tile of rows, in small blocks of pairs of features that keep their
// sums in registers.
#pragma once
#include "feature_tile.hpp"

namespace gpuvgm {
namespace {

// Sums over the lanes of N Lanes.
template <int N> GPUVGM_FN void lane_sums(Lanes* from, double* to) {
    int n = 0;
    for (; n + LANES <= N; n += LANES) {
        store(to + n, sums_of(from + n));
    }
    for (; n < N; ++n) {
        to[n] = sum_of(from[n]);
    }
}

// One component of a tile while its sums are taken.
struct ComponentTile {
    const double *rows, *responsibilities, *means;  // of the first group
    int features;
    double *first, *second;
    int64_t row_at[FEATURE_TILE], responsibility_at[FEATURE_TILE];  // the Lanes that have a share
    int lanes = 0;

    ComponentTile(const FeatureWorkspace& work, const GaussianTable& table, int64_t component, double* partials)
        : rows(work.rows),
          responsibilities(work.density + component * GROUP * LANES),
          means(table.means + component * table.features),
          features(table.features),
          first(partials + table.components + component * features),
          second(partials + (int64_t)table.components * (1 + features) + component * table.moments()) {
        const int64_t row_pitch = (int64_t)features * GROUP, pitch = (int64_t)table.components * GROUP;
        for (uint32_t present = work.present[component]; present; present &= present - 1, ++lanes) {
            const int v = __builtin_ctz(present);
            row_at[lanes] = (v / GROUP * row_pitch + v % GROUP) * LANES;
            responsibility_at[lanes] = (v / GROUP * pitch + v % GROUP) * LANES;
        }
    }
    // Calls function(r, its rows) for every Lanes that has a share.
    template <class Function> GPUVGM_FN void each(Function function) const {
        for (int n = 0; n < lanes; ++n) {
            function(load(responsibilities + responsibility_at[n]), rows + row_at[n]);
        }
    }
    GPUVGM_FN Lanes deviation(const double* x, int feature) const {
        return load(x + (int64_t)feature * GROUP * LANES) - splat(means[feature]);
    }
    GPUVGM_FN double* second_at(int64_t i, int64_t j) const { return second + i * features - i * (i - 1) / 2 + j - i; }
};

// First moments of features i to i + S, and second moments among them.
template <int S> GPUVGM_FN void moments_within(const ComponentTile& tile, int i) {
    Lanes sums[S + S * (S + 1) / 2];
    for (Lanes& sum : sums) {
        sum = splat(0.0);
    }
    tile.each([&](Lanes r, const double* x) {
        Lanes d[S];
        for (int a = 0; a < S; ++a) {
            d[a] = tile.deviation(x, i + a);
        }
        for (int a = 0, n = S; a < S; ++a) {
            const Lanes rd = r * d[a];
            sums[a] = sums[a] + rd;
            for (int b = a; b < S; ++b, ++n) {
                sums[n] = fused(rd, d[b], sums[n]);
            }
        }
    });
    double totals[S + S * (S + 1) / 2];
    lane_sums<S + S*(S + 1) / 2>(sums, totals);
    for (int a = 0, n = S; a < S; ++a) {
        tile.first[i + a] += totals[a];
        double* to = tile.second_at(i + a, i + a);
        for (int b = a; b < S; ++b, ++n) {
            to[b - a] += totals[n];
        }
    }
}

// Second moments of features i to i + I with features j to j + J.
template <int I, int J> GPUVGM_FN void moments_between(const ComponentTile& tile, int i, int j) {
    Lanes sums[I * J];
    for (Lanes& sum : sums) {
        sum = splat(0.0);
    }
    tile.each([&](Lanes r, const double* x) {
        Lanes d[J];
        for (int b = 0; b < J; ++b) {
            d[b] = tile.deviation(x, j + b);
        }
        for (int a = 0; a < I; ++a) {
            const Lanes rd = r * tile.deviation(x, i + a);
            for (int b = 0; b < J; ++b) {
                sums[a * J + b] = fused(rd, d[b], sums[a * J + b]);
            }
        }
    });
    double totals[I * J];
    lane_sums<I * J>(sums, totals);
    for (int a = 0; a < I; ++a) {
        double* to = tile.second_at(i + a, j);
        for (int b = 0; b < J; ++b) {
            to[b] += totals[a * J + b];
        }
    }
}

// Moments of features i to i + S one by one.
template <int S> GPUVGM_FN void moments_alone(const ComponentTile& tile, int i) {
    Lanes sums[2 * S];
    for (Lanes& sum : sums) {
        sum = splat(0.0);
    }
    tile.each([&](Lanes r, const double* x) {
        for (int a = 0; a < S; ++a) {
            const Lanes d = tile.deviation(x, i + a), rd = r * d;
            sums[a] = sums[a] + rd;
            sums[S + a] = fused(rd, d, sums[S + a]);
        }
    });
    double totals[2 * S];
    lane_sums<2 * S>(sums, totals);
    for (int a = 0; a < S; ++a) {
        tile.first[i + a] += totals[a];
        tile.second[i + a] += totals[S + a];
    }
}

template <bool DIAGONAL> void component_moments(const ComponentTile& tile) {
    constexpr int S = DIAGONAL ? 4 : MOMENT_BLOCK;
    for (int i = 0; i < tile.features; i += S) {
        const int size = tile.features - i < S ? tile.features - i : S;
        if constexpr (DIAGONAL) {
            with_size<S>(size, [&](auto s) { moments_alone<s.value>(tile, i); });
        } else {
            with_size<S>(size, [&](auto s) { moments_within<s.value>(tile, i); });
            for (int j = i + S; j < tile.features; j += S) {
                const int wide = tile.features - j < S ? tile.features - j : S;
                with_size<S>(wide, [&](auto s) { moments_between<S, s.value>(tile, i, j); });
            }
        }
    }
}

template <bool DIAGONAL>
void tile_moments(const FeatureWorkspace& work, const GaussianTable& table, double* partials) {
    for (int k = 0; k < table.components; ++k) {
        if (work.present[k]) {
            component_moments<DIAGONAL>(ComponentTile(work, table, k, partials));
        }
    }
}

}  // namespace
}  // namespace gpuvgm
