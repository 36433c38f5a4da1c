// Growth of trees of counts, and ways of many rows through them. A tree says for a cut of a column's codes which half a
// row lies in, given codes of other columns.
//
//     gain of a split = L(left) + L(right) - L(node) - penalty,   L(a, b) = F(a) + F(b) - F(a + b),   F(n) = n ln n,
//
// F in whole numbers of 2^-20 nats, so that gains are whole numbers and all machines grow the same trees. A node may
// take over the split of the node that its rows would be at in the tree of the cut above, for a lower penalty.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "../vgm_trees.cuh"

namespace gpuvgm {
namespace {

// What splits may be.
struct TreeRules {
    int64_t penalty, category_penalty;  // 2^-20 nats; the second one for each category present but for two
    int64_t inherited_penalty;          // of a split of the cut above
    int64_t least_rows, most_cuts;
    const int64_t* entropy;  // F
};

// Trees of a column, one after the other.
struct Trees {
    std::vector<int32_t> root;  // of each cut
    std::vector<TreeNode> nodes;
    std::vector<uint8_t> sides;
};

struct TreeSplit {
    int64_t gain = 0;
    int feature = -1, threshold = 0;
    std::vector<int32_t> order;  // categories by their share of ones; the first `threshold` + 1 go left
};

inline int64_t log_likelihood(const int64_t* entropy, int64_t zeros, int64_t ones) {
    return entropy[zeros] + entropy[ones] - entropy[zeros + ones];
}

// Puts the rows that go right behind all others, and returns how many others there are. Both stay in their order, in
// which their codes lie in memory. scratch: as many places as rows.
template <class GoesRight>
int64_t part_rows(int32_t* rows, int64_t count, std::vector<int32_t>& scratch, GoesRight goes_right) {
    int64_t lefts = 0, rights = 0;
    for (int64_t i = 0; i < count; ++i) {
        const int32_t row = rows[i];
        const bool is_right = goes_right(row);
        rows[lefts] = row;
        scratch[rights] = row;
        lefts += !is_right;
        rights += is_right;
    }
    std::copy_n(scratch.data(), rights, rows + lefts);
    return lefts;
}

// Rows of a range of codes: the half that each lies in, and for each candidate its code, times 2, and the half.
struct RangeRows {
    static constexpr int64_t MOST_CODES = 1 << 15;
    std::vector<std::vector<uint16_t>> keys;
    std::vector<uint8_t> is_right;
};

// Whether a row goes right at a node; none is in a category that the node did not have.
struct NodeSides {
    const uint16_t* keys;
    const uint8_t* sides;  // of categories, or none
    int threshold;

    NodeSides(const RangeRows& rows, const TreeNode& node, const std::vector<uint8_t>& all)
        : keys(rows.keys[node.feature].data()),
          sides(node.sides_at < 0 ? nullptr : all.data() + node.sides_at),
          threshold(node.threshold) {}

    bool operator()(int32_t row) const {
        const int code = keys[row] >> 1;
        return sides ? sides[code] == RIGHT : code > threshold;
    }
};

class Grower {
  public:
    Grower(const TreeRules& rules, const std::vector<int64_t>& sizes, const std::vector<uint8_t>& are_categories)
        : rules(rules), sizes(sizes), are_categories(are_categories) {
        const int64_t largest = sizes.empty() ? 1 : *std::max_element(sizes.begin(), sizes.end());
        counts.resize(2 * largest);
        occurring.resize((largest + 63) / 64);
        present.resize(largest);
    }

