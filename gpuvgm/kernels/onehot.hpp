// The onehot layout: rows of scalars and one-hot cells, written from encoded columns and read back. Memory bound, hence
// one copy for all instruction sets.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

namespace gpuvgm {

// One column of the layout. A column without a scalar or without cells has a null pointer there; a cell of `width` or
// more stands for no cell at all.
struct OnehotColumn {
    const void* scalar;  // (rows,), float or double
    const void* cell;    // (rows,), uint8_t or uint16_t
    int scalar_size, cell_size;
    int64_t width;
};

inline double real_at(const void* values, int size, int64_t row) {
    return size == 4 ? (double)((const float*)values)[row] : ((const double*)values)[row];
}

inline int64_t cell_at(const void* cells, int size, int64_t row) {
    return size == 1 ? ((const uint8_t*)cells)[row] : ((const uint16_t*)cells)[row];
}

// out: (rows, width), every value is written.
template <class Real>
void write_onehot(const OnehotColumn* columns, int64_t count, int64_t rows, int64_t width, Real* out) {
    for (int64_t row = 0; row < rows; ++row) {
        Real* at = out + row * width;
        std::memset(at, 0, width * sizeof(Real));
        for (int64_t c = 0; c < count; ++c) {
            const OnehotColumn& column = columns[c];
            if (column.scalar != nullptr) {
                *at++ = (Real)real_at(column.scalar, column.scalar_size, row);
            }
            if (column.cell != nullptr) {
                const int64_t cell = cell_at(column.cell, column.cell_size, row);
                if (cell < column.width) {
                    at[cell] = 1;
                }
            }
            at += column.width;
        }
    }
}

// The first of `cells` positions, taken in `order`, that holds the largest value; NaN counts as the largest.
template <class Real> int64_t largest_cell(const Real* at, const int64_t* order, int64_t cells, bool zero_is_none) {
    int64_t best = order[0];
    bool any = at[best] != 0;
    for (int64_t i = 1; i < cells && !std::isnan(at[best]); ++i) {
        const int64_t cell = order[i];
        any |= at[cell] != 0;
        best = at[cell] <= at[best] ? best : cell;
    }
    return any || !zero_is_none ? best : cells;
}

// cell: (rows,) from the columns [start, start + cells) of a matrix (rows, width).
template <class Real, class Cell>
void read_cells(const Real* matrix, int64_t rows, int64_t width, int64_t start, const int64_t* order, int64_t cells,
                bool zero_is_none, Cell* cell) {
    for (int64_t row = 0; row < rows; ++row) {
        cell[row] = (Cell)largest_cell(matrix + row * width + start, order, cells, zero_is_none);
    }
}

}  // namespace gpuvgm
