// Bindings of transform, in float64 and by the law of float32, and of the inverse.

#include <tuple>

#include "native.hpp"

namespace gpuvgm {
namespace {

using Floats32 = Column<float>;
using Randomness = std::tuple<uint64_t, uint64_t, uint64_t, bool>;  // seed, column, first row, most probable

// Parameters of transform that both laws have; kept alive by the caller.
template <class Number> struct Drawn {
    using Real = Number;
    Column<Real> widths, cells;
    DrawTable<Real> table;

    Drawn(Column<Real> widths_, Column<Real> cells_, std::tuple<Real, Real, Real> rules)
        : widths(widths_), cells(cells_) {
        const auto [floor, limit, missing_cell] = rules;
        table = {{}, (int)widths.shape(0), floor, limit, widths.data(), cells.data(), missing_cell};
    }
    void check(size_t components) const {
        const size_t active = widths.shape(0);
        if (cells.shape(0) != active || active == 0 || active > components) {
            throw std::invalid_argument("widths and cells need one value an active component");
        }
    }
};

struct DrawMixture : Drawn<double> {
    Mixture mixture;

    DrawMixture(const Mixture& mixture_, Reals widths, Reals cells, std::tuple<double, double, double> rules)
        : Drawn(widths, cells, rules), mixture(mixture_) {
        check(mixture.means.shape(0));
        table.mixture = mixture.table;
    }
};

struct Float32Mixture : Drawn<float> {
    Floats32 mean_high, mean_low, root_precisions, coefficients;

    Float32Mixture(int exponent, std::tuple<Floats32, Floats32, Floats32, Floats32> components,
                   std::tuple<Floats32, Floats32> active, std::tuple<float, float, float> rules)
        : Drawn(std::get<0>(active), std::get<1>(active), rules),
          mean_high(std::get<0>(components)),
          mean_low(std::get<1>(components)),
          root_precisions(std::get<2>(components)),
          coefficients(std::get<3>(components)) {
        const size_t count = mean_high.shape(0);
        check(count);
        if (mean_low.shape(0) != count || root_precisions.shape(0) != count || coefficients.shape(0) != count) {
            throw std::invalid_argument("one value a component is needed");
        }
        if (exponent < -2000 || exponent > 949) {
            throw std::invalid_argument("the exponent must lie within -2000 and 949");
        }
        table.mixture = {(int)count,         exponent, mean_high.data(), mean_low.data(), root_precisions.data(),
                         coefficients.data()};
    }
};

template <class Mixture, auto HostKernels::* LOOP, class Real = typename Mixture::Real>
void transform(const Kernels& kernels, Reals x, const Mixture& mixture, Randomness randomness,
               std::optional<Column<Real>> uniforms, AnyColumn scalar, AnyColumn cell) {
    const size_t rows = x.shape(0);
    check_encoded(scalar, cell);
    check_length(uniforms, rows);
    if (scalar.shape(0) != rows || cell.shape(0) != rows) {
        throw std::invalid_argument("scalar and cell need one value a row");
    }
    const auto [seed, column, first_row, most_probable] = randomness;
    const Draw<Real> draw{seed, column, first_row, pointer(uniforms), most_probable};
    nb::gil_scoped_release unlocked;
    (kernels.loops.*LOOP)(x.data(), rows, mixture.table, draw, scalar.data(), (int)scalar.itemsize(), cell.data(),
                          (int)cell.itemsize());
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

}  // namespace

void bind_rows(nb::module_& module, nb::class_<Kernels>& kernels) {
    using namespace nb::literals;
    nb::class_<DrawMixture>(module, "DrawMixture", "Parameters of transform in float64.")
        .def(nb::init<const Mixture&, Reals, Reals, std::tuple<double, double, double>>(), "mixture"_a, "widths"_a,
             "cells"_a, "rules"_a);
    nb::class_<Float32Mixture>(module, "Float32Mixture", "Parameters of transform in float32.")
        .def(nb::init<int, std::tuple<Floats32, Floats32, Floats32, Floats32>, std::tuple<Floats32, Floats32>,
                      std::tuple<float, float, float>>(),
             "exponent"_a, "components"_a, "active"_a, "rules"_a);
    kernels
        .def("transform", &transform<DrawMixture, &HostKernels::transform>, "x"_a, "mixture"_a, "randomness"_a,
             "uniforms"_a.none(), "scalar"_a, "cell"_a)
        .def("transform", &transform<Float32Mixture, &HostKernels::transform_float32>, "x"_a, "mixture"_a,
             "randomness"_a, "uniforms"_a.none(), "scalar"_a, "cell"_a)
        .def("inverse_transform", &inverse_transform, "scalar"_a, "cell"_a, "frame"_a, "means"_a, "widths"_a,
             "value"_a);
}

}  // namespace gpuvgm