    // Adds the tree of a range to `trees`, breadth first. above: root of the tree of the cut above, or -1.
    void grow(const RangeRows& rows, int above, Trees& trees) {
        const int64_t count = (int64_t)rows.is_right.size();
        std::vector<int32_t> order(count);
        for (int64_t i = 0; i < count; ++i) {
            order[i] = (int32_t)i;
        }
        right.resize(std::max((int64_t)right.size(), count));
        std::vector<NodeRows> grown{{0, count, above}};
        const size_t first = trees.nodes.size();
        trees.root.push_back((int32_t)first);
        trees.nodes.push_back(LEAF);
        for (size_t place = 0; place < grown.size(); ++place) {
            const auto [begin, end, passed] = grown[place];
            int64_t ones = 0;
            for (int64_t i = begin; i < end; ++i) {
                ones += rows.is_right[order[i]];
            }
            // A split gains at most what is uncertain at the node.
            const int64_t uncertain = -log_likelihood(rules.entropy, end - begin - ones, ones);
            if (end - begin < 2 * rules.least_rows || uncertain <= std::min(rules.penalty, rules.inherited_penalty)) {
                continue;
            }
            int32_t* own = order.data() + begin;
            const auto [inherited, met] = inherited_split(rows, own, end - begin, ones, passed, trees);
            const TreeSplit split = uncertain > rules.penalty ? best(rows, own, end - begin, ones) : TreeSplit{};
            const int left = (int)trees.nodes.size();
            int above_left = met, above_right = met;
            TreeNode node{split.feature, split.threshold, left, -1};
            if (inherited > 0 && inherited >= split.gain) {
                node = trees.nodes[met];
                above_left = node.left;
                above_right = node.left + 1;
                node.left = left;
            } else if (split.feature < 0) {
                continue;
            } else if (are_categories[split.feature]) {
                node.threshold = 0;
                node.sides_at = (int)trees.sides.size();
                add_sides(split, trees.sides);
            }
            trees.nodes[first + place] = node;
            const int64_t middle = begin + part_rows(own, end - begin, right, NodeSides(rows, node, trees.sides));
            trees.nodes.insert(trees.nodes.end(), 2, LEAF);
            grown.push_back({begin, middle, above_left});
            grown.push_back({middle, end, above_right});
        }
    }

  private:
    static constexpr TreeNode LEAF{-1, 0, -1, -1};
    const TreeRules& rules;
    const std::vector<int64_t>& sizes;
    const std::vector<uint8_t>& are_categories;
    struct NodeRows {
        int64_t begin, end;
        int above;  // the node of the tree above that the rows have come to, or -1
    };
    struct CodeRows {
        int32_t code;
        uint32_t rows[2];  // of both halves
    };
    std::vector<uint32_t> counts;     // rows of each key; 0 between nodes
    std::vector<uint64_t> occurring;  // a bit for each code; 0 between nodes
    std::vector<CodeRows> present;    // codes that a node's rows have, ascending; so many of them
    int64_t present_codes = 0;
    std::vector<int32_t> right;

    // Appends the side of each category of a split.
    void add_sides(const TreeSplit& split, std::vector<uint8_t>& sides) const {
        const size_t first = sides.size();
        sides.insert(sides.end(), sizes[split.feature], (uint8_t)HERE);
        for (size_t place = 0; place < split.order.size(); ++place) {
            sides[first + split.order[place]] = (int)place <= split.threshold ? LEFT : RIGHT;
        }
    }

    // What the split gains that rows meet first in the tree above, and its node; 0 where it is no split. above: a node
    // at or below which all of these rows are, or -1.
    std::pair<int64_t, int> inherited_split(const RangeRows& rows, const int32_t* order, int64_t count, int64_t ones,
                                            int above, const Trees& trees) const {
        while (above >= 0 && trees.nodes[above].feature >= 0) {
            const NodeSides goes_right(rows, trees.nodes[above], trees.sides);
            int64_t below = 0, ones_below = 0;
            for (int64_t i = 0; i < count; ++i) {
                const bool is_below = goes_right(order[i]);
                below += is_below;
                ones_below += is_below & rows.is_right[order[i]];
            }
            if (below && below < count) {
                if (std::min(below, count - below) < rules.least_rows) {
                    return {0, above};
                }
                const int64_t gain = likelihood_of(below - ones_below, ones_below, count - ones, ones) -
                                     log_likelihood(rules.entropy, count - ones, ones);
                return {gain - rules.inherited_penalty, above};
            }
            above = trees.nodes[above].left + (below > 0);
        }
        return {0, above};
    }

    // The split that gains most; of equal ones that of the first candidate, and the lowest of its cuts.
    TreeSplit best(const RangeRows& rows, const int32_t* order, int64_t count, int64_t ones) {
        TreeSplit split;
        for (int feature = 0; feature < (int)rows.keys.size(); ++feature) {
            tally(rows.keys[feature].data(), sizes[feature], order, count);
            if (are_categories[feature]) {
                cut_categories(feature, count, ones, split);
            } else {
                cut_numbers(feature, count, ones, split);
            }
        }
        return split;
    }

