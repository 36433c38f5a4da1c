// Rows of a synthesizer on the device, one a thread: joint counts of bins, and bins and places drawn by the words of
// Philox. Whole numbers alone, but for the places. Of no rows no table is read.
#pragma once
#include "../vgm_draw.cuh"
#include "../vgm_trees.cuh"

namespace gpuvgm {
namespace {

// Where one of the lotteries lies among the keys and starts of all; see Engine.draw_rows.
struct LotteryPlace {
    i64 keys, starts, entries, steps;
};

// Tables of a drawn column: its parents, contexts of each bin of the first one, groups of each context, bins.
struct DrawnShape {
    i64 parents, width, groups, bins;
    LotteryPlace of_groups, inside, pieces;  // without entries inside, the first one has bins; or the row has its bin
};

// Number of a drawn row: the one given, or first_row + i where `scattered` is 0.
GPUVGM_FN u64 number_of(i64 i, u64 first_row, const u64* numbers, int scattered) {
    return scattered ? numbers[i] : first_row + (u64)i;
}

// Bin of a row, and a place in a piece of it. ends: low and high of each piece.
GPUVGM_FN void draw_row(i64 i, i64 rows, const u16* first, const u16* second, const i64* shape, const u64* keys,
                        const i64* starts, const i64* second_of, const double* ends, u64 seed, u64 column, u64 number,
                        u16* codes, double* numbers) {
    if (i >= rows) {
        return;
    }
    const DrawnShape& tables = *(const DrawnShape*)shape;
    u32 words[4];
    philox(number, column, seed, words);
    const auto drawn = [&](const LotteryPlace& lottery, i64 block, u32 word) {
        return entry_of(keys + lottery.keys, starts[lottery.starts + block], lottery.entries, (int)lottery.steps, block,
                        word);
    };
    const i64 outer = tables.parents > 0 ? (i64)first[i] : 0;
    const i64 context = outer * tables.width + (tables.parents > 1 ? second_of[second[i]] : 0);
    i64 code = outer;
    if (tables.of_groups.entries) {
        code = drawn(tables.of_groups, context, words[0]) - context * tables.groups;
    }
    if (tables.inside.entries) {
        code = drawn(tables.inside, outer * tables.groups + code, words[1]) - outer * tables.bins;
    }
    const i64 piece = drawn(tables.pieces, code, words[2]);
    const double low = ends[2 * piece];
    codes[i] = (u16)code;
    numbers[i] = low + (ends[2 * piece + 1] - low) * uniform_of(words[3]);
}

// Adds the row to its pair of bins and, where there are two parents, to its context and group. shape: parents, bins of
// the column, groups of the second parent's bins, groups of the column's bins.
GPUVGM_FN void count_row(i64 i, i64 rows, const u16* own, const u16* first, const u16* second, const i64* shape,
                         const i64* second_of, const i64* group_of, u64* pairs, u64* triples) {
    if (i >= rows) {
        return;
    }
    const i64 bin = own[i], outer = shape[0] > 0 ? (i64)first[i] : 0;
    atomicAdd(pairs + (outer * shape[1] + bin), (u64)1);
    if (shape[0] > 1) {
        atomicAdd(triples + ((outer * shape[2] + second_of[second[i]]) * shape[3] + group_of[bin]), (u64)1);
    }
}

// A row's codes of asked columns, which lie one after the other.
struct AskedCodes {
    const u16* codes;
    i64 row, rows;

    GPUVGM_FN int operator()(int feature) const { return codes[feature * rows + row]; }
};

GPUVGM_FN WalkedTrees walked(const int* ranges, int cuts, const int* root, const int* nodes, const u8* sides) {
    return {(const CodeRange*)ranges, cuts, root, (const TreeNode*)nodes, sides};
}

// Adds the row to the nodes that answer for it. counts: (2, node_count) of both halves.
GPUVGM_FN void count_in_trees(i64 i, i64 rows, const u16* own, const u16* asked, const WalkedTrees& trees,
                              int node_count, u64* counts) {
    if (i >= rows) {
        return;
    }
    trees.follow(own[i], AskedCodes{asked, i, rows},
                 [&](int half, int node) { atomicAdd(counts + ((i64)half * node_count + node), (u64)1); });
}

// Code of a row.
GPUVGM_FN void draw_in_trees(i64 i, i64 rows, const u16* asked, const WalkedTrees& trees, const double* shares,
                             u64 seed, u64 column, u64 number, u16* codes) {
    if (i >= rows) {
        return;
    }
    u32 words[4];
    philox(number, column, seed, words);
    codes[i] = (u16)trees.drawn(fine_uniform_of(words[0], words[1]), shares, AskedCodes{asked, i, rows});
}

}  // namespace
}  // namespace gpuvgm
