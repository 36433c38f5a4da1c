// What the parts of gpuvgm._native share: types of arrays, the checks that loops rely on, and the chosen row loops.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "host.hpp"

namespace nb = nanobind;

namespace gpuvgm {

template <class T>
using Column = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Reals = Column<double>;
using OptionalReals = std::optional<Reals>;
using Bytes = Column<uint8_t>;
using Words = Column<uint64_t>;
using AnyColumn = nb::ndarray<nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Arrays = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<nb::ro, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using ReadColumn = nb::ndarray<nb::ro, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Arrays for NumPy, which keep the values alive.
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

// First number of drawn rows, how many there are, and their numbers where they do not follow each other.
using NumberedRows = std::tuple<uint64_t, size_t, std::optional<Words>>;

inline RowNumbers numbers_of(const NumberedRows& rows) {
    const auto& [first, count, given] = rows;
    if (given && given->shape(0) != count) {
        throw std::invalid_argument("every drawn row needs a number");
    }
    return {first, given ? given->data() : nullptr};
}

// Modal values; numerator, denominator and bits of a step; scale and its exponent; origin.
using ColumnRules =
    std::tuple<Reals, std::optional<std::tuple<double, double, int>>, std::tuple<std::string, int>, double>;

inline int scale_of(const std::string& name) {
    const char* names[] = {"linear", "asinh", "log", "log1p"};  // ScaleName
    for (int scale = 0; scale < 4; ++scale) {
        if (name == names[scale]) {
            return scale;
        }
    }
    throw std::invalid_argument("there is no scale \"" + name + "\"");
}

// Rules as the loops take them, and what is counted.
struct RulesInUse {
    std::vector<int64_t> modal_rows;
    RowRules rules;
    RowCounts counts;

    explicit RulesInUse(const ColumnRules& given) : modal_rows(std::get<0>(given).shape(0)) {
        const auto& [modal, step, scale, origin] = given;
        const auto [numerator, denominator, bits] = step.value_or(std::tuple(1.0, 1.0, 0));
        const auto& [name, exponent] = scale;
        rules = {modal.data(), (int)modal.shape(0), bits, numerator, denominator, scale_of(name), exponent, origin};
        counts = {modal_rows.data(),
                  {0, 0},
                  std::numeric_limits<double>::infinity(),
                  -std::numeric_limits<double>::infinity()};
    }
    RulesInUse(const RulesInUse&) = delete;
};

// The row loops of one instruction set.
struct Kernels {
    const HostKernels& loops;
    std::string name;

    explicit Kernels(const std::string& instruction_set);
};

// The loops tell float from double and one byte from two by size: anything else would be misread. They read a negative
// code as a large one, past the last, which they refuse.
template <class Array> void check_scalar(const Array& scalar) {
    if (scalar.dtype() != nb::dtype<float>() && scalar.dtype() != nb::dtype<double>()) {
        throw std::invalid_argument("scalars must be float32 or float64");
    }
}

template <class Array> void check_code(const Array& code, size_t largest = 2) {
    const auto kind = (nb::dlpack::dtype_code)code.dtype().code;
    const bool whole = kind == nb::dlpack::dtype_code::Int || kind == nb::dlpack::dtype_code::UInt;
    if (!whole || code.itemsize() > largest) {
        throw std::invalid_argument("codes must be integers of " + std::to_string(largest) + " bytes at most");
    }
}

template <class Array> void check_encoded(const Array& scalar, const Array& code) {
    check_scalar(scalar);
    check_code(code);
}

template <class Values> void check_length(const std::optional<Values>& values, size_t rows) {
    if (values && values->shape(0) != rows) {
        throw std::invalid_argument("one value a row is needed");
    }
}

template <class Real> const Real* pointer(const std::optional<Column<Real>>& values) {
    return values ? values->data() : nullptr;
}

void bind_rows(nb::module_& module, nb::class_<Kernels>& kernels);  // encode and decode
void bind_onehot(nb::module_& module);                              // matrices of the onehot layout
void bind_em(nb::module_& module);                                  // EM over cells
void bind_draw(nb::class_<Kernels>& kernels);                       // rows of a synthesizer
void bind_text(nb::module_& module);                                // rows of CSV, numbers in texts
void bind_trees(nb::module_& module);                               // trees of counts

}  // namespace gpuvgm
