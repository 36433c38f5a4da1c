// gpuvgm._native: the host kernels as NumPy functions, with the instruction set chosen at run time. The GIL is released
// while rows are worked on; threads belong to the executor.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "host.hpp"
#include "onehot.hpp"
#include "special.hpp"
#include "summary_cells.hpp"

namespace nb = nanobind;

extern "C" const gpuvgm::HostKernels gpuvgm_kernels_baseline;
#if defined(GPUVGM_X86)
extern "C" const gpuvgm::HostKernels gpuvgm_kernels_avx2, gpuvgm_kernels_avx512;
#endif

namespace gpuvgm {

namespace {

using Reals = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using OptionalReals = std::optional<Reals>;
using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Words = nb::ndarray<const uint64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using AnyColumn = nb::ndarray<nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Arrays = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<nb::ro, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using ReadColumn = nb::ndarray<nb::ro, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class T> nb::ndarray<nb::numpy, T> owned(std::vector<T>&& values, std::initializer_list<size_t> shape) {
    auto* kept = new std::vector<T>(std::move(values));
    nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return nb::ndarray<nb::numpy, T>(kept->data(), shape, owner);
}

template <class T> nb::ndarray<nb::numpy, T> owned(std::unique_ptr<T[]> values, std::initializer_list<size_t> shape) {
    T* kept = values.release();
    nb::capsule owner(kept, [](void* p) noexcept { delete[] static_cast<T*>(p); });
    return nb::ndarray<nb::numpy, T>(kept, shape, owner);
}

template <double (*FUNCTION)(double)> auto each(Reals x) {
    std::vector<double> values(x.shape(0));
    std::transform(x.data(), x.data() + x.shape(0), values.begin(), FUNCTION);
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

// Components of a mixture as arrays; kept alive by the caller.
struct Mixture {
    Reals means, half_precisions, coefficients;
    MixtureTable table;

    Mixture(double scale, double centre, Reals means_, Reals half_precisions_, Reals coefficients_)
        : means(means_), half_precisions(half_precisions_), coefficients(coefficients_) {
        const size_t components = means.shape(0);
        if (components == 0 || half_precisions.shape(0) != components || coefficients.shape(0) != components) {
            throw std::invalid_argument("means, half_precisions and coefficients need one value a component");
        }
        table = {(int)components, scale, centre, means.data(), half_precisions.data(), coefficients.data()};
    }
};

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

// The loops tell float from double and one byte from two by size: anything else would be misread.
template <class Column> void check_scalar(const Column& scalar) {
    if (scalar.dtype() != nb::dtype<float>() && scalar.dtype() != nb::dtype<double>()) {
        throw std::invalid_argument("scalars must be float32 or float64");
    }
}

template <class Column> void check_cell(const Column& cell) {
    if (cell.dtype() != nb::dtype<uint8_t>() && cell.dtype() != nb::dtype<uint16_t>()) {
        throw std::invalid_argument("cells must be uint8 or uint16");
    }
}

template <class Column> void check_encoded(const Column& scalar, const Column& cell) {
    check_scalar(scalar);
    check_cell(cell);
}

void check_length(const OptionalReals& values, size_t rows) {
    if (values && values->shape(0) != rows) {
        throw std::invalid_argument("one value a row is needed");
    }
}

const double* pointer(const OptionalReals& values) { return values ? values->data() : nullptr; }

struct Kernels {
    const HostKernels& loops;
    std::string name;

    explicit Kernels(const std::string& instruction_set) : loops(kernels_for(instruction_set)), name(instruction_set) {}

    auto e_step(Reals x, OptionalReals weight, OptionalReals scatter, const Mixture& mixture) const {
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
                loops.e_step_cells(x.data(), weight->data(), scatter->data(), rows, mixture.table, partials.data());
            } else {
                loops.e_step_rows(x.data(), pointer(weight), rows, mixture.table, partials.data());
            }
        }
        return owned(std::move(partials), {chunks, width});
    }

