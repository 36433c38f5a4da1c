// The search for the best fit of one feature over the cells of a summary, in one call without the GIL: the steps of
// search_in_python in gpuvgm/mixture/search.py one by one and in their order, hence the same result to the bit.
// Comments that say why stand there.
#include <nanobind/stl/pair.h>

#include <memory>
#include <numeric>

#include "native_em.hpp"

namespace gpuvgm {

namespace {

constexpr int REORDERINGS = 3, SHORT_TRIAL = 2;
constexpr double LEAST_ROWS = 0.5;

// Sums over rows that an E-step hands to the M-step; see `Statistics` in gpuvgm/mixture/statistics.py.
struct Sums {
    int components;
    std::vector<double> values;

    explicit Sums(int components_) : components(components_), values(Statistics::size(components_)) {}
    Sums(const double* from, int components_)
        : components(components_), values(from, from + Statistics::size(components_)) {}

    Statistics view() const { return {const_cast<double*>(values.data()), components}; }
    double count(int i) const { return values[components + i]; }

    Sums take(const std::vector<int>& places) const {
        Sums taken((int)places.size());
        for (int array = 0; array < 4; ++array) {
            for (size_t i = 0; i < places.size(); ++i) {
                taken.values[array * places.size() + i] = values[array * components + places[i]];
            }
        }
        taken.values.back() = values.back();
        return taken;
    }
    Sums padded(int size) const {
        std::vector<int> places(size, 0);
        std::iota(places.begin(), places.begin() + components, 0);
        Sums all = take(places);
        for (int array = 1; array < 4; ++array) {
            std::fill(all.values.begin() + array * size + components, all.values.begin() + (array + 1) * size, 0.0);
        }
        return all;
    }
    Sums without(int component) const {
        std::vector<int> places(components - 1);
        for (int i = 0; i < components - 1; ++i) {
            places[i] = i + (i >= component);
        }
        return take(places);
    }
    std::vector<int> nonempty() const {
        std::vector<int> places;
        for (int i = 0; i < components; ++i) {
            if (count(i) >= LEAST_ROWS) {
                places.push_back(i);
            }
        }
        return places;
    }
    bool descends() const {
        for (int i = 1; i < components; ++i) {
            if (!(count(i - 1) >= count(i))) {
                return false;
            }
        }
        return true;
    }
    Sums descending() const {
        std::vector<int> places(components);
        std::iota(places.begin(), places.end(), 0);
        std::stable_sort(places.begin(), places.end(), [&](int i, int j) { return count(i) > count(j); });
        return take(places);
    }
};

using Starts = std::vector<Sums>;
using Run = std::shared_ptr<Ascent>;
using Runs = std::vector<Run>;

// Extent of a search; see `Effort`.
struct Extent {
    double tolerance, rough_tolerance, far_below;
    int max_iter, rough_iter, screening, trial, finalists, rounds;
};

Sums sums_of(const Run& run) { return {run->em.best.statistics.values, run->components}; }

double height(const Run& run) { return run->em.best.bound; }

Run highest(const Runs& runs) {
    return *std::max_element(runs.begin(), runs.end(),
                             [](const Run& a, const Run& b) { return height(a) < height(b); });
}

// Accelerated EM on one copy of the rows; see `_Level`.
struct Level {
    const EMProblem& problem;
    double rows;
    const Extent& extent;

    double bound(const Sums& sums) const { return lower_bound_of(problem, sums.view()).bound; }

    Run ascent(const Sums& start) const {
        const Run run = std::make_shared<Ascent>(problem, start.values.data(), start.components);
        run->begin();
        return run;
    }
    Runs ascents(const Starts& starts) const {
        Runs runs;
        for (const Sums& start : starts) {
            runs.push_back(ascent(start));
        }
        return runs;
    }
    void go(const Run& run, int iterations, double tolerance) const { run->run(iterations, tolerance * rows); }

