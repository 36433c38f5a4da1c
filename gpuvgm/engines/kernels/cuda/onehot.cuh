// The onehot layout on the device; see host/onehot.hpp for the columns of it. Where the arrays of a column lie and what
// it has is told by eight integers of it.
#pragma once
#include "../onehot_codes.cuh"
#include "quad.cuh"

namespace gpuvgm {
namespace {

// One column of the layout: addresses of its scalars and codes (0 where it has none), bytes of one of each, its first
// column in the matrix, its number of codes; for reading also where the order of ties begins, and whether zeros are no
// code.
struct OnehotPart {
    u64 scalar, code;
    i64 scalar_size, code_size, start, codes, order, zero_is_none;
};

constexpr int TILE_ROWS = 32;

// One value of the matrix.
template <class Real> GPUVGM_FN Real onehot_value(const OnehotPart& part, i64 row, i64 at) {
    const bool has_scalar = part.scalar != 0;
    if (has_scalar && at == 0) {
        return part.scalar_size == 4 ? converted<Real>(((const float*)part.scalar)[row])
                                     : converted<Real>(((const double*)part.scalar)[row]);
    }
    if (part.code == 0) {
        return (Real)0;
    }
    const i64 code = part.code_size == 1   ? (i64)((const unsigned char*)part.code)[row]
                     : part.code_size == 2 ? (i64)((const unsigned short*)part.code)[row]
                                           : (i64)((const unsigned int*)part.code)[row];
    return (Real)(code == at - (has_scalar ? 1 : 0));
}

}  // namespace
}  // namespace gpuvgm

#if defined(GPUVGM_FILL)
// Every block writes tiles of TILE_ROWS whole rows, value after value. owner: (width,), the part of each column.
extern "C" GPUVGM_KERNEL(256)
    GPUVGM_NAME(const gpuvgm::i64* parts, const int* owner, gpuvgm::i64 rows, int width, GPUVGM_FILL* out) {
    using namespace gpuvgm;
    const OnehotPart* columns = (const OnehotPart*)parts;
    const int row_step = (int)blockDim.x / width, column_step = (int)blockDim.x % width;
    for (i64 first = (i64)blockIdx.x * TILE_ROWS; first < rows; first += (i64)gridDim.x * TILE_ROWS) {
        int row = (int)threadIdx.x / width, column = (int)threadIdx.x % width;
        for (; row < TILE_ROWS && first + row < rows; row += row_step) {
            const OnehotPart& part = columns[owner[column]];
            out[(first + row) * width + column] = onehot_value<GPUVGM_FILL>(part, first + row, column - part.start);
            column += column_step;
            if (column >= width) {
                column -= width;
                ++row;
            }
        }
    }
}
#endif

#if defined(GPUVGM_READ)
// Every block reads one part of tiles of blockDim rows; neighbouring threads take neighbouring rows.
extern "C" GPUVGM_KERNEL(256) GPUVGM_NAME(const gpuvgm::i64* parts, const gpuvgm::i64* order, gpuvgm::i64 rows,
                                          int width, int count, const GPUVGM_READ* matrix) {
    using namespace gpuvgm;
    const OnehotPart part = ((const OnehotPart*)parts)[blockIdx.x % count];
    const i64 step = (i64)(gridDim.x / count) * blockDim.x;
    for (i64 row = (i64)(blockIdx.x / count) * blockDim.x + threadIdx.x; row < rows; row += step) {
        const GPUVGM_READ* at = matrix + row * width + part.start;
        if (part.scalar != 0) {
            ((GPUVGM_READ*)part.scalar)[row] = at[0];
            ++at;
        }
        if (part.code != 0) {
            const i64 code = largest_code(at, order + part.order, part.codes, part.zero_is_none != 0);
            if (part.code_size == 1) {
                ((unsigned char*)part.code)[row] = (unsigned char)code;
            } else if (part.code_size == 2) {
                ((unsigned short*)part.code)[row] = (unsigned short)code;
            } else {
                ((unsigned int*)part.code)[row] = (unsigned int)code;
            }
        }
    }
}
#endif
