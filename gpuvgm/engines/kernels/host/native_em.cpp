// EM over the cells of a summary, for a batch of problems: one problem a thread, the GIL released.
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <thread>
#include <utility>

#include "../vgm_em.cuh"
#include "native.hpp"

namespace gpuvgm {

namespace {

// Cells and the prior of their mixture; kept alive by the caller.
struct EMProblem {
    const HostKernels& loops;
    Reals mean, weight;
    OptionalReals scatter;
    PriorTable prior;
    bool sound;

    EMProblem(const Kernels& kernels, Reals mean_, Reals weight_, OptionalReals scatter_,
              const std::vector<double>& numbers, std::optional<double> origin, bool dirichlet, bool tied, bool sound_)
        : loops(kernels.loops), mean(mean_), weight(weight_), scatter(scatter_), sound(sound_) {
        if (numbers.size() != 7 || weight.shape(0) != mean.shape(0)) {
            throw std::invalid_argument("a prior has seven numbers, and every cell a weight");
        }
        check_length(scatter, mean.shape(0));
        prior = {numbers[0], numbers[1],           numbers[2],         numbers[3], numbers[4], numbers[5],
                 numbers[6], origin.value_or(0.0), origin.has_value(), dirichlet,  tied};
    }
    size_t chunks() const { return (mean.shape(0) + CHUNK_ROWS - 1) / CHUNK_ROWS; }
};

// The E-step over a problem's cells; the sums of its chunks are added in order.
struct CellSums {
    const EMProblem& problem;
    std::vector<double> partials;

    CellSums(const EMProblem& problem_, int components)
        : problem(problem_), partials((problem_.chunks() + 1) * (3 * (size_t)components + 1)) {}

    void operator()(int components, const double* means, const double* half, const double* coefficients,
                    double* totals) {
        const MixtureTable table{components, 1.0, 0.0, means, half, coefficients};
        const int64_t cells = (int64_t)problem.mean.shape(0);
        const double *mean = problem.mean.data(), *weight = problem.weight.data();
        if (problem.scatter) {
            problem.loops.e_step_cells(mean, weight, problem.scatter->data(), cells, table, partials.data());
        } else {
            problem.loops.e_step_rows(mean, weight, cells, table, partials.data());
        }
        const size_t width = 3 * (size_t)components + 1;
        for (size_t i = 0; i < width; ++i) {
            totals[i] = partials[i];
            for (size_t chunk = 1; chunk < problem.chunks(); ++chunk) {
                totals[i] = totals[i] + partials[chunk * width + i];
            }
        }
    }
};

auto copied(const double* values, size_t count) { return owned(std::vector<double>(values, values + count), {count}); }

int components_of(const std::vector<Reals>& arrays, size_t wanted) {
    const size_t components = arrays.size() == wanted ? arrays[0].shape(0) : 0;
    for (const Reals& array : arrays) {
        if (components == 0 || array.shape(0) != components) {
            throw std::invalid_argument("every array needs one value a component");
        }
    }
    return (int)components;
}

nb::object arrays_of(const double* values, size_t count, size_t components) {
    nb::list arrays;
    for (size_t i = 0; i < count; ++i) {
        arrays.append(copied(values + i * components, components));
    }
    return nb::tuple(arrays);
}

// The lower bound of the posterior that is updated from some sums of an E-step.
double bound_of(const EMProblem& problem, const std::vector<Reals>& sums, double entropy) {
    const int k = components_of(sums, 4);
    std::vector<double> memory(Statistics::size(k) + Posterior::size(k) + 4 * k);
    const Statistics statistics{memory.data(), k};
    const Posterior posterior{memory.data() + Statistics::size(k), k};
    double* terms = posterior.values + Posterior::size(k);
    for (int array = 0; array < 4; ++array) {
        std::copy_n(sums[array].data(), k, statistics.values + array * k);
    }
    const double slack = update(Alone{}, problem.prior, statistics, posterior, terms);
    return lower_bound(Alone{}, problem.prior, posterior, entropy, terms) + slack;
}

// What the ascents of a batch share: numbers of their own, and a loop.
struct Loop {
    int components;
    std::vector<double> memory, pairs;
    EM<Alone> em;
    CellSums e_step;
    std::vector<double> bounds;