    auto count_most_probable(Reals x, OptionalReals weight, const Mixture& mixture) const {
        check_length(weight, x.shape(0));
        std::vector<double> counts(mixture.table.components, 0.0);
        {
            nb::gil_scoped_release unlocked;
            loops.count_most_probable(x.data(), pointer(weight), x.shape(0), mixture.table, counts.data());
        }
        const size_t components = counts.size();
        return owned(std::move(counts), {components});
    }

    auto e_step_features(Rows x, OptionalReals weight, const Gaussians& gaussians) const {
        const size_t rows = x.shape(0), width = gaussians.table.width();
        check_rows(x, gaussians);
        check_length(weight, rows);
        const size_t chunks = (rows + CHUNK_ROWS - 1) / CHUNK_ROWS;
        std::vector<double> partials(chunks * width);
        {
            nb::gil_scoped_release unlocked;
            loops.e_step_features(x.data(), (int)x.itemsize(), pointer(weight), rows, gaussians.table, partials.data());
        }
        return owned(std::move(partials), {chunks, width});
    }

    auto log_prob(Rows x, const Gaussians& gaussians) const {
        const size_t rows = x.shape(0), components = gaussians.table.components;
        check_rows(x, gaussians);
        std::unique_ptr<double[]> density(new double[rows * components]);  // not zeroed: every value is written
        {
            nb::gil_scoped_release unlocked;
            loops.log_prob(x.data(), (int)x.itemsize(), rows, gaussians.table, density.get());
        }
        return owned(std::move(density), {rows, components});
    }

    void transform(Reals x, const Mixture& mixture, Reals widths, Reals cells, std::tuple<double, double, double> rules,
                   std::tuple<uint64_t, uint64_t, uint64_t, bool> randomness, OptionalReals uniforms, AnyColumn scalar,
                   AnyColumn cell) const {
        const size_t rows = x.shape(0);
        check_encoded(scalar, cell);
        check_length(uniforms, rows);
        if (scalar.shape(0) != rows || cell.shape(0) != rows || widths.shape(0) != cells.shape(0) ||
            widths.shape(0) == 0 || (int)widths.shape(0) > mixture.table.components) {
            throw std::invalid_argument(
                "scalar and cell need one value a row, widths and cells one an active component");
        }
        const auto [floor, limit, missing_cell] = rules;
        const auto [seed, column, first_row, most_probable] = randomness;
        const DrawTable active{(int)widths.shape(0), floor, limit, widths.data(), cells.data(), missing_cell};
        const Draw draw{seed, column, first_row, pointer(uniforms), most_probable};
        nb::gil_scoped_release unlocked;
        loops.transform(x.data(), rows, mixture.table, active, draw, scalar.data(), (int)scalar.itemsize(), cell.data(),
                        (int)cell.itemsize());
    }

    int64_t inverse_transform(ReadColumn scalar, ReadColumn cell, std::tuple<double, double, double> frame, Reals means,
                              Reals widths,
                              nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu> value) const {
        const size_t rows = value.shape(0);
        check_encoded(scalar, cell);
        if (scalar.shape(0) != rows || cell.shape(0) != rows || means.shape(0) != widths.shape(0)) {
            throw std::invalid_argument("scalar and cell need one value a row, means and widths one a cell");
        }
        const auto [scale, centre, limit] = frame;
        const InverseTable table{(int)means.shape(0), scale, centre, limit, means.data(), widths.data()};
        nb::gil_scoped_release unlocked;
        return loops.inverse_transform(scalar.data(), (int)scalar.itemsize(), cell.data(), (int)cell.itemsize(), rows,
                                       table, value.data());
    }