    Runs finish(Runs ends, bool rough = false) const {
        std::vector<size_t> indices(ends.size());
        std::iota(indices.begin(), indices.end(), 0);
        for (int i = 0; i < REORDERINGS && !indices.empty(); ++i) {
            std::vector<size_t> restarted;
            for (const size_t index : indices) {
                Run& end = ends[index];
                go(end, rough ? extent.rough_iter : extent.max_iter, rough ? extent.rough_tolerance : extent.tolerance);
                const Sums sums = sums_of(end);
                if (sums.descends()) {
                    continue;
                }
                const Sums descending = sums.descending();
                if (bound(descending) > height(end)) {
                    end = ascent(descending);
                    restarted.push_back(index);
                }
            }
            indices = restarted;
        }
        return ends;
    }

    Runs compare(const Starts& starts, int iterations) const {
        Runs runs = ascents(starts);
        for (const Run& run : runs) {
            go(run, iterations, extent.rough_tolerance);
        }
        std::stable_sort(runs.begin(), runs.end(), [](const Run& a, const Run& b) { return height(a) > height(b); });
        return runs;
    }

    Run best(Runs runs) const {
        runs.resize(std::min(runs.size(), (size_t)extent.finalists));
        return highest(finish(runs, true));
    }

    Sums go_on(const Run& run) const {
        go(run, extent.screening, 0.0);
        return sums_of(run);
    }

    Sums grow(const Sums& sums) const {
        Starts splits;
        for (const int component : sums.nonempty()) {
            splits.emplace_back(sums.components + 1);
            problem.loops.em_split(sums.view(), component, splits.back().view());
        }
        return go_on(compare(splits, extent.trial)[0]);
    }

    Run prune(Sums sums, int components) const {
        for (;;) {
            const bool is_last = sums.components - 1 <= components;
            Starts fewer;
            for (int i = 0; i < sums.components; ++i) {
                fewer.push_back(sums.without(i));
            }
            const Runs runs = compare(fewer, is_last ? extent.trial : SHORT_TRIAL);
            if (is_last) {
                return best(runs);
            }
            sums = sums_of(runs[0]);
        }
    }

    Run improve(Run run) const {
        const int components = run->components;
        for (int i = 0; i < extent.rounds; ++i) {
            const Run candidate = prune(grow(sums_of(run)), components);
            const double gain = height(candidate) - height(run);
            run = gain > 0 ? candidate : run;
            if (!(gain > extent.rough_tolerance * rows)) {
                break;
            }
        }
        return run;
    }

    std::optional<Sums> one_fewer(const Sums& sums) const {
        const Sums nonempty = sums.take(sums.nonempty());
        if (nonempty.components <= 1) {
            return std::nullopt;
        }
        return sums_of(prune(nonempty, nonempty.components - 1));
    }

    std::pair<Run, std::optional<Sums>> simplify(Run run) const {
        const int components = run->components;
        std::optional<Sums> fewer;
        for (int i = 0; i < components; ++i) {
            fewer = one_fewer(sums_of(run));
            if (!fewer || !(bound(fewer->padded(components)) > height(run))) {
                break;
            }
            run = ascent(fewer->padded(components));
        }
        return {run, fewer};
    }

    Runs screening(const Starts& starts) const {
        std::vector<int> numbers;
        for (const Sums& start : starts) {
            numbers.push_back(start.components);
        }
        std::sort(numbers.begin(), numbers.end());
        numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
        Runs winners;
        for (const int components : numbers) {
            Starts descending;
            for (const Sums& start : starts) {
                if (start.components == components) {
                    descending.push_back(start.descending());
                }
            }
            const Runs runs = compare(descending, extent.screening);
            winners.push_back(components == numbers[0] ? best(runs) : prune(go_on(runs[0]), numbers[0]));
        }
        return winners;
    }

