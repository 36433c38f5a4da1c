// EM over the cells of summaries: the loops of vgm_em.cuh, one problem a block, with the bits of the host's.
//
// A chunk of 4,096 cells is worked on a tile at a time: every thread computes what one cell adds to the sums, then adds
// the tile to a few of them. A sum is kept in eight parts, of the cells i with the same i % 8, as in the registers of
// the host; they meet in a tree, and chunks are added in order.
//
// Constants: GPUVGM_COMPONENTS (of a mixture at most) and GPUVGM_THREADS, which the shared memory has room for.
#pragma once
#include "../vgm_em.cuh"
#include "block.cuh"

namespace gpuvgm {
namespace {

constexpr int THREADS = GPUVGM_THREADS, TILE = THREADS, CHUNK_CELLS = 4096, LANES = 8;
constexpr int MOST_COMPONENTS = GPUVGM_COMPONENTS;
constexpr int STRIDE = TILE + LANES;  // of a sum's values in a tile, so that neighbours lie in different banks
constexpr int PARTS = (LANES * (3 * MOST_COMPONENTS + 1) + THREADS - 1) / THREADS;  // parts of sums that a thread adds
constexpr int PLACES = 10, NUMBERS = 13, SCALARS = 11;
constexpr int RECORD = PLACES + NUMBERS + Posterior::size(MOST_COMPONENTS);
static_assert(TILE % LANES == 0, "a tile begins with the first part of the sums");
static_assert(Posterior::size(MOST_COMPONENTS) <= THREADS, "a thread an element of what a block works on");
constexpr double TWO_LN_2 = 2.0 * 0.6931471805599453;

// The team of a block: a thread an element, of at most 6 K.
struct Block {
    template <class Work> GPUVGM_FN void each(int count, Work work) const {
        __syncthreads();
        if ((int)threadIdx.x < count) {
            work((int)threadIdx.x);
        }
        __syncthreads();
    }
    template <class Function, class Argument>
    GPUVGM_FN void apply(Function function, int groups, int count, Argument argument, double* out) const {
        each(groups * count, [&](int i) { out[i] = function(argument(i / count, i % count)); });
    }
};

// The E-step over the cells of a problem: (cells,) means, weights and scatters, or none, as rows have.
struct CellSums {
    const double *mean, *weight, *scatter;
    i64 cells;
    double* room;  // (3 K + 1, STRIDE)