    // Sets `present`. Of few rows the codes are noted, so that those which none of them has cost nothing.
    void tally(const uint16_t* keys, int64_t size, const int32_t* order, int64_t count) {
        present_codes = 0;
        if (count >= size) {
            for (int64_t i = 0; i < count; ++i) {
                ++counts[keys[order[i]]];
            }
            for (int64_t code = 0; code < size; ++code) {
                if (counts[2 * code] + counts[2 * code + 1]) {
                    take(code);
                }
            }
            return;
        }
        for (int64_t i = 0; i < count; ++i) {
            const unsigned key = keys[order[i]];
            ++counts[key];
            occurring[key >> 7] |= uint64_t(1) << (key >> 1 & 63);
        }
        for (int64_t word = 0; 64 * word < size; ++word) {
            for (uint64_t bits = occurring[word]; bits; bits &= bits - 1) {
                take(64 * word + __builtin_ctzll(bits));
            }
            occurring[word] = 0;
        }
    }

    // Each part is written where it stays: an entry that is put together first would have to be read back from parts
    // that are not written yet.
    void take(int64_t code) {
        CodeRows& here = present[present_codes++];
        here.code = (int32_t)code;
        here.rows[0] = counts[2 * code];
        here.rows[1] = counts[2 * code + 1];
        counts[2 * code] = counts[2 * code + 1] = 0;
    }

    int64_t likelihood_of(int64_t zeros, int64_t ones, int64_t all_zeros, int64_t all_ones) const {
        return log_likelihood(rules.entropy, zeros, ones) +
               log_likelihood(rules.entropy, all_zeros - zeros, all_ones - ones);
    }

    void cut_numbers(int feature, int64_t count, int64_t all_ones, TreeSplit& split) const {
        const int64_t step = std::max<int64_t>(1, count / rules.most_cuts);
        const int64_t least = log_likelihood(rules.entropy, count - all_ones, all_ones) + rules.penalty;
        int64_t zeros = 0, ones = 0, since = 0;
        for (int64_t place = 0; place < present_codes; ++place) {
            const CodeRows& here = present[place];
            zeros += here.rows[0];
            ones += here.rows[1];
            since += here.rows[0] + here.rows[1];
            if (zeros + ones < rules.least_rows || since < step) {
                continue;
            }
            if (count - zeros - ones < rules.least_rows) {
                break;
            }
            since = 0;
            const int64_t gain = likelihood_of(zeros, ones, count - all_ones, all_ones) - least;
            if (gain > split.gain) {
                split = {gain, feature, here.code, {}};
            }
        }
    }

    void cut_categories(int feature, int64_t count, int64_t all_ones, TreeSplit& split) {
        std::sort(present.begin(), present.begin() + present_codes, [](const CodeRows& a, const CodeRows& b) {
            const int64_t left = (int64_t)a.rows[1] * (b.rows[0] + b.rows[1]);
            const int64_t right = (int64_t)b.rows[1] * (a.rows[0] + a.rows[1]);
            return left != right ? left < right : a.code < b.code;
        });
        const int64_t least = log_likelihood(rules.entropy, count - all_ones, all_ones) + rules.penalty +
                              rules.category_penalty * (present_codes - 2);
        int64_t zeros = 0, ones = 0;
        for (int64_t place = 0; place + 1 < present_codes; ++place) {
            zeros += present[place].rows[0];
            ones += present[place].rows[1];
            if (zeros + ones < rules.least_rows) {
                continue;
            }
            if (count - zeros - ones < rules.least_rows) {
                break;
            }
            const int64_t gain = likelihood_of(zeros, ones, count - all_ones, all_ones) - least;
            if (gain > split.gain) {
                split = {gain, feature, (int)place, {}};
                for (int64_t other = 0; other < present_codes; ++other) {
                    split.order.push_back(present[other].code);
                }
            }
        }
    }
};

// Rows that walk through trees together. Those at a node are parted by what the node asks, and those of a cut by the
// half that they are given: one loop over a few codes of one column, where a row by itself waits for each node that it
// meets.
class RowWalk {
  public:
    static constexpr int64_t ROWS = 1 << 15;  // of a block, whose codes stay in the cache

    explicit RowWalk(const WalkedTrees& trees) : trees(trees), rows(ROWS), others(ROWS), unseen(ROWS), is_right(ROWS) {}

