// Ways of rows through trees of counts, for host and device; see gpuvgm/engines/trees.py.
#pragma once
#include "vgm_math.cuh"

namespace gpuvgm {
namespace {

typedef unsigned char u8;
typedef unsigned short u16;  // a code

enum Side { LEFT, RIGHT, HERE };  // HERE: a category that no row of the node had, which the node answers

// A node: the asked column, or -1; the last code that goes left; the left child, which the right one follows; where the
// sides of a category begin, or -1.
struct TreeNode {
    int feature, threshold, left, sides_at;
};

// A cut of a column's codes: low, middle and high code, and the cuts of its halves, or -1.
struct CodeRange {
    int low, middle, high, halves[2];
};

// Whether a uniform number draws the right half, which has a share; the number is what is left of it there.
GPUVGM_FN bool goes_right(double& uniform, double right) {
    const double left = 1.0 - right;
    const bool half = uniform >= left;
    uniform = half ? (uniform - left) / right : uniform / left;
    return half;
}

// Trees of a column. `code_of(feature)` is a row's code of an asked column.
struct WalkedTrees {
    const CodeRange* ranges;
    int cuts;
    const int* root;
    const TreeNode* nodes;
    const u8* sides;

    // Node of a cut's tree that answers for a row.
    template <class CodeOf> GPUVGM_FN int answering(int cut, CodeOf code_of) const {
        int place = root[cut];
        while (nodes[place].feature >= 0) {
            const TreeNode node = nodes[place];
            const int code = code_of(node.feature);
            const int side = node.sides_at < 0 ? code > node.threshold : (int)sides[node.sides_at + code];
            if (side == HERE) {
                break;
            }
            place = node.left + side;
        }
        return place;
    }

    // Gives `meet` each half that the row of a code lies in, and the node that answers for it.
    template <class CodeOf, class Meet> GPUVGM_FN void follow(int own, CodeOf code_of, Meet meet) const {
        for (int cut = cuts > 0 ? 0 : -1; cut >= 0;) {
            const int half = own >= ranges[cut].middle;
            meet(half, answering(cut, code_of));
            cut = ranges[cut].halves[half];
        }
    }

    // The code that a uniform number draws. shares: probability of the right half at each node.
    template <class CodeOf> GPUVGM_FN int drawn(double uniform, const double* shares, CodeOf code_of) const {
        int code = 0;
        for (int cut = cuts > 0 ? 0 : -1; cut >= 0;) {
            const int half = goes_right(uniform, shares[answering(cut, code_of)]);
            code = half ? ranges[cut].middle : ranges[cut].low;
            cut = ranges[cut].halves[half];
        }
        return code;
    }
};

// A uniform number of 52 bits from two words.
GPUVGM_FN double fine_uniform_of(u32 high, u32 low) {
    return ((double)((u64)high << 20 | low >> 12) + 0.5) * 2.220446049250313e-16;
}

}  // namespace
}  // namespace gpuvgm
