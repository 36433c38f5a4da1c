// EM over the cells of a summary, as the extension's parts share it.
#pragma once
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <utility>

#include "../vgm_em.cuh"
#include "native.hpp"

namespace gpuvgm {

// Cells and the prior of their mixture; kept alive by the caller.
struct EMProblem {
    const HostKernels& loops;
    Reals mean, weight;
    OptionalReals scatter;
    CellTable cells;
    PriorTable prior;
    bool sound;

    EMProblem(const Kernels& kernels, Reals mean_, Reals weight_, OptionalReals scatter_,
              const std::vector<double>& numbers, std::optional<double> origin, bool dirichlet, bool tied, bool sound_)
        : loops(kernels.loops), mean(mean_), weight(weight_), scatter(scatter_), sound(sound_) {
        if (numbers.size() != 7 || weight.shape(0) != mean.shape(0)) {
            throw std::invalid_argument("a prior has seven numbers, and every cell a weight");
        }
        check_length(scatter, mean.shape(0));
        cells = {mean.data(), weight.data(), pointer(scatter), (int64_t)mean.shape(0)};
        prior = {numbers[0], numbers[1],           numbers[2],         numbers[3], numbers[4], numbers[5],
                 numbers[6], origin.value_or(0.0), origin.has_value(), dirichlet,  tied};
    }
    // Numbers that an E-step needs as room.
    size_t room(int components) const { return cells.chunks() * (3 * (size_t)components + 1); }
};

inline auto copied(const double* values, size_t count) {
    return owned(std::vector<double>(values, values + count), {count});
}

inline int components_of(const std::vector<Reals>& arrays, size_t wanted) {
    const size_t components = arrays.size() == wanted ? arrays[0].shape(0) : 0;
    for (const Reals& array : arrays) {
        if (components == 0 || array.shape(0) != components) {
            throw std::invalid_argument("every array needs one value a component");
        }
    }
    return (int)components;
}

inline nb::object arrays_of(const double* values, size_t count, size_t components) {
    nb::list arrays;
    for (size_t i = 0; i < count; ++i) {
        arrays.append(copied(values + i * components, components));
    }
    return nb::tuple(arrays);
}

// The posterior that is updated from some sums of an E-step, and its lower bound.
struct UpdatedPosterior {
    std::vector<double> values;
    double bound;
};

inline UpdatedPosterior lower_bound_of(const EMProblem& problem, const Statistics& sums) {
    std::vector<double> values(Posterior::size(sums.components)), room(6 * sums.components);
    const double bound = problem.loops.em_bound(problem.prior, sums, {values.data(), sums.components}, room.data());
    return {std::move(values), bound};
}

// What the ascents of a batch share: numbers of their own, and a loop.
struct Loop {
    const EMProblem& problem;
    int components;
    std::vector<double> memory, pairs, room, bounds;
    EMState em;

    Loop(const EMProblem& problem_, int components_)
        : problem(problem_),
          components(components_),
          memory(EMState::size(components_)),
          pairs(EMState::size_of_pairs(components_)),
          room(problem.room(components_)),
          em(em_state(problem.prior, problem.sound, components_, memory.data(), pairs.data())) {}
    Loop(const Loop&) = delete;
    virtual ~Loop() = default;
    virtual void reserve(int iterations) { bounds.reserve(bounds.size() + iterations + 1); }
    virtual void run(int iterations, double tolerance) = 0;

    nb::object statistics() const {
        const nb::object arrays = arrays_of(em.best.statistics.values, 4, components);
        return nb::make_tuple(arrays, em.best.statistics.entropy());
    }
    nb::object posterior() const { return arrays_of(em.best.posterior.values, 6, components); }
};

// Accelerated EM from the sums of an assignment of rows.
struct Ascent : Loop {
    Ascent(const EMProblem& problem, const std::vector<Reals>& start) : Loop(problem, components_of(start, 4)) {
        for (int array = 0; array < 4; ++array) {
            std::copy_n(start[array].data(), components, em.trial.values + array * components);
        }
    }
    Ascent(const EMProblem& problem, const double* start, int components_) : Loop(problem, components_) {
        std::copy_n(start, 4 * components, em.trial.values);
    }
    void run(int iterations, double least_gain) override {
        if (bounds.empty()) {
            problem.loops.em_begin(em, problem.cells, room.data());
            bounds.push_back(em.best.bound);
        }
        em.converged = false;
        for (int i = 0; i < iterations && !em.converged; ++i) {
            problem.loops.em_iterate(em, problem.cells, least_gain, room.data());
            bounds.push_back(em.best.bound);
        }
    }
    void begin() {
        if (bounds.empty()) {
            reserve(0);
            run(0, 0.0);
        }
    }
};

void bind_search(nb::module_& module);  // the search for the best fit

}  // namespace gpuvgm
