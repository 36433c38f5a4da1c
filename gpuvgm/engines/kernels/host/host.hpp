// What the host engine offers per instruction set: a table of row loops. native.cpp picks the table at run time.
#pragma once
#include <cstddef>
#include <cstdint>

namespace gpuvgm {

constexpr int64_t CHUNK_ROWS = 4096;  // rows whose sums are taken together
constexpr int64_t WINDOW_ROWS =
    (int64_t(1) << 22) - 4096;  // rows whose count and first moment fit one 64-bit word of a cell
constexpr int SPARE = 8;        // places behind sums
constexpr int64_t OUTER_CELLS = int64_t(1) << 22;

// Parameters of the components; y = x * scale - centre, means and precisions are those of y, to base 2.
struct MixtureTable {
    int components;
    double scale, centre;
    const double *means, *half_precisions, *coefficients;  // (components,)
};

// Components over several features; ln of weight times density at x is
// coefficient - 1/2 |(x - centre - mean) P|^2, with P an upper triangular matrix or the diagonal of one.
struct GaussianTable {
    int components, features;
    bool diagonal;
    const double *centre, *means;             // (features,), (components, features)
    const double *precisions, *coefficients;  // (components, features, features) or (components, features)
    int64_t moments() const { return diagonal ? features : (int64_t)features * (features + 1) / 2; }
    int64_t width() const { return components * (1 + features + moments()) + 1; }
};

// What encode needs; the first `active` components may be drawn. Numbers from `low` to `high` are those of the training
// range; the lower one is above the other where there was none.
struct EncodeTable {
    MixtureTable mixture;
    int active;
    double floor, limit;
    const double *widths, *codes;  // (active,): scale * sd, and the code in the onehot order
    double missing_code;
    const double* modal_codes;  // one a modal value
    double low, high;
};

// One mean, one width and one exact value a code; those of modal and missing ones have mean NaN and width 0, the exact
// value is NaN for the others.
struct DecodeTable {
    int codes;
    double scale, centre, limit;
    const double *means, *widths, *exact;  // (codes,)
    double low, high;                      // of values on a scale
};

struct Draw {
    uint64_t seed, column, first_row;
    const double* uniforms;  // one a row, or null: Philox
    bool most_probable;      // no draw at all
};

// Numbers of drawn rows: those given, or those that follow each other from the first one on.
struct RowNumbers {
    uint64_t first;
    const uint64_t* given;

    uint64_t of(int64_t row) const { return given ? given[row] : first + (uint64_t)row; }
};

// Rows of a sort, and the first of them.
struct Found {
    int64_t rows, first;
};

// Rows that the fit had not seen, but for those off the step; and the rows at the end of their mode, with their
// numbers, for which there is room for all rows of a call.
struct Unseen {
    Found infinite, missing, outside;  // of the training range
    int64_t at_end;
    int64_t* rows;
    double* numbers;
};

// A cell while rows are added: count * 2^42 + sum of positions, and the sum of their squares (top bit: cell is split).
struct Cell {
    uint64_t count_and_first, second;
};

// Where a midpoint between two centres divides a cell: rows with key >= midpoint belong to `upper`.
struct Split {
    uint64_t midpoint;
    uint32_t parent, upper;
};

struct GridTable {
    double scale, centre;
    const void* directory;  // 2^16 DirectoryEntry
    const Split* splits;    // ascending midpoints
    int64_t split_count;
    uint64_t hot_key;  // rows with this key are counted apart
};

struct Tally {
    int64_t missing, infinite;
    double minimum, maximum;
};

// Cells of a summary: their means, weights and scatters, or none.
struct CellTable {
    const double *mean, *weight, *scatter;
    int64_t count;

