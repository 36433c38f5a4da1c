// Bindings of trees of counts.
#include "trees.hpp"

#include "native.hpp"

namespace gpuvgm {
namespace {

using CodeColumn = Column<uint16_t>;
using CodeColumns = std::vector<CodeColumn>;
using Indices = Column<int32_t>;
using Places = Column<int64_t>;
using Ranges = nb::ndarray<const int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Nodes = nb::ndarray<const int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
constexpr int64_t MOST_JOINT_CODES = 1 << 10;
using Grown = std::tuple<Ranges, Indices, Nodes, Bytes>;

void check_rows(const CodeColumns& codes, size_t rows) {
    for (const CodeColumn& column : codes) {
        if (column.shape(0) != rows) {
            throw std::invalid_argument("every column needs one code a row");
        }
    }
}

void check_codes(const CodeColumn& column, int64_t size) {
    const uint16_t* codes = column.data();
    if (std::any_of(codes, codes + column.shape(0), [&](uint16_t code) { return code >= size; })) {
        throw std::invalid_argument("a row has a code that its column has not");
    }
}

std::vector<const uint16_t*> pointers(const CodeColumns& codes) {
    std::vector<const uint16_t*> all;
    for (const CodeColumn& column : codes) {
        all.push_back(column.data());
    }
    return all;
}

auto grow_trees(CodeColumn target, Ranges ranges, CodeColumns codes, std::vector<int64_t> sizes,
                std::vector<bool> categories, Places entropy,
                std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t> rules) {
    const size_t rows = target.shape(0);
    check_rows(codes, rows);
    const int64_t cuts = ranges.shape(0), top = cuts ? ranges.data()[2] : 1;
    check_codes(target, top);
    if (codes.size() != sizes.size() || codes.size() != categories.size() || entropy.shape(0) <= rows ||
        (cuts && ranges.shape(1) != 5)) {
        throw std::invalid_argument("sizes, kinds and entropies do not fit the rows");
    }
    for (size_t i = 0; i < codes.size(); ++i) {
        if (sizes[i] > RangeRows::MOST_CODES) {
            throw std::invalid_argument("a column has more codes than rows can have");
        }
        check_codes(codes[i], sizes[i]);
    }
    Trees trees;
    {
        nb::gil_scoped_release unlocked;
        const auto [penalty, category_penalty, inherited_penalty, least_rows, most_cuts] = rules;
        const TreeRules tree_rules{penalty, category_penalty, inherited_penalty, least_rows, most_cuts, entropy.data()};
        const std::vector<uint8_t> are_categories(categories.begin(), categories.end());
        Grower grower(tree_rules, sizes, are_categories);
        // Rows in the order of their codes: those of a range of codes follow each other.
        std::vector<int64_t> starts(top + 1);
        for (size_t row = 0; row < rows; ++row) {
            ++starts[target.data()[row] + 1];
        }
        for (int64_t code = 0; code < top; ++code) {
            starts[code + 1] += starts[code];
        }
        std::vector<int32_t> order(rows);
        std::vector<int64_t> next(starts.begin(), starts.end() - 1);
        for (size_t row = 0; row < rows; ++row) {
            order[next[target.data()[row]]++] = (int32_t)row;
        }
        RangeRows part;
        part.keys.resize(codes.size());
        std::vector<int> root_above(cuts, -1);
        for (int64_t cut = 0; cut < cuts; ++cut) {
            const int32_t* range = ranges.data() + 5 * cut;
            for (const int32_t half : {range[3], range[4]}) {
                if (half >= cuts || (half >= 0 && half <= cut)) {
                    throw std::invalid_argument("the halves of a cut come before it, or are none");
                }
                if (half >= 0) {
                    root_above[half] = (int)trees.nodes.size();
                }
            }
            const int64_t begin = starts[range[0]], middle = starts[range[1]], end = starts[range[2]];
            part.is_right.assign(end - begin, 0);
            std::fill(part.is_right.begin() + (middle - begin), part.is_right.end(), (uint8_t)1);
            for (size_t i = 0; i < codes.size(); ++i) {
                part.keys[i].resize(end - begin);
                for (int64_t at = begin; at < end; ++at) {
                    part.keys[i][at - begin] = (uint16_t)(codes[i].data()[order[at]] << 1 | (at >= middle));
                }
            }
            grower.grow(part, root_above[cut], trees);
        }
    }
    const size_t cut_count = trees.root.size(), side_count = trees.sides.size(), node_count = trees.nodes.size();
    std::vector<int32_t> nodes(4 * node_count);
    std::copy_n((const int32_t*)trees.nodes.data(), nodes.size(), nodes.data());
    return std::make_tuple(owned(std::move(trees.root), {cut_count}), owned(std::move(nodes), {node_count, 4}),
                           owned(std::move(trees.sides), {side_count}));
}

// Rows of two columns' pairs of codes, in tables that neighbouring rows take in turn, as one would wait for itself.
class PairTables {
  public:
    explicit PairTables(int64_t size) {
        while ((int64_t(1) << shift) < size) {
            ++shift;
        }
        tables.resize(TABLES << (2 * shift));
    }

