// Bindings of transform, in float64 and by the law of float32, and of the inverse.

#include <tuple>

#include "native.hpp"

namespace gpuvgm {
namespace {

using Narrows = Column<float>;
using Randomness = std::tuple<uint64_t, uint64_t, uint64_t, bool>;  // seed, column, first row, most probable

// Parameters of transform in float32; kept alive by the caller.
struct NarrowMixture {
    Narrows mean_high, mean_low, root_precisions, coefficients, widths, cells;
    NarrowTable table;

    NarrowMixture(int exponent, std::tuple<Narrows, Narrows, Narrows, Narrows> components,
                  std::tuple<Narrows, Narrows> active, std::tuple<float, float, float> rules)
        : mean_high(std::get<0>(components)),
          mean_low(std::get<1>(components)),
          root_precisions(std::get<2>(components)),
          coefficients(std::get<3>(components)),
          widths(std::get<0>(active)),
          cells(std::get<1>(active)) {
        const size_t count = mean_high.shape(0), drawn = widths.shape(0);
        if (mean_low.shape(0) != count || root_precisions.shape(0) != count || coefficients.shape(0) != count ||
            cells.shape(0) != drawn || drawn == 0 || drawn > count) {
            throw std::invalid_argument("one value a component is needed, and a width and a cell an active one");
        }
        if (exponent < -2000 || exponent > 949) {
            throw std::invalid_argument("the exponent must lie within -2000 and 949");
        }
        const auto [floor, limit, missing_cell] = rules;
        table = {(int)count,
                 (int)drawn,
                 exponent,
                 mean_high.data(),
                 mean_low.data(),
                 root_precisions.data(),
                 coefficients.data(),
                 widths.data(),
                 cells.data(),
                 floor,
                 limit,
                 missing_cell};
    }
};

void transform(const Kernels& kernels, Reals x, const Mixture& mixture, Reals widths, Reals cells,
               std::tuple<double, double, double> rules, Randomness randomness, OptionalReals uniforms,
               AnyColumn scalar, AnyColumn cell) {
    const size_t rows = x.shape(0);
    check_encoded(scalar, cell);
    check_length(uniforms, rows);
    if (scalar.shape(0) != rows || cell.shape(0) != rows || widths.shape(0) != cells.shape(0) || widths.shape(0) == 0 ||
        (int)widths.shape(0) > mixture.table.components) {
        throw std::invalid_argument("scalar and cell need one value a row, widths and cells one an active component");
    }
    const auto [floor, limit, missing_cell] = rules;
    const auto [seed, column, first_row, most_probable] = randomness;
    const DrawTable active{(int)widths.shape(0), floor, limit, widths.data(), cells.data(), missing_cell};
    const Draw draw{seed, column, first_row, pointer(uniforms), most_probable};
    nb::gil_scoped_release unlocked;
    kernels.loops.transform(x.data(), rows, mixture.table, active, draw, scalar.data(), (int)scalar.itemsize(),
                            cell.data(), (int)cell.itemsize());
}

int64_t inverse_transform(const Kernels& kernels, ReadColumn scalar, ReadColumn cell,
                          std::tuple<double, double, double> frame, Reals means, Reals widths,
                          nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu> value) {
    const size_t rows = value.shape(0);
    check_encoded(scalar, cell);
    if (scalar.shape(0) != rows || cell.shape(0) != rows || means.shape(0) != widths.shape(0)) {
        throw std::invalid_argument("scalar and cell need one value a row, means and widths one a cell");
    }
    const auto [scale, centre, limit] = frame;
    const InverseTable table{(int)means.shape(0), scale, centre, limit, means.data(), widths.data()};
    nb::gil_scoped_release unlocked;
    return kernels.loops.inverse_transform(scalar.data(), (int)scalar.itemsize(), cell.data(), (int)cell.itemsize(),
                                           rows, table, value.data());
}

void transform_narrow(const Kernels& kernels, Reals x, const NarrowMixture& mixture, Randomness randomness,
                      std::optional<Narrows> uniforms, AnyColumn scalar, AnyColumn cell) {
    const size_t rows = x.shape(0);
    check_encoded(scalar, cell);
    check_length(uniforms, rows);
    if (scalar.shape(0) != rows || cell.shape(0) != rows) {
        throw std::invalid_argument("scalar and cell need one value a row");
    }
    const auto [seed, column, first_row, most_probable] = randomness;
    const Draw draw{seed, column, first_row, nullptr, most_probable};
    nb::gil_scoped_release unlocked;
    kernels.loops.transform_narrow(x.data(), rows, mixture.table, draw, pointer(uniforms), scalar.data(),
                                   (int)scalar.itemsize(), cell.data(), (int)cell.itemsize());
}

}  // namespace

void bind_rows(nb::module_& module, nb::class_<Kernels>& kernels) {
    using namespace nb::literals;
    nb::class_<NarrowMixture>(module, "NarrowMixture", "Parameters of transform in float32.")
        .def(nb::init<int, std::tuple<Narrows, Narrows, Narrows, Narrows>, std::tuple<Narrows, Narrows>,
                      std::tuple<float, float, float>>(),
             "exponent"_a, "components"_a, "active"_a, "rules"_a);
    kernels
        .def("transform", &transform, "x"_a, "mixture"_a, "widths"_a, "cells"_a, "rules"_a, "randomness"_a,
             "uniforms"_a.none(), "scalar"_a, "cell"_a)
        .def("transform_narrow", &transform_narrow, "x"_a, "mixture"_a, "randomness"_a, "uniforms"_a.none(), "scalar"_a,
             "cell"_a)
        .def("inverse_transform", &inverse_transform, "scalar"_a, "cell"_a, "frame"_a, "means"_a, "widths"_a,
             "value"_a);
}

}  // namespace gpuvgm
