// Bindings of what rows of a synthesizer are drawn with: the generator's words, and the entries of tables that words
// draw. Whole numbers alone: every instruction set gives the same.

#include <algorithm>

#include "../vgm_math.cuh"
#include "native.hpp"

namespace gpuvgm {
namespace {

using Places = Column<int64_t>;

// words[w][row] is word w of Philox4x32-10 at counter first_row + row.
nb::ndarray<nb::numpy, uint64_t> philox_words(uint64_t first_row, size_t rows, uint64_t column, uint64_t seed) {
    std::unique_ptr<uint64_t[]> words(new uint64_t[4 * rows]);
    {
        nb::gil_scoped_release unlocked;
        for (size_t row = 0; row < rows; ++row) {
            u32 four[4];
            philox(first_row + row, column, seed, four);
            for (size_t w = 0; w < 4; ++w) {
                words[w * rows + row] = four[w];
            }
        }
    }
    return owned(std::move(words), {4, rows});
}

// The first entry of a row's block whose key is above (block << 33) | word.
nb::ndarray<nb::numpy, int64_t> draw_entries(Words keys, Places starts, Places blocks, Words words) {
    const size_t rows = blocks.shape(0), size = starts.shape(0);
    if (words.shape(0) != rows || size == 0 || (size_t)starts.data()[size - 1] != keys.shape(0)) {
        throw std::invalid_argument("every row needs a block and a word, and every entry a key");
    }
    const int64_t *first = starts.data(), *block = blocks.data();
    if (std::any_of(block, block + rows, [&](int64_t b) { return b < 0 || b >= (int64_t)size - 1; })) {
        throw std::invalid_argument("a row is drawn from a block that is not there");
    }
    std::unique_ptr<int64_t[]> entries(new int64_t[rows]);
    {
        nb::gil_scoped_release unlocked;
        for (size_t row = 0; row < rows; ++row) {
            const uint64_t wanted = ((uint64_t)block[row] << 33) | words.data()[row];
            const uint64_t *low = keys.data() + first[block[row]], *high = keys.data() + first[block[row] + 1];
            entries[row] = std::upper_bound(low, high, wanted) - keys.data();
        }
    }
    return owned(std::move(entries), {rows});
}

}  // namespace

void bind_draw(nb::module_& module) {
    using namespace nb::literals;
    module.def("philox_words", &philox_words, "first_row"_a, "rows"_a, "column"_a, "seed"_a,
               "Words of Philox4x32-10 of consecutive rows, four a row.");
    module.def("draw_entries", &draw_entries, "keys"_a.noconvert(), "starts"_a.noconvert(), "blocks"_a.noconvert(),
               "words"_a.noconvert(), "Entry that each row's word draws from its block of a table.");
}

}  // namespace gpuvgm
