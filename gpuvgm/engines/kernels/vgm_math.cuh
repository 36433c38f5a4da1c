// Row formulas of mode-specific normalisation, for every compiler that runs them.
//
// The host engine instantiates the templates with Lanes (eight doubles that move together, lanes.hpp) and with double;
// CUDA instantiates them with double. Only + - * /, comparisons, integer operations and explicit fma are used, so that
// every instruction set and device computes the same bits (compile with -ffp-contract=off or --fmad=false).
// Logarithms and exponentials are to base 2: the range reduction is then exact.
#pragma once

#if defined(__CUDACC__)
#define GPUVGM_FN __device__ __forceinline__
#define GPUVGM_CALL __device__ inline
#else
#define GPUVGM_FN inline __attribute__((always_inline))
#define GPUVGM_CALL inline
#endif

// Where the words of a double are registers of their own, some tests of it are cheaper as tests of words.
#if defined(__CUDACC__) || defined(GPUVGM_EMULATED)
#define GPUVGM_WORDS
#endif

namespace gpuvgm {
namespace {  // internal linkage: each instruction set keeps its own copy

typedef unsigned long long u64;
typedef long long i64;
typedef unsigned int u32;

// ---- double as one lane: the primitives that a type needs before it can take part in the formulas ----------------

#if defined(__CUDACC__)
GPUVGM_FN i64 as_bits(double a) { return __double_as_longlong(a); }
GPUVGM_FN double from_bits(i64 a) { return __longlong_as_double(a); }
GPUVGM_FN double fused(double a, double b, double c) { return fma(a, b, c); }
#else
GPUVGM_FN i64 as_bits(double a) {
    i64 bits;
    __builtin_memcpy(&bits, &a, 8);
    return bits;
}
GPUVGM_FN double from_bits(i64 bits) {
    double a;
    __builtin_memcpy(&a, &bits, 8);
    return a;
}
GPUVGM_FN double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }
#endif

GPUVGM_FN double fused_minus(double a, double b, double c) { return fused(-a, b, c); }  // c - a b

// Numbers widen exactly, and narrow to the nearest float: plain conversions flush subnormal floats where kernels are
// compiled with -ftz=true.
GPUVGM_FN double widened(double a) { return a; }
#if defined(__CUDACC__)
GPUVGM_FN double widened(float a) {
    double wide;
    asm("cvt.f64.f32 %0, %1;" : "=d"(wide) : "f"(a));
    return wide;
}
GPUVGM_FN float narrowed(double a) {
    float narrow;
    asm("cvt.rn.f32.f64 %0, %1;" : "=f"(narrow) : "d"(a));
    return narrow;
}
#else
GPUVGM_FN double widened(float a) { return (double)a; }
GPUVGM_FN float narrowed(double a) { return (float)a; }
#endif

template <class Real> struct Splat;  // how a Real is made of one double
template <> struct Splat<double> {
    static GPUVGM_FN double of(double a) { return a; }
};

GPUVGM_FN double maximum(double a, double b) { return a > b ? a : b; }
GPUVGM_FN double minimum(double a, double b) { return a < b ? a : b; }
GPUVGM_FN double select_le(double a, double b, double yes, double no) { return a <= b ? yes : no; }
#if defined(GPUVGM_WORDS)
GPUVGM_FN double select_finite(double a, double yes, double no) {
    return (__double2hiint(a) & 0x7FF00000) != 0x7FF00000 ? yes : no;
}
#else
GPUVGM_FN double select_finite(double a, double yes, double no) { return a - a == 0.0 ? yes : no; }
#endif
GPUVGM_FN double magnitude(double a) { return from_bits(as_bits(a) & 0x7FFFFFFFFFFFFFFFll); }

// 1.5 * 2^52: adding it rounds to an integer (ties to even) and leaves that integer in the low bits.
GPUVGM_FN double round_even(double a) { return (a + 6755399441055744.0) - 6755399441055744.0; }
// a * 2^k for an integral k that keeps the result normal.
GPUVGM_FN double scale_by_power(double a, double k) {
    return from_bits(as_bits(a) + (i64)((u64)as_bits(k + 6755399441055744.0) << 52));
}
// Exponent and mantissa in [1, 2) of a positive normal number.
GPUVGM_FN double exponent_of(double a) {
    return from_bits((as_bits(a) >> 52) | 0x4330000000000000ll) - (4503599627370496.0 + 1023.0);
}
GPUVGM_FN double mantissa_of(double a) { return from_bits((as_bits(a) & 0x000FFFFFFFFFFFFFll) | 0x3FF0000000000000ll); }

// ---- exponential and logarithm -------------------------------------------------------------------------------------

// 2^r on [-1/2, 1/2], to 1.4e-14 of itself; responsibilities and draws need no more. Minimax polynomial of degree 9 for
// the relative error (Remez exchange in 200 bits); each degree costs the row loops 6 % of their time.
template <class Real> GPUVGM_FN Real exp2_polynomial(Real r) {
    typedef Splat<Real> S;
    Real p = fused(S::of(1.0150336495148618e-07), r, S::of(1.3259405603573696e-06));
    p = fused(p, r, S::of(1.5252984839814557e-05));
    p = fused(p, r, S::of(0.00015403434948103528));
    p = fused(p, r, S::of(0.0013333557617602426));
    p = fused(p, r, S::of(0.009618129192067193));
    p = fused(p, r, S::of(0.055504108668685624));
    p = fused(p, r, S::of(0.24022650695649653));
    p = fused(p, r, S::of(0.693147180559871));
    return fused(p, r, S::of(1.0000000000000127));
}

// 2^t for t <= 0. Below -1020 the result is 2^-1020, which no sum of a double notices.
template <class Real> GPUVGM_FN Real exp2_nonpositive(Real t) {
    t = maximum(t, Splat<Real>::of(-1020.0));
    const Real k = round_even(t);
    return scale_by_power(exp2_polynomial(t - k), k);
}

#if defined(GPUVGM_WORDS)
// The same bits with two FP64 instructions less: the limit is compared by the upper word, and the sum that rounds t
// holds the exponent in its lower one.
template <> GPUVGM_FN double exp2_nonpositive<double>(double t) {
    t = (u32)__double2hiint(t) >= 0xC08FE000u ? -1020.0 : t;
    const double shifted = t + 6755399441055744.0;
    const double p = exp2_polynomial(t - (shifted - 6755399441055744.0));
    return from_bits(as_bits(p) + ((i64)(u32)__double2loint(shifted) << 52));
}
#endif

// The part of a cell's rows that a component has: its density relative to the largest, over the sum of all. The least
// is 2^-500, which no sum notices: products of less with the cell's scatter are subnormal, which takes processors
// thirty times as long, and most components have less of most cells.
constexpr double LEAST_OF_CELL = 0x1p-500;
template <class Real> GPUVGM_FN Real share_of_cell(Real relative, Real share) {
    return maximum(relative, Splat<Real>::of(LEAST_OF_CELL)) * share;
}

// log2 of a positive normal number: exponent plus (2 / ln 2) artanh((m - 1) / (m + 1)) with m in [1/sqrt 2, sqrt 2].
template <class Real> GPUVGM_FN Real log2_positive(Real a) {
    typedef Splat<Real> S;
    Real k = exponent_of(a), m = mantissa_of(a);
    const Real root = S::of(1.4142135623730951), one = S::of(1.0);
    k = select_le(m, root, k, k + one);
    m = select_le(m, root, m, m * S::of(0.5));
    const Real f = (m - one) / (m + one), q = f * f;
    Real p = fused(S::of(1.0 / 21), q, S::of(1.0 / 19));
    p = fused(p, q, S::of(1.0 / 17));
    p = fused(p, q, S::of(1.0 / 15));
    p = fused(p, q, S::of(1.0 / 13));
    p = fused(p, q, S::of(1.0 / 11));
    p = fused(p, q, S::of(1.0 / 9));
    p = fused(p, q, S::of(1.0 / 7));
    p = fused(p, q, S::of(1.0 / 5));
    p = fused(p, q, S::of(1.0 / 3));
    p = fused(p, q, one);
    return fused(f * S::of(2.8853900817779268), p, k);
}

// ---- the mixture ---------------------------------------------------------------------------------------------------

// What counts as the largest log density where none is above it: for draws, and for the most probable mode.
constexpr double LOWEST_DRAWN = -1e300, LOWEST = -1.7976931348623157e308;

// log2 of weight times density at deviation d from the mean: coefficient - half_precision d^2, both to base 2.
template <class Real> GPUVGM_FN Real log_density(Real deviation, Real half_precision, Real coefficient) {
    return fused_minus(half_precision * deviation, deviation, coefficient);
}

// Where the running sums of a draw are cut: u times the probability of the active components, each with `floor` added.
template <class Real> GPUVGM_FN Real threshold_of(Real uniform, Real active, Real floor, Real active_sum) {
    return uniform * fused(active, floor, active_sum);
}

// A position within a mode, kept within +-limit; what float32 cannot hold as a normal number is 0.
template <class Real> GPUVGM_FN Real kept_position(Real position, Real limit) {
    typedef Splat<Real> S;
    const Real z = minimum(maximum(position, -limit), limit);
    return select_le(S::of(1.1754943508222875e-38), magnitude(z), z, S::of(0.0));
}
template <class Real> GPUVGM_FN Real position_in_mode(Real deviation, Real width, Real limit) {
    return kept_position(deviation / width, limit);
}

// The way back: scalar within +-limit, times width, plus mean. NaN stays NaN: the comparisons keep their second
// operand.
template <class Real> GPUVGM_FN Real value_of_position(Real scalar, Real mean, Real width, Real limit) {
    return fused(minimum(limit, maximum(-limit, scalar)), width, mean);
}

// ---- randomness ----------------------------------------------------------------------------------------------------

// Philox4x32-10 (Salmon et al. 2011): four words for counter (counter, column), key = seed.
GPUVGM_FN void philox(u64 counter, u64 column, u64 seed, u32* words) {
    u32 c0 = (u32)counter, c1 = (u32)(counter >> 32), c2 = (u32)column, c3 = (u32)(column >> 32);
    u32 k0 = (u32)seed, k1 = (u32)(seed >> 32);
    for (int round = 0; round < 10; ++round) {
        const u64 p0 = (u64)0xD2511F53u * c0, p1 = (u64)0xCD9E8D57u * c2;
        c0 = (u32)(p1 >> 32) ^ c1 ^ k0;
        c2 = (u32)(p0 >> 32) ^ c3 ^ k1;
        c1 = (u32)p1;
        c3 = (u32)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
}

// The uniform of a word: the middle of its 2^-32 wide interval, never 0 and never 1.
GPUVGM_FN double uniform_of(u32 word) { return ((double)word + 0.5) * 2.3283064365386963e-10; }

// ---- the grid ------------------------------------------------------------------------------------------------------

// Bits of a double as an unsigned number whose order is the order of the numbers.
GPUVGM_FN u64 ordered_key(double y) {
    const i64 bits = as_bits(y);
    return (u64)(bits ^ ((bits >> 63) | (i64)0x8000000000000000ull));
}

// One of the 2^16 entries of the grid's directory, found by the top 16 bits of the key: `last` + 1 inner cells of
// 2^(drop + bits) keys from `start` on, numbered from `first`; positions inside a cell are counted in units of 2^drop.
struct DirectoryEntry {
    u64 start;
    u32 first;
    unsigned short last;
    unsigned char drop;
    unsigned char bits;
};

// Outer cells, where no window lies: 64 an entry, 2^42 keys wide, positions of 20 bits.
GPUVGM_FN u64 outer_cell(u64 key) { return key >> 42; }
GPUVGM_FN u64 outer_position(u64 key) { return (key >> 22) & 0xFFFFFu; }

}  // namespace
}  // namespace gpuvgm
