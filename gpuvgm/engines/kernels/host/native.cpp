// gpuvgm._native: the host kernels as NumPy functions, with the instruction set chosen at run time. The GIL is released
// while rows are worked on; threads belong to the executor.
#include "native.hpp"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "../vgm_special.cuh"
#include "distinct.hpp"
#include "summary_cells.hpp"

extern "C" const gpuvgm::HostKernels gpuvgm_kernels_baseline;
#if defined(GPUVGM_X86)
extern "C" const gpuvgm::HostKernels gpuvgm_kernels_avx2, gpuvgm_kernels_avx512;
#endif

namespace gpuvgm {

namespace {

template <auto FUNCTION> auto all(const Kernels& kernels, Reals x) {
    std::vector<double> values(x.shape(0));
    {
        nb::gil_scoped_release unlocked;
        (kernels.loops.*FUNCTION)(x.data(), (int64_t)x.shape(0), values.data());
    }
    const size_t size = values.size();
    return owned(std::move(values), {size});
}

std::vector<std::string> instruction_sets() {
    std::vector<std::string> names;
#if defined(GPUVGM_X86)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd")) {
        names.push_back("avx512");
    }
    if (avx2) {
        names.push_back("avx2");
    }
#endif
    names.push_back("baseline");
    return names;
}

const HostKernels& kernels_for(const std::string& name) {
    for (const std::string& usable : instruction_sets()) {
        if (usable == name) {
#if defined(GPUVGM_X86)
            if (name == "avx512") {
                return gpuvgm_kernels_avx512;
            }
            if (name == "avx2") {
                return gpuvgm_kernels_avx2;
            }
#endif
            return gpuvgm_kernels_baseline;
        }
    }
    throw std::invalid_argument("instruction set \"" + name + "\" is not usable on this machine");
}

// Components of a mixture over several features; kept alive by the caller.
struct Gaussians {
    Reals centre, coefficients;
    Matrix means;
    Arrays precisions;
    GaussianTable table;

