// Bindings of transform and of the inverse.

#include <tuple>

#include "native.hpp"

namespace gpuvgm {
namespace {

using Randomness = std::tuple<uint64_t, uint64_t, uint64_t, bool>;  // seed, column, first row, most probable

// Parameters of transform; kept alive by the caller.
struct DrawMixture {
    Mixture mixture;
    Reals widths, codes;
    DrawTable table;

    DrawMixture(const Mixture& mixture_, Reals widths_, Reals codes_, std::tuple<double, double, double> rules)
        : mixture(mixture_), widths(widths_), codes(codes_) {
        const size_t active = widths.shape(0);
        if (codes.shape(0) != active || active == 0 || active > mixture.means.shape(0)) {
            throw std::invalid_argument("widths and codes need one value an active component");
        }
        const auto [floor, limit, missing_code] = rules;
        table = {mixture.table, (int)active, floor, limit, widths.data(), codes.data(), missing_code};
    }
};

void transform(const Kernels& kernels, Reals x, const DrawMixture& mixture, Randomness randomness,
               OptionalReals uniforms, AnyColumn scalar, AnyColumn code) {
    const size_t rows = x.shape(0);
    check_encoded(scalar, code);
    check_length(uniforms, rows);
    if (scalar.shape(0) != rows || code.shape(0) != rows) {
        throw std::invalid_argument("scalar and code need one value a row");
    }
    const auto [seed, column, first_row, most_probable] = randomness;
    const Draw draw{seed, column, first_row, pointer(uniforms), most_probable};
    nb::gil_scoped_release unlocked;
    kernels.loops.transform(x.data(), rows, mixture.table, draw, scalar.data(), (int)scalar.itemsize(), code.data(),
                            (int)code.itemsize());
}

int64_t inverse_transform(const Kernels& kernels, ReadColumn scalar, ReadColumn code,
                          std::tuple<double, double, double> frame, Reals means, Reals widths,
                          nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu> value) {
    const size_t rows = value.shape(0);
    check_encoded(scalar, code);
    if (scalar.shape(0) != rows || code.shape(0) != rows || means.shape(0) != widths.shape(0)) {
        throw std::invalid_argument("scalar and code need one value a row, means and widths one a code");
    }
    const auto [scale, centre, limit] = frame;
    const InverseTable table{(int)means.shape(0), scale, centre, limit, means.data(), widths.data()};
    nb::gil_scoped_release unlocked;
    return kernels.loops.inverse_transform(scalar.data(), (int)scalar.itemsize(), code.data(), (int)code.itemsize(),
                                           rows, table, value.data());
}

// Infinite rows, missing ones, those outside of the training range: how many, and the first; rows at the end of a mode.
auto look_at(const Kernels& kernels, Reals numbers, ReadColumn scalar, std::tuple<double, double, double> ends) {
    const size_t rows = numbers.shape(0);
    check_scalar(scalar);
    if (scalar.shape(0) != rows) {
        throw std::invalid_argument("one scalar a row is needed");
    }
    const auto [low, high, limit] = ends;
    FoundRows found{};
    std::unique_ptr<int64_t[]> at_end(new int64_t[rows]);  // of which few pages are touched
    std::vector<int64_t> kept;
    {
        nb::gil_scoped_release unlocked;
        const int64_t count = kernels.loops.look_at(numbers.data(), scalar.data(), (int)scalar.itemsize(), rows,
                                                    {low, high, limit}, &found, at_end.get());
        kept.assign(at_end.get(), at_end.get() + count);
    }
    const size_t size = kept.size();
    const auto pair = [](const Found& sort) { return std::make_tuple(sort.rows, sort.first); };
    return nb::make_tuple(std::make_tuple(pair(found.infinite), pair(found.missing), pair(found.outside)),
                          owned(std::move(kept), {size}));
}

template <class T> using Written = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Rows of each modal value, and rows off the step.
auto numbers_of(const Kernels& kernels, Reals values, const ColumnRules& rules, Written<double> numbers,
                std::optional<Written<int32_t>> which, std::optional<Written<bool>> off) {
    const size_t rows = values.shape(0);
    check_length(which, rows);
    check_length(off, rows);
    if (numbers.shape(0) != rows) {
        throw std::invalid_argument("one number a value is needed");
    }
    RulesInUse used(rules);
    {
        nb::gil_scoped_release unlocked;
        kernels.loops.numbers_of(values.data(), rows, used.rules, numbers.data(), which ? which->data() : nullptr,
                                 off ? (uint8_t*)off->data() : nullptr, &used.counts);
    }
    return std::make_tuple(std::move(used.modal_rows), used.counts.off_step);
}

void values_of(const Kernels& kernels, Written<double> numbers, const ColumnRules& rules,
               std::tuple<double, double> limits) {
    const RulesInUse used(rules);
    nb::gil_scoped_release unlocked;
    kernels.loops.values_of(numbers.data(), numbers.shape(0), used.rules, std::get<0>(limits), std::get<1>(limits));
}

}  // namespace

void bind_rows(nb::module_& module, nb::class_<Kernels>& kernels) {
    using namespace nb::literals;
    nb::class_<DrawMixture>(module, "DrawMixture", "Parameters of transform.")
        .def(nb::init<const Mixture&, Reals, Reals, std::tuple<double, double, double>>(), "mixture"_a, "widths"_a,
             "codes"_a, "rules"_a);
    kernels.def("numbers_of", &numbers_of, "values"_a, "rules"_a, "numbers"_a, "which"_a.none(), "off"_a.none())
        .def("values_of", &values_of, "numbers"_a, "rules"_a, "limits"_a)
        .def("look_at", &look_at, "numbers"_a, "scalar"_a, "ends"_a)
        .def("transform", &transform, "x"_a, "mixture"_a, "randomness"_a, "uniforms"_a.none(), "scalar"_a, "code"_a)
        .def("inverse_transform", &inverse_transform, "scalar"_a, "code"_a, "frame"_a, "means"_a, "widths"_a,
             "value"_a);
}

}  // namespace gpuvgm