    int modes(const Posterior& posterior, double weight_threshold) const {
        const int k = posterior.components;
        const double *a = posterior.weight_a(), *b = posterior.weight_b();
        const bool dirichlet = problem.prior.dirichlet;
        std::vector<double> weights(k);
        double remainder = 1.0, total = 0.0;
        for (int i = 0; i < k; ++i) {
            weights[i] = dirichlet ? a[i] : a[i] / (a[i] + b[i]) * remainder;
            remainder = remainder * (b[i] / (a[i] + b[i]));
            total = i == 0 ? weights[0] : total + weights[i];
        }
        const double prior_rows = dirichlet ? problem.prior.weight_concentration : 1.0;
        int count = 0;
        for (int i = 0; i < k; ++i) {
            count += weights[i] / total > weight_threshold && a[i] - prior_rows > 0.5;
        }
        return count;
    }
    int modes(const Sums& sums, double weight_threshold) const {
        UpdatedPosterior updated = lower_bound_of(problem, sums.view());
        return modes(Posterior{updated.values.data(), sums.components}, weight_threshold);
    }
};

// Where a search starts; see `Starts` in search.py.
struct AllStarts {
    Starts coarse, full, fits, sparse;
};

// The best fit: the end of an ascent, or a known point above it, which has no posterior here.
struct Best {
    Run run;
    std::optional<Sums> point;
    double bound;

    Best(const Run& run_, const Level& level, const Starts& points) : run(run_), bound(height(run_)) {
        for (const Sums& known : points) {
            const double known_bound = level.bound(known);
            if (known_bound > bound) {
                point = known;
                bound = known_bound;
            }
        }
    }
    Sums sums() const { return point ? *point : sums_of(run); }
    int modes(const Level& level, double weight_threshold) const {
        return point ? level.modes(*point, weight_threshold) : level.modes(run->em.best.posterior, weight_threshold);
    }
};

// The evidence that a start must get above, and the logarithm of the strength of the prior; see `Prior.evidence`.
using LeastEvidence = std::optional<std::pair<double, double>>;

struct Search {
    std::vector<Level> levels;
    const Extent& extent;
    double weight_threshold;

    const Level& coarse() const { return levels.front(); }
    const Level& fine() const { return levels.back(); }

    // The fit found on the coarsest level, and the best with a component less; nothing where it is not above the least.
    std::optional<std::pair<Run, std::optional<Sums>>> on_coarse(const Starts& starts,
                                                                 const LeastEvidence& least) const {
        const Run start = highest(coarse().screening(starts));
        if (least && !(height(start) + 0.5 * start->components * least->second > least->first)) {
            return std::nullopt;
        }
        const auto [simple, fewer] = coarse().simplify(start);
        const Run improved = coarse().improve(simple);
        if (height(improved) - height(simple) > extent.rough_tolerance * coarse().rows) {
            return coarse().simplify(improved);
        }
        return std::pair(improved, fewer);
    }

    // Runs on the finest level, from where those on the others ended unless that is far below the best.
    Runs through_levels(const Run& run, const AllStarts& starts) const {
        Starts begin{sums_of(run)}, sparse = starts.sparse;
        begin.insert(begin.end(), starts.full.begin(), starts.full.end());
        for (size_t i = 0; i + 1 < levels.size(); ++i) {
            const size_t many = begin.size();
            begin.insert(begin.end(), sparse.begin(), sparse.end());
            const Runs ends = levels[i].finish(levels[i].ascents(begin));
            const double lowest = height(highest(ends)) - extent.far_below * levels[i].rows;
            begin.clear();
            sparse.clear();
            for (size_t end = 0; end < many; ++end) {
                if (height(ends[end]) >= lowest) {
                    begin.push_back(sums_of(ends[end]));
                }
            }
            Run best_of_few;
            for (size_t end = many; end < ends.size(); ++end) {
                best_of_few = best_of_few && height(best_of_few) > height(ends[end]) ? best_of_few : ends[end];
            }
            if (best_of_few && height(best_of_few) >= lowest) {
                sparse.push_back(sums_of(best_of_few));
            }
        }
        begin.insert(begin.end(), sparse.begin(), sparse.end());
        begin.insert(begin.end(), starts.fits.begin(), starts.fits.end());
        return fine().finish(fine().ascents(begin));
    }