    Gaussians(Reals centre_, Matrix means_, Arrays precisions_, Reals coefficients_)
        : centre(centre_), coefficients(coefficients_), means(means_), precisions(precisions_) {
        const size_t components = means.shape(0), features = means.shape(1), dimensions = precisions.ndim();
        if (components == 0 || features == 0 || centre.shape(0) != features || coefficients.shape(0) != components) {
            throw std::invalid_argument("means need a row a component, centre and coefficients one value each");
        }
        bool fits = dimensions == 2 || dimensions == 3;
        for (size_t axis = 0; fits && axis < dimensions; ++axis) {
            fits = precisions.shape(axis) == (axis == 0 ? components : features);
        }
        if (!fits) {
            throw std::invalid_argument("precisions need one matrix or one diagonal a component");
        }
        table = {(int)components, (int)features,     dimensions == 2,    centre.data(),
                 means.data(),    precisions.data(), coefficients.data()};
    }
};

void check_rows(const Rows& x, const Gaussians& gaussians) {
    if (x.dtype() != nb::dtype<float>() && x.dtype() != nb::dtype<double>()) {
        throw std::invalid_argument("rows must be float32 or float64");
    }
    if ((int)x.shape(1) != gaussians.table.features) {
        throw std::invalid_argument("rows need one value a feature");
    }
}

auto e_step(const Kernels& kernels, Reals x, OptionalReals weight, OptionalReals scatter, const Mixture& mixture) {
    const size_t rows = x.shape(0), width = 3 * (size_t)mixture.table.components + 1;
    check_length(weight, rows);
    check_length(scatter, rows);
    if (scatter && !weight) {
        throw std::invalid_argument("cells need a weight beside their scatter");
    }
    const size_t chunks = (rows + CHUNK_ROWS - 1) / CHUNK_ROWS;
    std::vector<double> partials(chunks * width);
    {
        nb::gil_scoped_release unlocked;
        if (scatter) {
            kernels.loops.e_step_cells(x.data(), weight->data(), scatter->data(), rows, mixture.table, partials.data());
        } else {
            kernels.loops.e_step_rows(x.data(), pointer(weight), rows, mixture.table, partials.data());
        }
    }
    return owned(std::move(partials), {chunks, width});
}

auto count_most_probable(const Kernels& kernels, Reals x, OptionalReals weight, const Mixture& mixture) {
    check_length(weight, x.shape(0));
    std::vector<double> counts(mixture.table.components, 0.0);
    {
        nb::gil_scoped_release unlocked;
        kernels.loops.count_most_probable(x.data(), pointer(weight), x.shape(0), mixture.table, counts.data());
    }
    const size_t components = counts.size();
    return owned(std::move(counts), {components});
}

auto e_step_features(const Kernels& kernels, Rows x, OptionalReals weight, const Gaussians& gaussians) {
    const size_t rows = x.shape(0), width = gaussians.table.width();
    check_rows(x, gaussians);
    check_length(weight, rows);
    const size_t chunks = (rows + CHUNK_ROWS - 1) / CHUNK_ROWS;
    std::vector<double> partials(chunks * width);
    {
        nb::gil_scoped_release unlocked;
        kernels.loops.e_step_features(x.data(), (int)x.itemsize(), pointer(weight), rows, gaussians.table,
                                      partials.data());
    }
    return owned(std::move(partials), {chunks, width});
}

auto log_prob(const Kernels& kernels, Rows x, const Gaussians& gaussians) {
    const size_t rows = x.shape(0), components = gaussians.table.components;
    check_rows(x, gaussians);
    std::unique_ptr<double[]> density(new double[rows * components]);  // not zeroed: every value is written
    {
        nb::gil_scoped_release unlocked;
        kernels.loops.log_prob(x.data(), (int)x.itemsize(), rows, gaussians.table, density.get());
    }
    return owned(std::move(density), {rows, components});
}

using Labels = nb::ndarray<int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

void check_centres(Matrix x, Matrix centres, Reals squares) {
    if (centres.shape(0) == 0 || centres.shape(1) != x.shape(1) || squares.shape(0) != centres.shape(0)) {
        throw std::invalid_argument("at least one centre is needed, with as many features as the rows, and its square");
    }
}

// Whether a label changed; writes the labels.
bool nearest_centres(const Kernels& kernels, Matrix x, Matrix centres, Reals squares, Labels labels) {
    check_centres(x, centres, squares);
    if (labels.shape(0) != x.shape(0)) {
        throw std::invalid_argument("one label a row is needed");
    }
    nb::gil_scoped_release unlocked;
    return kernels.loops.nearest_centres(x.data(), x.shape(0), (int)x.shape(1), centres.data(), squares.data(),
                                         (int)centres.shape(0), labels.data());
}

// Whether a label changed, and the sum of each centre's rows, of one feature; changes labels and their counts.
auto label_and_sum(const Kernels& kernels, Matrix x, Matrix centres, Reals squares, double largest, Labels labels,
                   nb::ndarray<int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu> counts) {
    check_centres(x, centres, squares);
    const size_t components = centres.shape(0);
    const auto is_none = [=](int32_t label) { return label < -1 || label >= (int32_t)components; };
    if (x.shape(1) != 1 || labels.shape(0) != x.shape(0) || counts.shape(0) != components ||
        std::any_of(labels.data(), labels.data() + labels.shape(0), is_none)) {
        throw std::invalid_argument("one label a row of one feature is needed, of a centre or -1, and counts of all");
    }
    std::vector<double> sums(components + SPARE);
    bool changed;
    {
        nb::gil_scoped_release unlocked;
        changed = kernels.loops.label_and_sum(x.data(), x.shape(0), centres.data(), squares.data(), (int)components,
                                              largest, labels.data(), counts.data(), sums.data());
    }
    return nb::make_tuple(changed, owned(std::move(sums), {components, 1}));
}

// Rows and their sum a centre.
auto sums_by_centre(const Kernels& kernels, Matrix x, Labels labels, int components) {
    const size_t rows = x.shape(0), features = x.shape(1);
    const auto is_none = [=](int32_t label) { return label < 0 || label >= components; };
    if (labels.shape(0) != rows || std::any_of(labels.data(), labels.data() + rows, is_none)) {
        throw std::invalid_argument("each row needs the label of a centre");
    }
    std::vector<double> counts(components), sums(components * features);
    {
        nb::gil_scoped_release unlocked;
        kernels.loops.sums_by_centre(x.data(), rows, (int)features, labels.data(), counts.data(), sums.data());
    }
    return nb::make_tuple(owned(std::move(counts), {(size_t)components}),
                          owned(std::move(sums), {(size_t)components, features}));
}

// Squared distances of rows to the nearest of some centres and one of the candidates, to a part of the columns of out.
void closer(const Kernels& kernels, Matrix x, Reals row_squares, Reals nearest, Matrix candidates, Reals squares,
            nb::ndarray<double, nb::ndim<2>, nb::device::cpu> out) {
    check_centres(x, candidates, squares);
    const size_t rows = x.shape(0), count = candidates.shape(0);
    if (row_squares.shape(0) != rows || nearest.shape(0) != rows || out.shape(0) != count || out.shape(1) != rows ||
        out.stride(1) != 1) {
        throw std::invalid_argument("one square, one distance and one result a row are needed");
    }
    nb::gil_scoped_release unlocked;
    kernels.loops.closer(x.data(), row_squares.data(), rows, (int)x.shape(1), nearest.data(), candidates.data(),
                         squares.data(), (int)count, out.data(), out.stride(0));
}

// For each of some parts of a sum, ascending, the first row at which the rows' sum from the first on reaches it; the
// last row where it never does.
auto first_reaching(const Kernels&, Reals x, Reals parts) {
    const size_t rows = x.shape(0), count = parts.shape(0);
    if (!rows || !std::is_sorted(parts.data(), parts.data() + count)) {
        throw std::invalid_argument("rows are needed, and ascending parts of their sum");
    }
    std::vector<int64_t> places(count, rows - 1);
    nb::gil_scoped_release unlocked;
    double sum = 0.0;
    size_t reached = 0;
    for (size_t row = 0; row < rows && reached < count; ++row) {
        sum += x.data()[row];
        for (; reached < count && sum >= parts.data()[reached]; ++reached) {
            places[reached] = row;
        }
    }
    return places;
}

auto distinct(Words keys) {
    std::vector<uint64_t> kept(keys.data(), keys.data() + keys.shape(0));
    std::vector<double> counts;
    {
        nb::gil_scoped_release unlocked;
        counts = count_distinct(kept);
    }
    const size_t size = kept.size();
    return nb::make_tuple(owned(std::move(kept), {size}), owned(std::move(counts), {size}));
}

// Sparse sums of the occupied cells, ascending, the tally of the numbers, rows off the step, rows of each modal value,
// and the values at both ends.
auto summarise(const Kernels& kernels, Reals x, std::tuple<double, double, uint64_t> frame, Bytes windows,
               Words midpoints, Words parents, int64_t inner_cells, const ColumnRules& rules) {
    if (windows.shape(0) % sizeof(DirectoryEntry) || parents.shape(0) != midpoints.shape(0)) {
        throw std::invalid_argument("a window has 16 bytes, a split one parent a midpoint");
    }
    const auto* entries = (const DirectoryEntry*)windows.data();
    const int64_t window_count = windows.shape(0) / sizeof(DirectoryEntry);
    const auto [scale, centre, hot_key] = frame;
    std::vector<Split> splits;
    const int64_t first_part = OUTER_CELLS + inner_cells, all_cells = first_part + (int64_t)midpoints.shape(0);
    for (size_t s = 0; s < midpoints.shape(0); ++s) {
        splits.push_back({midpoints.data()[s], (uint32_t)parents.data()[s], (uint32_t)(first_part + s)});
    }
    Tally tally{0, 0, std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
    RulesInUse used(rules);
    Sparse out;
    {
        nb::gil_scoped_release unlocked;
        std::unique_ptr<Table> table = table_pool().take(all_cells);
        table->mark(entries, window_count, splits);
        const GridTable grid{scale, centre, table->directory.data(), splits.data(), (int64_t)splits.size(), hot_key};
        for (int64_t start = 0; start < (int64_t)x.shape(0); start += WINDOW_ROWS) {
            const int64_t rows = std::min<int64_t>(WINDOW_ROWS, x.shape(0) - start);
            kernels.loops.summarise(x.data() + start, rows, used.rules, grid, table->cells.get(), table->touched.get(),
                                    &tally, &used.counts);
            table->each_touched(all_cells, [&](int64_t cell) { table->carry(cell); });
        }
        out.reserve(table->occupied);
        table->each_touched(all_cells, [&](int64_t cell) { table->emit(cell, out); });
        table->wipe(entries, window_count, splits);
        table_pool().give_back(std::move(table));
    }
    const size_t size = out.cell.size();
    const bool are_numbers = used.rules.scale == 0 && used.rules.origin == 0;
    const auto [least, largest] =
        are_numbers ? std::pair(tally.minimum, tally.maximum) : std::pair(used.counts.least, used.counts.largest);
    return nb::make_tuple(nb::make_tuple(owned(std::move(out.cell), {size}), owned(std::move(out.count), {size}),
                                         owned(std::move(out.first), {size}), owned(std::move(out.second), {size}),
                                         owned(std::move(out.second_high), {size})),
                          std::make_tuple(tally.missing, tally.infinite, tally.minimum + 0.0, tally.maximum + 0.0),
                          used.counts.off_step.rows, std::move(used.modal_rows),
                          std::make_tuple(least + 0.0, largest + 0.0));
}

}  // namespace

Kernels::Kernels(const std::string& instruction_set) : loops(kernels_for(instruction_set)), name(instruction_set) {}

}  // namespace gpuvgm

