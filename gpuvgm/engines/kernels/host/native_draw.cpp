// Bindings of a synthesizer's loops: bins of numbers, and rows that are drawn.

#include <algorithm>
#include <tuple>

#include "native.hpp"

namespace gpuvgm {
namespace {

using Places = Column<int64_t>;
using Codes = Column<uint16_t>;
using Parent = std::optional<Codes>;
using Entries = std::tuple<Words, Places>;  // keys, starts

// Entries that lie in blocks as they should: the loops rely on it.
Lottery lottery_of(const Words& keys, const Places& starts) {
    const int64_t size = (int64_t)starts.shape(0), *start = starts.data();
    int64_t largest = 0;
    bool fits = size > 0 && start[0] == 0 && start[size - 1] == (int64_t)keys.shape(0);
    for (int64_t block = 0; fits && block + 1 < size; ++block) {
        fits = start[block] < start[block + 1] &&
               keys.data()[start[block + 1] - 1] == (((uint64_t)block << 33) | (uint64_t(1) << 32));
        largest = std::max(largest, start[block + 1] - start[block]);
    }
    if (!fits) {
        throw std::invalid_argument("every entry needs a key, and the last one of every block all of its share");
    }
    int steps = 0;
    while ((largest >> (steps + 1)) > 0) {
        ++steps;
    }
    return {(int64_t)keys.shape(0), size - 1, steps, keys.data(), start};
}

void check_parent(const Parent& parent, size_t rows, int64_t bins) {
    check_length(parent, rows);
    if (parent && std::any_of(parent->data(), parent->data() + rows, [&](uint16_t code) { return code >= bins; })) {
        throw std::invalid_argument("a row has a bin that its parent has not");
    }
}

// Bins of rows, and the place of each in a piece of its bin.
auto draw_rows(const Kernels& kernels, std::tuple<std::optional<Entries>, std::optional<Entries>, Entries> lotteries,
               std::tuple<Reals, Reals> ends, std::tuple<int64_t, Places> contexts_of,
               std::tuple<Parent, Parent> parents, NumberedRows numbered, std::tuple<uint64_t, uint64_t> randomness) {
    const auto& [groups, inside, pieces] = lotteries;
    const auto& [low, high] = ends;
    const auto& [width, second] = contexts_of;
    const auto& [first_codes, second_codes] = parents;
    const size_t rows = std::get<1>(numbered);
    const RowNumbers row_numbers = numbers_of(numbered);
    DrawnColumn column{};
    if (groups) {
        column.groups = lottery_of(std::get<0>(*groups), std::get<1>(*groups));
    }
    column.pieces = lottery_of(std::get<0>(pieces), std::get<1>(pieces));
    column.width = width;
    column.second = second.data();
    column.low = low.data();
    column.high = high.data();
    const int64_t bins = column.pieces.blocks, contexts = groups ? column.groups.blocks : bins;
    bool fits = width > 0 && contexts > 0 && contexts % width == 0 && bins > 0 && bins <= 65536 &&
                (groups || (first_codes && !second_codes && !inside && width == 1)) &&
                (int64_t)low.shape(0) == column.pieces.entries && low.shape(0) == high.shape(0);
    if (fits && groups) {
        column.group_count = column.groups.entries / contexts;
        for (int64_t block = 0; block <= contexts; ++block) {
            fits &= column.groups.starts[block] == block * column.group_count;
        }
        if (inside) {
            column.inside = lottery_of(std::get<0>(*inside), std::get<1>(*inside));
            fits &= column.inside.blocks == contexts / width * column.group_count &&
                    column.inside.entries == contexts / width * bins;
            for (int64_t outer = 0; fits && outer < contexts / width; ++outer) {
                fits = column.inside.starts[outer * column.group_count] == outer * bins;
            }
        } else {
            fits &= column.group_count == bins;
        }
    }
    const int64_t* mapped = second.data();
    fits &= std::all_of(mapped, mapped + second.shape(0), [&](int64_t m) { return m >= 0 && m < width; });
    if (!fits) {
        throw std::invalid_argument("the tables of a column do not fit together");
    }
    check_parent(first_codes, rows, contexts / width);
    check_parent(second_codes, rows, (int64_t)second.shape(0));
    std::unique_ptr<uint16_t[]> codes(new uint16_t[rows]);
    std::unique_ptr<double[]> numbers(new double[rows]);
    {
        nb::gil_scoped_release unlocked;
        kernels.loops.draw_rows(column, pointer(first_codes), pointer(second_codes), row_numbers, (int64_t)rows,
                                std::get<0>(randomness), std::get<1>(randomness), codes.get(), numbers.get());
    }
    return std::make_tuple(owned(std::move(codes), {rows}), owned(std::move(numbers), {rows}));
}

// Bin of each number: one code for each interval between ascending edges, and one for NaN.
nb::ndarray<nb::numpy, uint16_t> find_bins(const Kernels& kernels, Reals numbers, Reals edges, Codes codes) {
    const size_t rows = numbers.shape(0), count = edges.shape(0);
    if (codes.shape(0) != count + 2 || count > 65534) {
        throw std::invalid_argument("every interval needs a code, and NaN another one");
    }
    std::unique_ptr<uint16_t[]> found(new uint16_t[rows]);
    {
        nb::gil_scoped_release unlocked;
        kernels.loops.find_bins(numbers.data(), (int64_t)rows, edges.data(), (int)count, codes.data(), found.get());
    }
    return owned(std::move(found), {rows});
}

}  // namespace

void bind_draw(nb::class_<Kernels>& kernels) {
    using namespace nb::literals;
    kernels.def("draw_rows", &draw_rows, "lotteries"_a, "ends"_a, "contexts"_a, "parents"_a, "rows"_a, "randomness"_a)
        .def("find_bins", &find_bins, "numbers"_a, "edges"_a, "codes"_a);
}

}  // namespace gpuvgm