    // choose(cut, node, rows, count, is_right) says for rows that a node answers for whether they go right; `arrive`
    // takes their codes: arrive(code, rows, count). codes: of the asked columns, `count` rows each.
    template <class Choose, class Arrive>
    void run(const std::vector<const uint16_t*>& codes, int64_t count, Choose choose, Arrive arrive) {
        for (int64_t i = 0; i < count; ++i) {
            rows[i] = (int32_t)i;
        }
        if (!trees.cuts) {
            return arrive(0, rows.data(), count);
        }
        std::vector<Part> cuts{{0, 0, count}};
        while (!cuts.empty()) {
            const auto [cut, begin, end] = cuts.back();
            cuts.pop_back();
            answer(codes, cut, begin, end, choose);
            const CodeRange& range = trees.ranges[cut];
            const int64_t middle = begin + part(begin, end, [&](int32_t row) { return is_right[row]; });
            const Part halves[2] = {{range.halves[LEFT], begin, middle}, {range.halves[RIGHT], middle, end}};
            for (int half = 0; half < 2; ++half) {
                const auto [next, first, last] = halves[half];
                if (first == last) {
                    continue;
                }
                if (next < 0) {
                    arrive(half ? range.middle : range.low, rows.data() + first, last - first);
                } else {
                    cuts.push_back(halves[half]);
                }
            }
        }
    }

  private:
    struct Part {
        int place;  // of a cut or a node
        int64_t begin, end;
    };
    const WalkedTrees& trees;
    std::vector<int32_t> rows, others, unseen;
    std::vector<uint8_t> is_right;
    std::vector<Part> nodes;

    template <class IsRight> int64_t part(int64_t begin, int64_t end, IsRight is_right) {
        return part_rows(rows.data() + begin, end - begin, others, is_right);
    }

    // As `part`, by the sides of categories: left, right, and those that no row of the node had.
    std::pair<int64_t, int64_t> part_categories(int64_t begin, int64_t end, const uint16_t* codes,
                                                const uint8_t* sides) {
        int32_t* own = rows.data() + begin;
        int64_t left = 0, right = 0, here = 0;
        for (int64_t i = 0; i < end - begin; ++i) {
            const int32_t row = own[i];
            const int side = sides[codes[row]];
            own[left] = row;
            others[right] = row;
            unseen[here] = row;
            left += side == LEFT;
            right += side == RIGHT;
            here += side == HERE;
        }
        std::copy_n(others.data(), right, own + left);
        std::copy_n(unseen.data(), here, own + left + right);
        return {left, right};
    }

    // Leads the rows of a cut to the nodes that answer for them.
    template <class Choose>
    void answer(const std::vector<const uint16_t*>& codes, int cut, int64_t first, int64_t last, Choose choose) {
        nodes.assign(1, {trees.root[cut], first, last});
        while (!nodes.empty()) {
            const auto [place, begin, end] = nodes.back();
            nodes.pop_back();
            const TreeNode& node = trees.nodes[place];
            if (node.feature < 0) {
                choose(cut, place, rows.data() + begin, end - begin, is_right.data());
                continue;
            }
            const uint16_t* asked = codes[node.feature];
            int64_t middle, stop = end;
            if (node.sides_at < 0) {
                middle = begin + part(begin, end, [&](int32_t row) { return asked[row] > node.threshold; });
            } else {
                const auto [left, right] = part_categories(begin, end, asked, trees.sides + node.sides_at);
                middle = begin + left;
                stop = middle + right;
            }
            if (stop < end) {
                choose(cut, place, rows.data() + stop, end - stop, is_right.data());
            }
            if (begin < middle) {
                nodes.push_back({node.left, begin, middle});
            }
            if (middle < stop) {
                nodes.push_back({node.left + 1, middle, stop});
            }
        }
    }
};

// Walks all rows, a block at a time. make(start) gives `choose` and `arrive` of the block that starts there.
template <class Make>
void walk_rows(const WalkedTrees& trees, const std::vector<const uint16_t*>& columns, int64_t rows, Make make) {
    RowWalk walk(trees);
    std::vector<const uint16_t*> codes(columns.size());
    for (int64_t start = 0; start < rows; start += RowWalk::ROWS) {
        for (size_t i = 0; i < columns.size(); ++i) {
            codes[i] = columns[i] + start;
        }
        const int64_t count = std::min(RowWalk::ROWS, rows - start);
        make(start, count, [&](auto choose, auto arrive) { walk.run(codes, count, choose, arrive); });
    }
}

}  // namespace
}  // namespace gpuvgm