    int64_t chunks() const { return (count + CHUNK_ROWS - 1) / CHUNK_ROWS; }
};

struct EMState;  // and what it is made of: vgm_em.cuh
struct Posterior;
struct PriorTable;
struct Statistics;

constexpr int RULED_ROWS = 256;  // rows that rules are applied to at a time

// How values become numbers: scale(value - origin), NaN for modal ones. Those off a step are counted, by the bits of
// the column's precision (0 without a step).
struct RowRules {
    const double* modal;
    int modal_count, bits;
    double step, parts;
    int scale, exponent;  // a ScaleName
    double origin;
};

// `least` and `largest`: values, where these are not the numbers.
struct RowCounts {
    int64_t* modal;  // one a modal value
    Found off_step;
    double least, largest;
};

// Entries in blocks, and the shares that words draw them by; see Engine.draw_rows.
struct Lottery {
    int64_t entries, blocks;
    int steps;              // of a search: no block has 2^(steps + 1) entries or more
    const uint64_t* keys;   // (entries,)
    const int64_t* starts;  // (blocks + 1,)
};

// What rows of a column are drawn from, given the bins of its parents.
struct DrawnColumn {
    Lottery groups, inside, pieces;  // without blocks inside, the first one has bins; without any, rows do
    int64_t width, group_count;      // contexts of each bin of the first parent; groups of each context
    const int64_t* second;           // (bins of the second parent,)
    const double *low, *high;        // (pieces,)
};

struct HostKernels {
    // partials: (chunks, 3 * components + 1): sums of r, r d, r d^2 per component, then of log2 of the density.
    void (*e_step_rows)(const double* x, const double* weight, int64_t rows, const MixtureTable&, double* partials);
    void (*e_step_cells)(const double* mean, const double* weight, const double* scatter, int64_t cells,
                         const MixtureTable&, double* partials);
    void (*count_most_probable)(const double* x, const double* weight, int64_t rows, const MixtureTable&,
                                double* counts);
    // x: (rows, features), float or double by value_bytes. partials: (chunks, width): sums of r, of r d_i, of r d_i d_j
    // for i <= j (or of r d_i^2) per component, then of ln of the density.
    void (*e_step_features)(const void* x, int value_bytes, const double* weight, int64_t rows, const GaussianTable&,
                            double* partials);
    void (*log_prob)(const void* x, int value_bytes, int64_t rows, const GaussianTable&, double* density);
    // Rows from `start` to before `stop` of arrays; scalar: float or double by scalar_bytes; code: one or two bytes by
    // code_bytes.
    void (*encode)(const double* x, int64_t start, int64_t stop, const RowRules&, const EncodeTable&, const Draw&,
                   void* scalar, int scalar_bytes, void* code, int code_bytes, RowCounts*, Unseen*);
    // Returns the first row whose code does not exist, or -1; complete: whether no value is missing.
    int64_t (*decode)(const void* scalar, int scalar_bytes, const void* code, int code_bytes, int64_t rows,
                      const RowRules&, const DecodeTable&, double* value, bool* complete);
    // At most WINDOW_ROWS rows.
    void (*summarise)(const double* x, int64_t rows, const RowRules&, const GridTable&, Cell* cells, uint8_t* touched,
                      Tally*, RowCounts*);
    void (*log)(const double* x, int64_t rows, double* out);
    void (*exp)(const double* x, int64_t rows, double* out);
    void (*digamma)(const double* x, int64_t rows, double* out);
    void (*gammaln)(const double* x, int64_t rows, double* out);
    // Labels of the nearest centres; squares: of the centres. Returns whether a label changed.
    bool (*nearest_centres)(const double* x, int64_t rows, int features, const double* centres, const double* squares,
                            int components, int32_t* labels);
    // Both labels and sums of rows of one feature, none of which is larger than `largest`; counts: those of the labels.
    // sums: (components + SPARE,).
    bool (*label_and_sum)(const double* x, int64_t rows, const double* centres, const double* squares, int components,
                          double largest, int32_t* labels, int64_t* counts, double* sums);
    // Adds rows and their sum a centre; sums: (components, features).
    void (*sums_by_centre)(const double* x, int64_t rows, int features, const int32_t* labels, double* counts,
                           double* sums);
    // Squared distances to the nearest of some centres and one more; out: (count, stride), of which `rows` are written.
    void (*closer)(const double* x, const double* row_squares, int64_t rows, int features, const double* nearest,
                   const double* candidates, const double* squares, int count, double* out, int64_t stride);
    // first, second: bins of the parents, or null. codes: bins of the column.
    void (*draw_rows)(const DrawnColumn&, const uint16_t* first, const uint16_t* second, const RowNumbers&,
                      int64_t rows, uint64_t counter, uint64_t seed, uint16_t* codes, double* numbers);
    void (*find_bins)(const double* x, int64_t rows, const double* edges, int edge_count, const uint16_t* codes,
                      uint16_t* out);
    // EM over cells; see EM in vgm_em.cuh. room: (chunks, 3 K + 1).
    void (*em_step)(EMState&, const CellTable&, double* room);  // of plain EM
    void (*em_begin)(EMState&, const CellTable&, double* room);
    void (*em_iterate)(EMState&, const CellTable&, double least_gain, double* room);
    // Sums with a component cut in two, the upper half behind all others; see Statistics.split. out has one more.
    void (*em_split)(const Statistics& sums, int component, const Statistics& out);
    // The posterior of sums, and its bound. room: 6 K.
    double (*em_bound)(const PriorTable&, const Statistics&, const Posterior&, double* room);
};

}  // namespace gpuvgm