    Loop(const EMProblem& problem, int components_)
        : components(components_),
          memory(EM<Alone>::size(components_)),
          pairs(EM<Alone>::size_of_pairs(components_)),
          em({}, problem.prior, problem.sound, components_, memory.data(), pairs.data()),
          e_step(problem, components_) {}
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
    void run(int iterations, double least_gain) override {
        if (bounds.empty()) {
            em.begin(e_step);
            bounds.push_back(em.best.bound);
        }
        em.converged = false;
        for (int i = 0; i < iterations && !em.converged; ++i) {
            em.iterate(least_gain, e_step);
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

// Plain EM from a posterior; remembers the posteriors of its last iterations.
struct PlainEM : Loop {
    std::vector<double> history;
    size_t remembered;

    PlainEM(const EMProblem& problem, const std::vector<Reals>& start, size_t remembered_)
        : Loop(problem, components_of(start, 6)), history(6 * components * remembered_), remembered(remembered_) {
        if (remembered == 0) {
            throw std::invalid_argument("at least one posterior is remembered");
        }
        for (int array = 0; array < 6; ++array) {
            std::copy_n(start[array].data(), components, em.best.posterior.values + array * components);
        }
        em.best.bound = -std::numeric_limits<double>::infinity();
    }
    void run(int iterations, double tolerance) override {
        for (int i = 0; i < iterations && !em.converged; ++i) {
            const double before = bounds.empty() ? em.best.bound : bounds.back();
            std::copy_n(em.best.posterior.values, 6 * components,
                        history.data() + bounds.size() % remembered * 6 * components);
            em.step(em.best.posterior, em.best, e_step);
            bounds.push_back(em.best.bound);
            em.converged = std::abs(em.best.bound - before) < tolerance;
        }
    }
    size_t last() const { return std::min(bounds.size(), remembered); }
    nb::object oldest() const {
        const size_t place = bounds.size() > remembered ? bounds.size() % remembered : 0;
        return arrays_of(history.data() + place * 6 * components, 6, components);
    }
};

// One problem a thread: results depend on neither the number of threads nor the others of the batch.
void run(const std::vector<Loop*>& batch, int iterations, double tolerance, size_t threads) {
    for (Loop* loop : batch) {
        loop->reserve(iterations);
    }
    nb::gil_scoped_release unlocked;
    std::atomic<size_t> next{0};
    const auto work = [&] {
        for (size_t i = next++; i < batch.size(); i = next++) {
            batch[i]->run(iterations, tolerance);
        }
    };
    std::vector<std::thread> others;
    for (size_t i = 1; i < std::min(threads, batch.size()); ++i) {
        others.emplace_back(work);
    }
    work();
    for (std::thread& other : others) {
        other.join();
    }
}

}  // namespace

void bind_em(nb::module_& m) {
    using namespace nb::literals;
    nb::class_<EMProblem>(m, "EMProblem", "Cells, and the prior of their mixture.")
        .def(nb::init<const Kernels&, Reals, Reals, OptionalReals, const std::vector<double>&, std::optional<double>,
                      bool, bool, bool>(),
             "kernels"_a, "mean"_a, "weight"_a, "scatter"_a.none(), "prior"_a, "origin"_a.none(), "dirichlet"_a,
             "tied"_a, "sound"_a, nb::keep_alive<1, 2>())
        .def("bound", &bound_of, "sums"_a, "entropy"_a);
    nb::class_<Loop>(m, "EM", "EM over the cells of one problem.")
        .def_prop_ro("statistics", &Loop::statistics)
        .def_prop_ro("posterior", &Loop::posterior)
        .def_ro("bounds", &Loop::bounds)
        .def_prop_ro("bound", [](const Loop& loop) { return loop.em.best.bound; })
        .def_prop_ro("converged", [](const Loop& loop) { return loop.em.converged; });
    nb::class_<Ascent, Loop>(m, "Ascent", "Accelerated EM; see gpuvgm.mixture.em.AcceleratedEM.")
        .def(nb::init<const EMProblem&, const std::vector<Reals>&>(), "problem"_a, "start"_a, nb::keep_alive<1, 2>())
        .def("begin", &Ascent::begin, nb::call_guard<nb::gil_scoped_release>());
    nb::class_<PlainEM, Loop>(m, "PlainEM", "Variational EM; see gpuvgm.mixture.em.fit_mixture.")
        .def(nb::init<const EMProblem&, const std::vector<Reals>&, size_t>(), "problem"_a, "start"_a, "remembered"_a,
             nb::keep_alive<1, 2>())
        .def_prop_ro("last", &PlainEM::last)
        .def_prop_ro("oldest", &PlainEM::oldest);
    m.def("run_em", &run, "batch"_a, "iterations"_a, "tolerance"_a, "threads"_a = 1,
          "Run the loops of a batch, one problem a thread.");
}

}  // namespace gpuvgm
