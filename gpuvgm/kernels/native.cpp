// gpuvgm._native: the host kernels as NumPy functions, with the instruction set chosen at run time. The GIL is released
// while rows are worked on; threads belong to the executor.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "host.hpp"

namespace nb = nanobind;

extern "C" const gpuvgm::HostKernels gpuvgm_kernels_baseline;
#if defined(GPUVGM_X86)
extern "C" const gpuvgm::HostKernels gpuvgm_kernels_avx2, gpuvgm_kernels_avx512;
#endif

namespace gpuvgm {

namespace {

constexpr uint64_t SPLIT_MARK = uint64_t(1) << 63;
constexpr int64_t ENTRIES = 1 << 16, ENTRY_CELLS = 64, NOT_FINITE = 16;  // entries at either end that no finite key has

using Reals = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using OptionalReals = std::optional<Reals>;
using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Words = nb::ndarray<const uint64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using AnyColumn = nb::ndarray<nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using ReadColumn = nb::ndarray<nb::ro, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class T> nb::ndarray<nb::numpy, T> owned(std::vector<T>&& values, std::initializer_list<size_t> shape) {
    auto* kept = new std::vector<T>(std::move(values));
    nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return nb::ndarray<nb::numpy, T>(kept->data(), shape, owner);
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

// The loops tell float from double and one byte from two by size: anything else would be misread.
template <class Column> void check_encoded(const Column& scalar, const Column& cell) {
    if (scalar.dtype() != nb::dtype<float>() && scalar.dtype() != nb::dtype<double>()) {
        throw std::invalid_argument("scalars must be float32 or float64");
    }
    if (cell.dtype() != nb::dtype<uint8_t>() && cell.dtype() != nb::dtype<uint16_t>()) {
        throw std::invalid_argument("cells must be uint8 or uint16");
    }
}

void check_length(const OptionalReals& values, size_t rows) {
    if (values && values->shape(0) != rows) {
        throw std::invalid_argument("one value a row is needed");
    }
}

const double* pointer(const OptionalReals& values) { return values ? values->data() : nullptr; }

// Sums of the cells over all windows, in words wide enough for any number of rows; memory comes with the first touch.
struct Totals {
    uint64_t count, first, second, second_high;
};

struct Sparse {
    std::vector<int64_t> cell;
    std::vector<uint64_t> count, first, second, second_high;
};

struct FreeCells {
    void operator()(void* p) const { std::free(p); }
};

template <class T> std::unique_ptr<T, FreeCells> zeroed(int64_t count) {
    T* memory = (T*)std::calloc(count, sizeof(T));
    if (!memory) {
        throw std::bad_alloc();
    }
    return std::unique_ptr<T, FreeCells>(memory);
}

// The cells of one summary while rows are added, a window at a time. All zero before and after use.
struct Table {
    int64_t all_cells;
    std::unique_ptr<Cell, FreeCells> cells;
    std::unique_ptr<Totals, FreeCells> totals;
    std::unique_ptr<uint8_t, FreeCells> touched;

    explicit Table(int64_t count)
        : all_cells(count),
          cells(zeroed<Cell>(count)),
          totals(zeroed<Totals>(count)),
          touched(zeroed<uint8_t>(ENTRIES)) {}

    // Outer cells of the entries that rows fell into, then all inner cells and parts.
    template <class Function> void each_touched(int64_t used_cells, Function function) {
        for (int64_t entry = NOT_FINITE; entry < ENTRIES - NOT_FINITE; ++entry) {
            for (int64_t cell = entry * ENTRY_CELLS; touched.get()[entry] && cell < (entry + 1) * ENTRY_CELLS; ++cell) {
                function(cell);
            }
        }
        for (int64_t cell = OUTER_CELLS; cell < used_cells; ++cell) {
            function(cell);
        }
    }

    // A window's sums of a cell go into its totals; the cell is left empty, but for its mark.
    void carry(int64_t index) {
        Cell& cell = cells.get()[index];
        if (cell.count_and_first == 0) {
            return;
        }
        Totals& total = totals.get()[index];
        const uint64_t second = cell.second & ~SPLIT_MARK;
        total.count += cell.count_and_first >> 42;
        total.first += cell.count_and_first & ((uint64_t(1) << 42) - 1);
        total.second += second;
        total.second_high += total.second < second;
        cell = {0, cell.second & SPLIT_MARK};
    }

    void emit(int64_t index, Sparse& out) {
        Totals& total = totals.get()[index];
        if (total.count) {
            out.cell.push_back(index);
            out.count.push_back(total.count);
            out.first.push_back(total.first);
            out.second.push_back(total.second);
            out.second_high.push_back(total.second_high);
            total = {0, 0, 0, 0};
        }
    }

    // What rows that are not finite left behind, and the marks.
    void wipe(const std::vector<Split>& splits) {
        for (const Split& split : splits) {
            cells.get()[split.parent].second = 0;
        }
        for (int64_t cell = 0; cell < NOT_FINITE * ENTRY_CELLS; ++cell) {
            cells.get()[cell] = {0, 0};
            cells.get()[OUTER_CELLS - 1 - cell] = {0, 0};
        }
        std::memset(touched.get(), 0, ENTRIES);
    }
};

// Tables that wait for their next use, so that blocks do not fault the same pages in again and again.
class TablePool {
  public:
    std::unique_ptr<Table> take(int64_t cells) {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (auto table = waiting_.begin(); table != waiting_.end(); ++table) {
            if ((*table)->all_cells >= cells) {
                std::unique_ptr<Table> found = std::move(*table);
                waiting_.erase(table);
                return found;
            }
        }
        return std::make_unique<Table>((cells | 0xFFFFF) + 1);  // whole millions of cells serve grids of any size
    }
    void give_back(std::unique_ptr<Table> table) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (waiting_.size() < MOST_WAITING) {
            waiting_.push_back(std::move(table));
        }
    }

  private:
    static constexpr size_t MOST_WAITING = 16;
    std::mutex mutex_;
    std::vector<std::unique_ptr<Table>> waiting_;
};

TablePool& table_pool() {
    static TablePool* pool = new TablePool;  // never destroyed: threads may outlive the interpreter's end
    return *pool;
}

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

}  // namespace
}  // namespace gpuvgm