    GPUVGM_CALL void operator()(int k, const double* means, const double* half, const double* coefficients,
                                double* totals) const {
        const int t = (int)threadIdx.x, columns = 3 * k + 1;
        for (i64 start = 0; start < cells; start += CHUNK_CELLS) {
            const i64 end = cells - start < CHUNK_CELLS ? cells : start + CHUNK_CELLS;
            double sums[PARTS];
#pragma unroll
            for (int j = 0; j < PARTS; ++j) {
                sums[j] = 0.0;
            }
            for (i64 tile = start; tile < end; tile += TILE) {
                __syncthreads();
                weigh(tile + t, tile + t < end, k, means, half, coefficients, room + t);
                __syncthreads();
#pragma unroll
                for (int j = 0; j < PARTS; ++j) {
                    const int part = t + j * THREADS;
                    if (part < LANES * columns) {
                        sums[j] = with_tile(sums[j], part / LANES, tile + part % LANES, end, k, room + part % LANES);
                    }
                }
            }
            __syncthreads();
#pragma unroll
            for (int j = 0; j < PARTS; ++j) {
                if (t + j * THREADS < LANES * columns) {
                    room[t + j * THREADS] = sums[j];
                }
            }
            __syncthreads();
            if (t < columns) {
                const double* v = room + LANES * t;
                const double sum = ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]));
                totals[t] = start == 0 ? sum : totals[t] + sum;
            }
        }
        __syncthreads();
    }

    // What cell i adds to the sums, one STRIDE apart; a cell beyond the end adds nothing.
    GPUVGM_CALL void weigh(i64 i, bool exists, int k, const double* means, const double* half,
                           const double* coefficients, double* out) const {
        const double y = exists ? mean[i] : means[0], n = exists ? weight[i] : 0.0;
        const double least = scatter ? LEAST_OF_CELL : 0.0;
        double top = -1e300, total = 0.0;
        for (int j = 0; j < k; ++j) {
            const double density = log_density(y - means[j], half[j], coefficients[j]);
            out[j * STRIDE] = density;
            top = maximum(density, top);
        }
        for (int j = 0; j < k; ++j) {
            const double e = exp2_nonpositive(out[j * STRIDE] - top);
            out[j * STRIDE] = maximum(e, least);
            total = total + e;
        }
        const double log_sum = top + log2_positive(total);
        if (!scatter) {
            out[3 * k * STRIDE] = log_sum;
            const double share = n / total;
            for (int j = 0; j < k; ++j) {
                const double r = out[j * STRIDE] * share, d = y - means[j];
                out[j * STRIDE] = r;
                out[(k + j) * STRIDE] = r * d;
                out[(2 * k + j) * STRIDE] = d;
            }
            return;
        }
        const double m2 = exists ? scatter[i] : 0.0, share = 1.0 / total;
        double slope = 0.0, curve = 0.0;
        for (int j = 0; j < k; ++j) {
            const double lambda = TWO_LN_2 * half[j], r = out[j * STRIDE] * share;
            const double g = (means[j] - y) * lambda;
            out[j * STRIDE] = r;
            slope = fused(r, g, slope);
            curve = fused(r, fused(g, g, -lambda), curve);
        }
        out[3 * k * STRIDE] = fused(n, log_sum, 0.5 * m2 * ((curve - slope * slope) * PER_LN_2));
        for (int j = 0; j < k; ++j) {
            const double lambda = TWO_LN_2 * half[j], r = out[j * STRIDE], d = y - means[j];
            const double g = (means[j] - y) * lambda, r1 = r * (g - slope);
            const double r2 = r * (fused(g, g, -lambda) - curve) - 2.0 * slope * r1;
            const double count = fused(0.5 * m2, r2, n * r), shift = m2 * r1;
            out[j * STRIDE] = count;
            out[(k + j) * STRIDE] = fused(d, count, shift);
            out[(2 * k + j) * STRIDE] = fused(d, fused(d, count, 2.0 * shift), m2 * r);
        }
    }

    // A part of a sum with the cells of a tile, of which `cell` is the first of this part.
    GPUVGM_CALL double with_tile(double sum, int column, i64 cell, i64 end, int k, const double* values) const {
        const double* value = values + column * STRIDE;
        const bool is_log = column == 3 * k;
#pragma unroll 4
        for (int i = 0; i < TILE; i += LANES) {
            if (scatter || column < 2 * k) {
                sum = sum + value[i];
            } else {
                const double by = !is_log ? value[i - k * STRIDE] : cell + i < end ? weight[cell + i] : 0.0;
                sum = fused(by, value[i], sum);
            }
        }
        return sum;
    }
};

// The scalars of a problem between two launches.
GPUVGM_CALL void read_scalars(const double* in, EM<Block>& em) {
    em.first_pair = (int)in[0];
    em.pair_count = (int)in[1];
    em.quiet = (int)in[2];
    em.has_trial = in[3] != 0;
    em.has_last = in[4] != 0;
    em.has_extra = in[5] != 0;
    em.converged = in[6] != 0;
    em.length = in[7];
    if (in[8] != 0) {
        em.exchange();
    }
    em.best.bound = in[9];
    em.reached.bound = in[10];
}

GPUVGM_CALL void write_scalars(const EM<Block>& em, double* out) {
    out[0] = em.first_pair;
    out[1] = em.pair_count;
    out[2] = em.quiet;
    out[3] = em.has_trial;
    out[4] = em.has_last;
    out[5] = em.has_extra;
    out[6] = em.converged;
    out[7] = em.length;
    out[8] = em.reached.posterior.values < em.best.posterior.values;
    out[9] = em.best.bound;
    out[10] = em.reached.bound;
}

}  // namespace
}  // namespace gpuvgm

