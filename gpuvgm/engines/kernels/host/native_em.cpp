// EM over the cells of a summary, for a batch of problems: one problem a thread, the GIL released.
#include "native_em.hpp"

#include <atomic>
#include <limits>
#include <thread>

namespace gpuvgm {

namespace {

double bound_of(const EMProblem& problem, const std::vector<Reals>& sums, double entropy) {
    const int k = components_of(sums, 4);
    std::vector<double> values(Statistics::size(k), entropy);
    for (int array = 0; array < 4; ++array) {
        std::copy_n(sums[array].data(), k, values.data() + array * k);
    }
    return lower_bound_of(problem, {values.data(), k}).bound;
}

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
            problem.loops.em_step(em, problem.cells, room.data());
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
    bind_search(m);
    m.def("run_em", &run, "batch"_a, "iterations"_a, "tolerance"_a, "threads"_a = 1,
          "Run the loops of a batch, one problem a thread.");
}

}  // namespace gpuvgm