    // Sparse sums of the occupied cells, ascending, and the tally of the values.
    auto summarise(Reals x, std::tuple<double, double, uint64_t> frame, Bytes directory, Words midpoints, Words parents,
                   int64_t inner_cells) const {
        if (directory.shape(0) != ENTRIES * 16 || parents.shape(0) != midpoints.shape(0)) {
            throw std::invalid_argument("the directory has 2^16 entries of 16 bytes, a split one parent a midpoint");
        }
        const auto [scale, centre, hot_key] = frame;
        std::vector<Split> splits;
        const int64_t first_part = OUTER_CELLS + inner_cells, all_cells = first_part + (int64_t)midpoints.shape(0);
        for (size_t s = 0; s < midpoints.shape(0); ++s) {
            splits.push_back({midpoints.data()[s], (uint32_t)parents.data()[s], (uint32_t)(first_part + s)});
        }
        Tally tally{0, 0, std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
        Sparse out;
        {
            nb::gil_scoped_release unlocked;
            std::unique_ptr<Table> table = table_pool().take(all_cells);
            for (const Split& split : splits) {
                table->cells.get()[split.parent].second = SPLIT_MARK;
            }
            const GridTable grid{scale, centre, directory.data(), splits.data(), (int64_t)splits.size(), hot_key};
            for (int64_t start = 0; start < (int64_t)x.shape(0); start += WINDOW_ROWS) {
                const int64_t rows = std::min<int64_t>(WINDOW_ROWS, x.shape(0) - start);
                loops.summarise(x.data() + start, rows, grid, table->cells.get(), table->touched.get(), &tally);
                table->each_touched(all_cells, [&](int64_t cell) { table->carry(cell); });
            }
            table->each_touched(all_cells, [&](int64_t cell) { table->emit(cell, out); });
            table->wipe(splits);
            table_pool().give_back(std::move(table));
        }
        const size_t size = out.cell.size();
        return nb::make_tuple(owned(std::move(out.cell), {size}), owned(std::move(out.count), {size}),
                              owned(std::move(out.first), {size}), owned(std::move(out.second), {size}),
                              owned(std::move(out.second_high), {size}), tally.missing, tally.infinite,
                              tally.minimum + 0.0, tally.maximum + 0.0);
    }
};

template <class Real>
using OutMatrix = nb::ndarray<Real, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class Real>
using InMatrix = nb::ndarray<const Real, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Part = std::tuple<std::optional<ReadColumn>, std::optional<ReadColumn>, int64_t>;

template <class Real> void fill_onehot(const std::vector<Part>& parts, OutMatrix<Real> out) {
    const int64_t rows = out.shape(0), width = out.shape(1);
    std::vector<OnehotColumn> columns;
    int64_t total = 0;
    for (const auto& [scalar, cell, cells] : parts) {
        if ((scalar && (int64_t)scalar->shape(0) != rows) || (cell && (int64_t)cell->shape(0) != rows)) {
            throw std::invalid_argument("scalar and cell need one value a row");
        }
        if (scalar) {
            check_scalar(*scalar);
        }
        if (cell) {
            check_cell(*cell);
        }
        columns.push_back({scalar ? scalar->data() : nullptr, cell ? cell->data() : nullptr,
                           scalar ? (int)scalar->itemsize() : 0, cell ? (int)cell->itemsize() : 0, cells});
        total += (scalar ? 1 : 0) + cells;
    }
    if (total != width) {
        throw std::invalid_argument("the matrix needs one column for each scalar and cell");
    }
    nb::gil_scoped_release unlocked;
    write_onehot(columns.data(), (int64_t)columns.size(), rows, width, out.data());
}

using Order = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using ReadPart = std::tuple<std::optional<AnyColumn>, std::optional<AnyColumn>, Order, bool>;

template <class Real> void read_parts(InMatrix<Real> matrix, const std::vector<ReadPart>& parts) {
    const int64_t rows = matrix.shape(0), width = matrix.shape(1);
    std::vector<ReadColumnOf<Real>> columns;
    int64_t total = 0;
    for (const auto& [scalar, cell, order, zero_is_none] : parts) {
        const int64_t cells = order.shape(0);
        if ((scalar && (int64_t)scalar->shape(0) != rows) || (cell && (int64_t)cell->shape(0) != rows)) {
            throw std::invalid_argument("scalar and cell need one value a row");
        }
        if (scalar && scalar->dtype() != nb::dtype<Real>()) {
            throw std::invalid_argument("scalars must be of the matrix's type");
        }
        if (cell) {
            check_cell(*cell);
        }
        if ((bool)cell != (cells > 0)) {
            throw std::invalid_argument("cells are written where a column has some");
        }
        for (int64_t i = 0; i < cells; ++i) {
            if (order.data()[i] < 0 || order.data()[i] >= cells) {
                throw std::invalid_argument("the order names a cell that is not there");
            }
        }
        columns.push_back({scalar ? (Real*)scalar->data() : nullptr, cell ? cell->data() : nullptr,
                           cell ? (int)cell->itemsize() : 0, order.data(), cells, zero_is_none});
        total += (scalar ? 1 : 0) + cells;
    }
    if (total != width) {
        throw std::invalid_argument("the matrix needs one column for each scalar and cell");
    }
    nb::gil_scoped_release unlocked;
    read_onehot(matrix.data(), rows, width, columns.data(), (int64_t)columns.size());
}

}  // namespace
}  // namespace gpuvgm

