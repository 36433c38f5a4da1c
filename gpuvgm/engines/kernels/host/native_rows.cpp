// Bindings of encode and decode.

#include <algorithm>
#include <tuple>
#include <vector>

#include "native.hpp"

namespace gpuvgm {
namespace {

using Randomness = std::tuple<uint64_t, uint64_t, uint64_t, bool>;  // seed, column, first row, most probable

// Parameters of encode; kept alive by the caller.
struct EncodedModes {
    Mixture mixture;
    Reals widths, codes, modal_codes;
    EncodeTable table;

    EncodedModes(const Mixture& mixture_, Reals widths_, Reals codes_, Reals modal_codes_,
                 std::tuple<double, double, double> rules, std::tuple<double, double> range)
        : mixture(mixture_), widths(widths_), codes(codes_), modal_codes(modal_codes_) {
        const size_t active = widths.shape(0);
        if (codes.shape(0) != active || active == 0 || active > mixture.means.shape(0)) {
            throw std::invalid_argument("widths and codes need one value an active component");
        }
        const auto [floor, limit, missing_code] = rules;
        const auto [low, high] = range;
        table = {mixture.table, (int)active,        floor, limit, widths.data(), codes.data(),
                 missing_code,  modal_codes.data(), low,   high};
    }
};

constexpr int64_t WINDOW = 1 << 13;  // rows of a call, for all of which there is room at the ends of their modes

// Infinite rows, missing ones, those outside of the training range, those off their step: how many, and the first.
// Rows at the end of a mode, and their numbers.
auto encode(const Kernels& kernels, Reals values, const ColumnRules& rules, const EncodedModes& modes,
            Randomness randomness, OptionalReals uniforms, AnyColumn scalar, AnyColumn code) {
    const int64_t rows = values.shape(0);
    check_encoded(scalar, code);
    check_length(uniforms, rows);
    if ((int64_t)scalar.shape(0) != rows || (int64_t)code.shape(0) != rows) {
        throw std::invalid_argument("scalar and code need one value a row");
    }
    RulesInUse used(rules);
    if (modes.modal_codes.shape(0) != used.modal_rows.size()) {
        throw std::invalid_argument("modal values need one code each");
    }
    const auto [seed, column, first_row, most_probable] = randomness;
    const Draw draw{seed, column, first_row, pointer(uniforms), most_probable};
    std::vector<int64_t> window_rows(WINDOW), at_end;
    std::vector<double> window_numbers(WINDOW), numbers;
    Unseen unseen{{}, {}, {}, 0, window_rows.data(), window_numbers.data()};
    {
        nb::gil_scoped_release unlocked;
        for (int64_t start = 0; start < rows; start += WINDOW) {
            unseen.at_end = 0;
            kernels.loops.encode(values.data(), start, std::min(start + WINDOW, rows), used.rules, modes.table, draw,
                                 scalar.data(), (int)scalar.itemsize(), code.data(), (int)code.itemsize(), &used.counts,
                                 &unseen);
            at_end.insert(at_end.end(), unseen.rows, unseen.rows + unseen.at_end);
            numbers.insert(numbers.end(), unseen.numbers, unseen.numbers + unseen.at_end);
        }
    }
    const size_t ends = at_end.size();
    const auto pair = [](const Found& sort) { return std::make_tuple(sort.rows, sort.first); };
    return nb::make_tuple(
        std::make_tuple(pair(unseen.infinite), pair(unseen.missing), pair(unseen.outside), pair(used.counts.off_step)),
        owned(std::move(at_end), {ends}), owned(std::move(numbers), {ends}));
}

// The first row whose code does not exist, or -1; whether no value is missing.
auto decode(const Kernels& kernels, ReadColumn scalar, ReadColumn code, const ColumnRules& rules,
            std::tuple<double, double, double> frame, std::tuple<Reals, Reals, Reals> modes,
            std::tuple<double, double> limits, nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu> value) {
    const size_t rows = value.shape(0);
    const auto& [means, widths, exact] = modes;
    check_encoded(scalar, code);
    if (scalar.shape(0) != rows || code.shape(0) != rows || means.shape(0) != widths.shape(0) ||
        means.shape(0) != exact.shape(0)) {
        throw std::invalid_argument("scalar and code need one value a row, means, widths and exact values one a code");
    }
    const RulesInUse used(rules);
    const auto [scale, centre, limit] = frame;
    const auto [low, high] = limits;
    const DecodeTable table{(int)means.shape(0), scale,        centre, limit, means.data(),
                            widths.data(),       exact.data(), low,    high};
    int64_t wrong;
    bool complete;
    {
        nb::gil_scoped_release unlocked;
        wrong = kernels.loops.decode(scalar.data(), (int)scalar.itemsize(), code.data(), (int)code.itemsize(), rows,
                                     used.rules, table, value.data(), &complete);
    }
    return std::make_tuple(wrong, wrong < 0 && complete);
}

}  // namespace

void bind_rows(nb::module_& module, nb::class_<Kernels>& kernels) {
    using namespace nb::literals;
    nb::class_<EncodedModes>(module, "EncodedModes", "Parameters of encode.")
        .def(nb::init<const Mixture&, Reals, Reals, Reals, std::tuple<double, double, double>,
                      std::tuple<double, double>>(),
             "mixture"_a, "widths"_a, "codes"_a, "modal_codes"_a, "rules"_a, "range"_a);
    kernels
        .def("encode", &encode, "values"_a, "rules"_a, "modes"_a, "randomness"_a, "uniforms"_a.none(),
             "scalar"_a.noconvert(), "code"_a.noconvert())
        .def("decode", &decode, "scalar"_a, "code"_a, "rules"_a, "frame"_a, "modes"_a, "limits"_a,
             "value"_a.noconvert());
}

}  // namespace gpuvgm