// One block a problem. problems: (problems, RECORD): addresses of means, weights, scatters (0: none), of the problem's
// memory and of the posteriors that plain EM remembers (0: accelerated EM); how many cells, components, remembered
// posteriors, iterations before and iterations to make; as float64 the prior, `sound`, the tolerance, and where a loop
// without iterations before starts. results: (problems, stride): bound, whether it has converged, how many iterations
// were made, statistics, posterior, of plain EM the oldest posterior remembered, and the bounds of the iterations.
extern "C" GPUVGM_KERNEL_TOGETHER(GPUVGM_THREADS, 2)
    GPUVGM_NAME(const long long* problems, int stride, double* results) {
    using namespace gpuvgm;
    GPUVGM_SHARED double memory[EM<Block>::size(MOST_COMPONENTS)];
    GPUVGM_SHARED double room[(3 * MOST_COMPONENTS + 1) * STRIDE];
    const long long* place = problems + (i64)RECORD * blockIdx.x;
    const double* n = (const double*)(place + PLACES);
    const double* start = n + NUMBERS;
    double *state = (double*)place[3], *history = (double*)place[4];
    const int k = (int)place[6], remembered = (int)place[7], before = (int)place[8], iterations = (int)place[9];
    const int size = EM<Block>::size(k), statistics = Statistics::size(k), posterior = Posterior::size(k);
    const int t = (int)threadIdx.x;
    const bool plain = history != nullptr;
    const PriorTable prior{n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8] != 0, n[9] != 0, n[10] != 0};
    const double tolerance = n[12];
    const Block team;
    EM<Block> em(team, em_state(prior, n[11] != 0, k, memory, state + size + SCALARS));
    const CellSums e_step{(const double*)place[0], (const double*)place[1], (const double*)place[2], place[5], room};
    double* out = results + (i64)stride * blockIdx.x;
    double *oldest = out + 3 + statistics + posterior, *bounds = plain ? oldest + posterior : oldest;
    for (int i = t; i < size; i += THREADS) {
        memory[i] = before ? state[i] : 0.0;
    }
    __syncthreads();
    if (before) {
        read_scalars(state + size, em);
    } else {
        double* first = plain ? em.best.posterior.values : em.trial.values;
        team.each(plain ? posterior : 4 * k, [&](int i) { first[i] = start[i]; });
        em.best.bound = from_bits((i64)0xFFF0000000000000ull);  // -inf
    }
    int made = 0;
    em.converged = em.converged && plain;
    for (int i = plain || before ? 1 : 0; i <= iterations && !em.converged;
         ++i) {  // one step in the text, for its size
        const double last = em.best.bound;
        if (plain) {
            double* kept = history + (i64)((before + made) % remembered) * Posterior::size(k);
            team.each(Posterior::size(k), [&](int j) { kept[j] = em.best.posterior.values[j]; });
        }
        const bool accelerated = !plain && i > 0;
        Posterior from{em.best.posterior.values, k};
        if (!plain) {
            from.values = (accelerated ? em.aimed() : em.begun()).values;
        }
        Point to{{accelerated ? em.reached.statistics.values : em.best.statistics.values, k},
                 {accelerated ? em.reached.posterior.values : em.best.posterior.values, k},
                 0.0};
        em.step(from, to, e_step);
        if (accelerated) {
            em.reached = to;
            em.judge(tolerance);
        } else {
            em.best = to;
            em.converged = plain && fabs(to.bound - last) < tolerance;
        }
        if (t == 0) {
            bounds[made] = em.best.bound;
        }
        ++made;
    }
    for (int i = t; i < size; i += THREADS) {
        state[i] = memory[i];
    }
    team.each(statistics, [&](int i) { out[3 + i] = em.best.statistics.values[i]; });
    team.each(posterior, [&](int i) { out[3 + statistics + i] = em.best.posterior.values[i]; });
    const int every = before + made;
    if (plain && every > 0) {
        const double* kept = history + (i64)(every > remembered ? every % remembered : 0) * posterior;
        team.each(posterior, [&](int i) { oldest[i] = kept[i]; });
    }
    if (t == 0) {
        write_scalars(em, state + size);
        out[0] = em.best.bound;
        out[1] = em.converged;
        out[2] = made;
    }
}