NB_MODULE(_native, m) {
    using namespace gpuvgm;
    using namespace nb::literals;
    m.doc() = "Row loops of the native engine, and functions of K-vectors.";
    m.def("log", &each<log_of>, "x"_a, "Natural logarithm; see gpuvgm.special.");
    m.def("digamma", &each<digamma_of>, "x"_a, "Digamma; see gpuvgm.special.");
    m.def("gammaln", &each<gammaln_of>, "x"_a, "Logarithm of the gamma function; see gpuvgm.special.");
    m.def("instruction_sets", &instruction_sets, "Instruction sets usable on this machine, the fastest first.");
    m.def("fill_onehot", &fill_onehot<float>, "parts"_a, "out"_a.noconvert());
    m.def("fill_onehot", &fill_onehot<double>, "parts"_a, "out"_a.noconvert(),
          "Write encoded columns (scalar, cell, number of cells) as rows of the onehot layout.");
    m.def("read_onehot", &read_parts<float>, "matrix"_a.noconvert(), "parts"_a);
    m.def("read_onehot", &read_parts<double>, "matrix"_a.noconvert(), "parts"_a,
          "Read rows of the onehot layout into (scalar, cell, order of ties, whether zeros are no cell) a column.");
    nb::class_<Mixture>(m, "Mixture", "Components of a mixture, as the row formulas take them.")
        .def(nb::init<double, double, Reals, Reals, Reals>(), "scale"_a, "centre"_a, "means"_a, "half_precisions"_a,
             "coefficients"_a);
    nb::class_<Gaussians>(m, "Gaussians", "Components of a mixture over several features.")
        .def(nb::init<Reals, Matrix, Arrays, Reals>(), "centre"_a, "means"_a, "precisions"_a, "coefficients"_a);
    nb::class_<Kernels>(m, "Kernels", "The row loops of one instruction set.")
        .def(nb::init<const std::string&>(), "instruction_set"_a)
        .def_ro("name", &Kernels::name)
        .def("e_step", &Kernels::e_step, "x"_a, "weight"_a.none(), "scatter"_a.none(), "mixture"_a)
        .def("count_most_probable", &Kernels::count_most_probable, "x"_a, "weight"_a.none(), "mixture"_a)
        .def("e_step_features", &Kernels::e_step_features, "x"_a, "weight"_a.none(), "gaussians"_a)
        .def("log_prob", &Kernels::log_prob, "x"_a, "gaussians"_a)
        .def("transform", &Kernels::transform, "x"_a, "mixture"_a, "widths"_a, "cells"_a, "rules"_a, "randomness"_a,
             "uniforms"_a.none(), "scalar"_a, "cell"_a)
        .def("inverse_transform", &Kernels::inverse_transform, "scalar"_a, "cell"_a, "frame"_a, "means"_a, "widths"_a,
             "value"_a)
        .def("summarise", &Kernels::summarise, "x"_a, "frame"_a, "directory"_a, "midpoints"_a, "parents"_a,
             "inner_cells"_a);
}