NB_MODULE(_native, m) {
    using namespace gpuvgm;
    using namespace nb::literals;
    m.doc() = "Row loops of the native engine.";
    m.attr("CHUNK_ROWS") = CHUNK_ROWS;
    m.def("instruction_sets", &instruction_sets, "Instruction sets usable on this machine, the fastest first.");
    nb::class_<Mixture>(m, "Mixture", "Components of a mixture, as the row formulas take them.")
        .def(nb::init<double, double, Reals, Reals, Reals>(), "scale"_a, "centre"_a, "means"_a, "half_precisions"_a,
             "coefficients"_a);
    nb::class_<Kernels>(m, "Kernels", "The row loops of one instruction set.")
        .def(nb::init<const std::string&>(), "instruction_set"_a)
        .def_ro("name", &Kernels::name)
        .def("e_step", &Kernels::e_step, "x"_a, "weight"_a.none(), "scatter"_a.none(), "mixture"_a)
        .def("count_most_probable", &Kernels::count_most_probable, "x"_a, "weight"_a.none(), "mixture"_a)
        .def("transform", &Kernels::transform, "x"_a, "mixture"_a, "widths"_a, "cells"_a, "rules"_a, "randomness"_a,
             "uniforms"_a.none(), "scalar"_a, "cell"_a)
        .def("inverse_transform", &Kernels::inverse_transform, "scalar"_a, "cell"_a, "frame"_a, "means"_a, "widths"_a,
             "value"_a)
        .def("summarise", &Kernels::summarise, "x"_a, "frame"_a, "directory"_a, "midpoints"_a, "parents"_a,
             "inner_cells"_a);
}
