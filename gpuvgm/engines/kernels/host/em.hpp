// EM over the cells of a summary by one thread: the loops of vgm_em.cuh, with eight digammas and the like at a time.
#pragma once
#include "../vgm_em.cuh"
#include "e_step.hpp"
#include "host.hpp"
#include "special.hpp"

namespace gpuvgm {
namespace {

constexpr double APART = 0.8;  // halves of a normal distribution lie this many sigma from its mean

// The team of one.
struct Alone {
    template <class Work> GPUVGM_FN void each(int count, Work work) const {
        for (int i = 0; i < count; ++i) {
            work(i);
        }
    }
    template <class Function, class Argument>
    GPUVGM_FN void apply(Function function, int groups, int count, Argument argument, double* out) const {
        for (int group = 0; group < groups; ++group) {
            for (int i = 0; i < count; ++i) {
                out[group * count + i] = argument(group, i);
            }
        }
        apply_to_rows(function, out, groups * count, out);
    }
};

// The E-step over cells; the sums of their chunks are added in order. `room` has 3 K + 1 numbers a chunk.
struct CellSums {
    const CellTable& cells;
    double* room;

    void operator()(int components, const double* means, const double* half, const double* coefficients,
                    double* totals) {
        const MixtureTable table{components, 1.0, 0.0, means, half, coefficients};
        if (cells.scatter) {
            e_step_cells(cells.mean, cells.weight, cells.scatter, cells.count, table, room);
        } else {
            e_step_rows(cells.mean, cells.weight, cells.count, table, room);
        }
        const int width = 3 * components + 1;
        const int64_t chunks = cells.chunks();
        for (int i = 0; i < width; ++i) {
            totals[i] = room[i];
            for (int64_t chunk = 1; chunk < chunks; ++chunk) {
                totals[i] = totals[i] + room[chunk * width + i];
            }
        }
    }
};

void em_step(EMState& state, const CellTable& cells, double* room) {
    EM<Alone> em({}, state);
    CellSums e_step{cells, room};
    em.step(em.best.posterior, em.best, e_step);
    state = em;
}

void em_begin(EMState& state, const CellTable& cells, double* room) {
    EM<Alone> em({}, state);
    CellSums e_step{cells, room};
    em.begin(e_step);
    state = em;
}

void em_iterate(EMState& state, const CellTable& cells, double least_gain, double* room) {
    EM<Alone> em({}, state);
    CellSums e_step{cells, room};
    em.iterate(least_gain, e_step);
    state = em;
}

void em_split(const Statistics& sums, int component, const Statistics& out) {
    const int k = sums.components, halves[] = {component, k};
    moments_of(Alone{}, sums, out.reference(), out.second());
    const double deviation = out.second()[component];
    const double half_axis = APART * (deviation == deviation ? deviation : 0.0);
    out.reference()[k] = out.reference()[component];
    for (int i = 0; i <= k; ++i) {
        const int from = i < k ? i : component;
        const double count = sums.counts()[from], first = sums.first()[from];
        const double shift = out.reference()[i] - sums.reference()[from], moved = shift * count;
        out.counts()[i] = count;
        out.first()[i] = first - moved;
        out.second()[i] = sums.second()[from] - shift * (2 * first - moved);
    }
    for (const int half : halves) {
        const double count = out.counts()[half] / 2, side = half == k ? half_axis : -half_axis;
        out.reference()[half] = out.reference()[half] + side;
        out.counts()[half] = count;
        out.first()[half] = 0.0;
        out.second()[half] = larger(out.second()[half] / 2 - count * half_axis * half_axis, 0.0);
    }
    out.entropy() = sums.entropy();
}

double em_bound(const PriorTable& prior, const Statistics& sums, const Posterior& posterior, double* room) {
    const double slack = update(Alone{}, prior, sums, posterior, room);
    return lower_bound(Alone{}, prior, posterior, sums.entropy(), room, room + 4 * sums.components) + slack;
}

}  // namespace
}  // namespace gpuvgm
