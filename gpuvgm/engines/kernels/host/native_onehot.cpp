// Bindings of the onehot layout.
#include "onehot.hpp"

#include <nanobind/stl/vector.h>

#include <tuple>
#include <vector>

#include "native.hpp"

namespace gpuvgm {
namespace {

template <class Real>
using OutMatrix = nb::ndarray<Real, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class Real>
using InMatrix = nb::ndarray<const Real, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Part = std::tuple<std::optional<ReadColumn>, std::optional<ReadColumn>, int64_t>;

constexpr size_t LARGEST_CODE = 4;  // bytes: categories may have more codes than the modes of a mixture

template <class Real> void fill_onehot(const std::vector<Part>& parts, OutMatrix<Real> out) {
    const int64_t rows = out.shape(0), width = out.shape(1);
    std::vector<OnehotColumn> columns;
    int64_t total = 0;
    for (const auto& [scalar, code, codes] : parts) {
        if ((scalar && (int64_t)scalar->shape(0) != rows) || (code && (int64_t)code->shape(0) != rows)) {
            throw std::invalid_argument("scalar and code need one value a row");
        }
        if (scalar) {
            check_scalar(*scalar);
        }
        if (code) {
            check_code(*code, LARGEST_CODE);
        }
        columns.push_back({scalar ? scalar->data() : nullptr, code ? code->data() : nullptr,
                           scalar ? (int)scalar->itemsize() : 0, code ? (int)code->itemsize() : 0, codes});
        total += (scalar ? 1 : 0) + codes;
    }
    if (total != width) {
        throw std::invalid_argument("the matrix needs one column for each scalar and code");
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
    for (const auto& [scalar, code, order, zero_is_none] : parts) {
        const int64_t codes = order.shape(0);
        if ((scalar && (int64_t)scalar->shape(0) != rows) || (code && (int64_t)code->shape(0) != rows)) {
            throw std::invalid_argument("scalar and code need one value a row");
        }
        if (scalar && scalar->dtype() != nb::dtype<Real>()) {
            throw std::invalid_argument("scalars must be of the matrix's type");
        }
        if (code) {
            check_code(*code, LARGEST_CODE);
        }
        if ((bool)code != (codes > 0)) {
            throw std::invalid_argument("codes are written where a column has some");
        }
        for (int64_t i = 0; i < codes; ++i) {
            if (order.data()[i] < 0 || order.data()[i] >= codes) {
                throw std::invalid_argument("the order names a code that is not there");
            }
        }
        columns.push_back({scalar ? (Real*)scalar->data() : nullptr, code ? code->data() : nullptr,
                           code ? (int)code->itemsize() : 0, order.data(), codes, zero_is_none});
        total += (scalar ? 1 : 0) + codes;
    }
    if (total != width) {
        throw std::invalid_argument("the matrix needs one column for each scalar and code");
    }
    nb::gil_scoped_release unlocked;
    read_onehot(matrix.data(), rows, width, columns.data(), (int64_t)columns.size());
}

}  // namespace

void bind_onehot(nb::module_& module) {
    using namespace nb::literals;
    module.def("fill_onehot", &fill_onehot<float>, "parts"_a, "out"_a.noconvert());
    module.def("fill_onehot", &fill_onehot<double>, "parts"_a, "out"_a.noconvert(),
               "Write encoded columns (scalar, code, number of one-hot columns) as rows of the onehot layout.");
    module.def("read_onehot", &read_parts<float>, "matrix"_a.noconvert(), "parts"_a);
    module.def(
        "read_onehot", &read_parts<double>, "matrix"_a.noconvert(), "parts"_a,
        "Read rows of the onehot layout into (scalar, code, order of ties, whether zeros are no code) a column.");
}

}  // namespace gpuvgm