NB_MODULE(_native, m) {
    using namespace gpuvgm;
    using namespace nb::literals;
    nb::set_leak_warnings(false);  // a process may end while Python still holds objects of this module
    m.doc() = "Row loops of the native engine, and functions of K-vectors.";
    m.def("distinct", &distinct, "keys"_a, "The distinct keys, ascending, and how often each occurs.");
    m.def("instruction_sets", &instruction_sets, "Instruction sets usable on this machine, the fastest first.");
    nb::class_<Mixture>(m, "Mixture", "Components of a mixture, as the row formulas take them.")
        .def(nb::init<double, double, Reals, Reals, Reals>(), "scale"_a, "centre"_a, "means"_a, "half_precisions"_a,
             "coefficients"_a);
    nb::class_<Gaussians>(m, "Gaussians", "Components of a mixture over several features.")
        .def(nb::init<Reals, Matrix, Arrays, Reals>(), "centre"_a, "means"_a, "precisions"_a, "coefficients"_a);
    nb::class_<Kernels> kernels(m, "Kernels", "The row loops of one instruction set.");
    kernels.def(nb::init<const std::string&>(), "instruction_set"_a)
        .def_ro("name", &Kernels::name)
        .def("e_step", &e_step, "x"_a, "weight"_a.none(), "scatter"_a.none(), "mixture"_a)
        .def("count_most_probable", &count_most_probable, "x"_a, "weight"_a.none(), "mixture"_a)
        .def("e_step_features", &e_step_features, "x"_a, "weight"_a.none(), "gaussians"_a)
        .def("log_prob", &log_prob, "x"_a, "gaussians"_a)
        .def("log", &all<&HostKernels::log>, "x"_a, "Natural logarithm; see gpuvgm.mixture.special.")
        .def("exp", &all<&HostKernels::exp>, "x"_a, "Exponential function; see gpuvgm.mixture.special.")
        .def("digamma", &all<&HostKernels::digamma>, "x"_a, "Digamma; see gpuvgm.mixture.special.")
        .def("gammaln", &all<&HostKernels::gammaln>, "x"_a, "Log-gamma; see gpuvgm.mixture.special.")
        .def("nearest_centres", &nearest_centres, "x"_a, "centres"_a, "squares"_a, "labels"_a,
             "Labels of the nearest centres; whether one changed.")
        .def("label_and_sum", &label_and_sum, "x"_a, "centres"_a, "squares"_a, "largest"_a, "labels"_a, "counts"_a,
             "Both for one feature.")
        .def("sums_by_centre", &sums_by_centre, "x"_a, "labels"_a, "components"_a, "Rows and their sum a centre.")
        .def("closer", &closer, "x"_a, "row_squares"_a, "nearest"_a, "candidates"_a, "squares"_a, "out"_a,
             "Squared distances with one more centre.")
        .def("first_reaching", &first_reaching, "x"_a, "parts"_a,
             "Rows at which the sum of the rows reaches parts of it.")
        .def("summarise", &summarise, "x"_a, "frame"_a, "windows"_a, "midpoints"_a, "parents"_a, "inner_cells"_a,
             "rules"_a);
    bind_rows(m, kernels);
    bind_onehot(m);
    bind_em(m);
    bind_draw(kernels);
    bind_text(m);
    bind_trees(m);
}
