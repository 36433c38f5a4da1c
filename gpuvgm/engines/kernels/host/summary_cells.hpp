// Cells of a summary on the host: the sums of the rows of one window, carried into totals of any length.
#pragma once
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "host.hpp"

namespace gpuvgm {
namespace {

constexpr uint64_t SPLIT_MARK = uint64_t(1) << 63;
constexpr int64_t ENTRIES = 1 << 16, ENTRY_CELLS = 64, NOT_FINITE = 16;  // entries at either end that no finite key has

// Sums of the cells over all windows, in words wide enough for any number of rows; memory comes with the first touch.
struct Totals {
    uint64_t count, first, second, second_high;
};

struct Sparse {
    std::vector<int64_t> cell;
    std::vector<uint64_t> count, first, second, second_high;

    void reserve(size_t cells) {
        cell.reserve(cells);
        for (std::vector<uint64_t>* sums : {&count, &first, &second, &second_high}) {
            sums->reserve(cells);
        }
    }
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

// The cells of one summary while rows are added, a window of rows at a time. Before and after use all of them are zero,
// and the directory sends every key to the outer cells.
struct Table {
    int64_t all_cells, occupied = 0;
    std::vector<DirectoryEntry> directory;
    std::unique_ptr<Cell, FreeCells> cells;
    std::unique_ptr<Totals, FreeCells> totals;
    std::unique_ptr<uint8_t, FreeCells> touched;

    explicit Table(int64_t count)
        : all_cells(count),
          directory(ENTRIES),
          cells(zeroed<Cell>(count)),
          totals(zeroed<Totals>(count)),
          touched(zeroed<uint8_t>(ENTRIES)) {
        for (int64_t entry = 0; entry < ENTRIES; ++entry) {
            close(entry);
        }
    }

    // No key of the entry lies in the one-key window at the entry's own end.
    void close(int64_t entry) { directory[entry] = {(uint64_t)(entry + 1) << 48, 0, 0, 0, 0}; }

    // The grid's windows in the directory, and its splits in the cells.
    void mark(const DirectoryEntry* windows, int64_t window_count, const std::vector<Split>& splits) {
        for (int64_t w = 0; w < window_count; ++w) {
            directory[windows[w].start >> 48] = windows[w];
        }
        for (const Split& split : splits) {
            cells.get()[split.parent].second = SPLIT_MARK;
        }
    }

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
        occupied += total.count == 0;
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
    void wipe(const DirectoryEntry* windows, int64_t window_count, const std::vector<Split>& splits) {
        occupied = 0;
        for (int64_t w = 0; w < window_count; ++w) {
            close(windows[w].start >> 48);
        }
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

}  // namespace
}  // namespace gpuvgm