    // Sum of F over the pairs of codes. first: the code of each row, moved to the left by `shift`.
    int64_t entropy(const uint32_t* first, const uint16_t* second, int64_t rows, int64_t height, int64_t width,
                    const int64_t* entropies) {
        uint32_t* turns[TABLES];
        for (int turn = 0; turn < TABLES; ++turn) {
            turns[turn] = tables.data() + (int64_t(turn) << (2 * shift));
            std::fill_n(turns[turn], height << shift, 0u);
        }
        int64_t row = 0;
        for (; row + TABLES <= rows; row += TABLES) {
            for (int turn = 0; turn < TABLES; ++turn) {
                ++turns[turn][first[row + turn] | second[row + turn]];
            }
        }
        for (; row < rows; ++row) {
            ++turns[0][first[row] | second[row]];
        }
        int64_t sum = 0;
        for (int64_t code = 0; code < height; ++code) {
            for (int64_t at = code << shift; at < (code << shift) + width; ++at) {
                uint32_t together = 0;
                for (int turn = 0; turn < TABLES; ++turn) {
                    together += turns[turn][at];
                }
                sum += entropies[together];
            }
        }
        return sum;
    }

    int shift = 0;

  private:
    static constexpr int TABLES = 4;
    std::vector<uint32_t> tables;
};

// For each two columns, and each with itself, the sum of F of the rows of each pair of codes.
auto joint_entropies(CodeColumns codes, std::vector<int64_t> sizes, Places entropy) {
    const size_t columns = codes.size(), rows = columns ? codes[0].shape(0) : 0;
    check_rows(codes, rows);
    if (sizes.size() != columns || entropy.shape(0) <= rows) {
        throw std::invalid_argument("sizes and entropies do not fit the rows");
    }
    int64_t largest = 1;
    for (size_t i = 0; i < columns; ++i) {
        check_codes(codes[i], sizes[i]);
        largest = std::max(largest, sizes[i]);
    }
    if (largest > MOST_JOINT_CODES) {
        throw std::invalid_argument("columns have too many codes to count pairs of them");
    }
    std::vector<int64_t> sums(columns * columns);
    {
        nb::gil_scoped_release unlocked;
        PairTables tables(largest);
        std::vector<uint32_t> first(rows);
        for (size_t i = 0; i < columns; ++i) {
            for (size_t row = 0; row < rows; ++row) {
                first[row] = uint32_t(codes[i].data()[row]) << tables.shift;
            }
            for (size_t j = 0; j <= i; ++j) {
                sums[i * columns + j] = sums[j * columns + i] =
                    tables.entropy(first.data(), codes[j].data(), (int64_t)rows, sizes[i], sizes[j], entropy.data());
            }
        }
    }
    return owned(std::move(sums), {columns, columns});
}

static_assert(sizeof(TreeNode) == 4 * sizeof(int32_t) && sizeof(CodeRange) == 5 * sizeof(int32_t));

WalkedTrees walked(const Grown& grown) {
    const auto& [ranges, root, nodes, sides] = grown;
    return {(const CodeRange*)ranges.data(), (int)ranges.shape(0), root.data(), (const TreeNode*)nodes.data(),
            sides.data()};
}

// Rows of both halves at the nodes that answer for them.
auto count_in_trees(CodeColumn target, const Grown& grown, CodeColumns codes) {
    check_rows(codes, target.shape(0));
    const size_t nodes = std::get<2>(grown).shape(0), rows = target.shape(0);
    std::vector<int64_t> counts(2 * nodes);
    {
        nb::gil_scoped_release unlocked;
        const WalkedTrees trees = walked(grown);
        const auto count_rows = [&](int64_t start, int64_t, auto walk) {
            const uint16_t* own = target.data() + start;
            const auto choose = [&](int cut, int node, const int32_t* rows, int64_t count, uint8_t* is_right) {
                const int middle = trees.ranges[cut].middle;
                int64_t right = 0;
                for (int64_t i = 0; i < count; ++i) {
                    right += is_right[rows[i]] = own[rows[i]] >= middle;
                }
                counts[node] += count - right;
                counts[nodes + node] += right;
            };
            walk(choose, [](int, const int32_t*, int64_t) {});
        };
        walk_rows(trees, pointers(codes), (int64_t)rows, count_rows);
    }
    return owned(std::move(counts), {2, nodes});
}

// Codes of rows by two words of Philox each. shares: (nodes,) of the right half.
auto draw_in_trees(const Grown& grown, CodeColumns codes, Reals shares, NumberedRows numbered,
                   std::tuple<uint64_t, uint64_t> randomness) {
    const size_t rows = std::get<1>(numbered);
    const RowNumbers row_numbers = numbers_of(numbered);
    const auto [column, seed] = randomness;
    check_rows(codes, rows);
    std::vector<uint16_t> drawn(rows);
    {
        nb::gil_scoped_release unlocked;
        std::vector<double> uniforms(std::min<size_t>(rows, RowWalk::ROWS));
        const auto draw_rows = [&, number = column, key = seed](int64_t start, int64_t count, auto walk) {
            for (int64_t i = 0; i < count; ++i) {
                u32 words[4];
                philox(row_numbers.of(start + i), number, key, words);
                uniforms[i] = fine_uniform_of(words[0], words[1]);
            }
            const auto choose = [&](int, int node, const int32_t* rows, int64_t count, uint8_t* is_right) {
                const double right = shares.data()[node];
                for (int64_t i = 0; i < count; ++i) {
                    is_right[rows[i]] = goes_right(uniforms[rows[i]], right);
                }
            };
            const auto arrive = [&](int code, const int32_t* rows, int64_t count) {
                for (int64_t i = 0; i < count; ++i) {
                    drawn[start + rows[i]] = (uint16_t)code;
                }
            };
            walk(choose, arrive);
        };
        walk_rows(walked(grown), pointers(codes), (int64_t)rows, draw_rows);
    }
    return owned(std::move(drawn), {rows});
}

// Sums along the ways of the rows' codes. log_shares: (2, nodes) of both halves.
auto log_shares_in_trees(CodeColumn target, const Grown& grown, CodeColumns codes, Matrix log_shares) {
    const size_t rows = target.shape(0), nodes = log_shares.shape(1);
    check_rows(codes, rows);
    std::vector<double> sums(rows);
    {
        nb::gil_scoped_release unlocked;
        const WalkedTrees trees = walked(grown);
        const auto sum_rows = [&](int64_t start, int64_t, auto walk) {
            const uint16_t* own = target.data() + start;
            const auto choose = [&](int cut, int node, const int32_t* rows, int64_t count, uint8_t* is_right) {
                const int middle = trees.ranges[cut].middle;
                for (int64_t i = 0; i < count; ++i) {
                    const bool right = own[rows[i]] >= middle;
                    is_right[rows[i]] = right;
                    sums[start + rows[i]] += log_shares.data()[right * nodes + node];
                }
            };
            walk(choose, [](int, const int32_t*, int64_t) {});
        };
        walk_rows(trees, pointers(codes), (int64_t)rows, sum_rows);
    }
    return owned(std::move(sums), {rows});
}

}  // namespace

void bind_trees(nb::module_& m) {
    using namespace nb::literals;
    m.def("grow_trees", &grow_trees, "target"_a, "ranges"_a, "codes"_a, "sizes"_a, "categories"_a, "entropy"_a,
          "rules"_a);
    m.def("joint_entropies", &joint_entropies, "codes"_a, "sizes"_a, "entropy"_a);
    m.def("count_in_trees", &count_in_trees, "target"_a, "trees"_a, "codes"_a);
    m.def("draw_in_trees", &draw_in_trees, "trees"_a, "codes"_a, "shares"_a, "range"_a, "randomness"_a);
    m.def("log_shares_in_trees", &log_shares_in_trees, "target"_a, "trees"_a, "codes"_a, "log_shares"_a);
}

}  // namespace gpuvgm