    std::optional<Sums> with_fewer(std::optional<Sums>& fewer, int modes) const {
        for (; fewer; fewer = coarse().one_fewer(*fewer)) {
            if (coarse().modes(*fewer, weight_threshold) < modes) {
                return sums_of(fine().finish({fine().ascent(*fewer)}, true)[0]);
            }
        }
        return std::nullopt;
    }
};

struct SearchEnd {
    Best best;
    int modes;
    std::optional<double> bound_with_fewer;
};

std::optional<SearchEnd> run_search(const Search& search, const AllStarts& starts, const LeastEvidence& least) {
    Starts all = starts.coarse;
    all.insert(all.end(), starts.full.begin(), starts.full.end());
    auto found = search.on_coarse(all, least);
    if (!found) {
        return std::nullopt;
    }
    auto [run, fewer] = *found;
    const Level& fine = search.fine();
    Best best(highest(search.through_levels(run, starts)), fine, starts.fits);
    for (;;) {
        const int modes = best.modes(fine, search.weight_threshold);
        const std::optional<Sums> lesser = search.with_fewer(fewer, modes);
        if (!lesser) {
            return SearchEnd{best, modes, std::nullopt};
        }
        const Sums padded = lesser->padded(best.sums().components);
        const double bound = fine.bound(padded);
        if (!(bound > best.bound)) {
            return SearchEnd{best, modes, bound};
        }
        best = Best(fine.finish({fine.ascent(padded)})[0], fine, {padded});
        fewer = search.coarse().one_fewer(best.sums());
    }
}

Starts starts_of(const std::vector<std::pair<std::vector<Reals>, double>>& given) {
    Starts starts;
    for (const auto& [arrays, entropy] : given) {
        Sums sums(components_of(arrays, 4));
        for (int array = 0; array < 4; ++array) {
            std::copy_n(arrays[array].data(), sums.components, sums.values.data() + array * sums.components);
        }
        sums.values.back() = entropy;
        starts.push_back(std::move(sums));
    }
    return starts;
}

using GivenStarts = std::vector<std::pair<std::vector<Reals>, double>>;

// What SearchEnd in gpuvgm/engines/base.py has.
nb::object search_cells(const std::vector<const EMProblem*>& levels, const std::vector<double>& rows,
                        const std::vector<GivenStarts>& given, const std::vector<double>& tolerances,
                        const std::vector<int>& iterations, double weight_threshold, const LeastEvidence& least) {
    if (levels.empty() || rows.size() != levels.size() || given.size() != 4 || tolerances.size() != 3 ||
        iterations.size() != 6) {
        throw std::invalid_argument("a search has levels with rows, four sorts of starts, and nine numbers");
    }
    const AllStarts starts{starts_of(given[0]), starts_of(given[1]), starts_of(given[2]), starts_of(given[3])};
    if (starts.coarse.empty()) {
        throw std::invalid_argument("a search needs a start");
    }
    const Extent extent{tolerances[0], tolerances[1], tolerances[2], iterations[0], iterations[1],
                        iterations[2], iterations[3], iterations[4], iterations[5]};
    Search search{{}, extent, weight_threshold};
    for (size_t i = 0; i < levels.size(); ++i) {
        search.levels.push_back({*levels[i], rows[i], extent});
    }
    std::optional<SearchEnd> end;
    {
        nb::gil_scoped_release unlocked;
        end = run_search(search, starts, least);
    }
    if (!end) {
        return nb::make_tuple(nb::none(), nb::none(), std::vector<double>(), false, 0, nb::none());
    }
    const Best& best = end->best;
    const Sums sums = best.sums();
    const nb::object statistics = nb::make_tuple(arrays_of(sums.values.data(), 4, sums.components), sums.values.back());
    const std::vector<double> bounds = best.point ? std::vector<double>{best.bound} : best.run->bounds;
    return nb::make_tuple(statistics, best.point ? nb::none() : best.run->posterior(), bounds, best.run->em.converged,
                          end->modes, end->bound_with_fewer);
}

}  // namespace

void bind_search(nb::module_& m) {
    using namespace nb::literals;
    m.def("search_cells", &search_cells, "levels"_a, "rows"_a, "starts"_a, "tolerances"_a, "iterations"_a,
          "weight_threshold"_a, "least"_a.none(),
          "Search for the best fit; see gpuvgm.mixture.search.search_in_python.");
}

}  // namespace gpuvgm
