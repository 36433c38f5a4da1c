// The onehot layout: rows of scalars and one-hot columns, written from encoded columns and read back. Memory bound,
// hence one copy for all instruction sets.
#pragma once
#include <cstdint>
#include <cstring>

#include "../onehot_codes.cuh"

namespace gpuvgm {

// One column of the layout. A column without a scalar or without codes has a null pointer there; a code of `width` or
// more stands for no code at all.
struct OnehotColumn {
    const void* scalar;  // (rows,), float or double
    const void* code;    // (rows,), uint8_t, uint16_t or uint32_t
    int scalar_size, code_size;
    int64_t width;
};

inline double real_at(const void* values, int size, int64_t row) {
    return size == 4 ? (double)((const float*)values)[row] : ((const double*)values)[row];
}

inline int64_t code_at(const void* codes, int size, int64_t row) {
    return size == 1   ? (int64_t)((const uint8_t*)codes)[row]
           : size == 2 ? (int64_t)((const uint16_t*)codes)[row]
                       : (int64_t)((const uint32_t*)codes)[row];
}

inline void set_code(void* codes, int size, int64_t row, int64_t code) {
    if (size == 1) {
        ((uint8_t*)codes)[row] = (uint8_t)code;
    } else if (size == 2) {
        ((uint16_t*)codes)[row] = (uint16_t)code;
    } else {
        ((uint32_t*)codes)[row] = (uint32_t)code;
    }
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
            if (column.code != nullptr) {
                const int64_t code = code_at(column.code, column.code_size, row);
                if (code < column.width) {
                    at[code] = 1;
                }
            }
            at += column.width;
        }
    }
}

// Where one column of the layout is read to; null pointers where it has no scalar or no codes.
template <class Real> struct ReadColumnOf {
    Real* scalar;  // (rows,)
    void* code;    // (rows,), uint8_t, uint16_t or uint32_t
    int code_size;
    const int64_t* order;  // (codes,): all codes, in the order that ties go by
    int64_t codes;
    bool zero_is_none;
};

constexpr int64_t TILE_BYTES = int64_t(1) << 17;  // rows read together: they stay in the cache for all columns

// matrix: (rows, width).
template <class Real>
void read_onehot(const Real* matrix, int64_t rows, int64_t width, const ReadColumnOf<Real>* columns, int64_t count) {
    const int64_t bytes = width * (int64_t)sizeof(Real), tile = bytes < TILE_BYTES / 16 ? TILE_BYTES / (bytes + 1) : 16;
    for (int64_t first = 0; first < rows; first += tile) {
        const int64_t end = first + tile < rows ? first + tile : rows;
        int64_t start = 0;
        for (int64_t c = 0; c < count; ++c) {
            const ReadColumnOf<Real>& column = columns[c];
            if (column.scalar != nullptr) {
                for (int64_t row = first; row < end; ++row) {
                    column.scalar[row] = matrix[row * width + start];
                }
                ++start;
            }
            for (int64_t row = first; column.code != nullptr && row < end; ++row) {
                const int64_t code =
                    largest_code(matrix + row * width + start, column.order, column.codes, column.zero_is_none);
                set_code(column.code, column.code_size, row, code);
            }
            start += column.codes;
        }
    }
}

}  // namespace gpuvgm
