// 2^t for t <= 0 with less arithmetic than exp2_nonpositive, for sums that are compared by tolerance:
//
//     t = k + j / 64 + r with |r| <= 1/128,   2^t = 2^k 2^(j/64) (1 + r p(r))
//
// The 64 powers lie in shared memory, COPIES times, so that sixteen threads never wait for one bank.
#pragma once
#include "../vgm_math.cuh"
#include "block.cuh"

namespace gpuvgm {
namespace {

constexpr int POWERS = 64;
constexpr int COPIES = 16;

// 2^(j / 64), rounded to nearest.
GPUVGM_CONSTANT double powers_of_two[POWERS] = {0x1p0,
                                                0x1.02c9a3e778061p0,
                                                0x1.059b0d3158574p0,
                                                0x1.0874518759bc8p0,
                                                0x1.0b5586cf9890fp0,
                                                0x1.0e3ec32d3d1a2p0,
                                                0x1.11301d0125b51p0,
                                                0x1.1429aaea92de0p0,
                                                0x1.172b83c7d517bp0,
                                                0x1.1a35beb6fcb75p0,
                                                0x1.1d4873168b9aap0,
                                                0x1.2063b88628cd6p0,
                                                0x1.2387a6e756238p0,
                                                0x1.26b4565e27cddp0,
                                                0x1.29e9df51fdee1p0,
                                                0x1.2d285a6e4030bp0,
                                                0x1.306fe0a31b715p0,
                                                0x1.33c08b26416ffp0,
                                                0x1.371a7373aa9cbp0,
                                                0x1.3a7db34e59ff7p0,
                                                0x1.3dea64c123422p0,
                                                0x1.4160a21f72e2ap0,
                                                0x1.44e086061892dp0,
                                                0x1.486a2b5c13cd0p0,
                                                0x1.4bfdad5362a27p0,
                                                0x1.4f9b2769d2ca7p0,
                                                0x1.5342b569d4f82p0,
                                                0x1.56f4736b527dap0,
                                                0x1.5ab07dd485429p0,
                                                0x1.5e76f15ad2148p0,
                                                0x1.6247eb03a5585p0,
                                                0x1.6623882552225p0,
                                                0x1.6a09e667f3bcdp0,
                                                0x1.6dfb23c651a2fp0,
                                                0x1.71f75e8ec5f74p0,
                                                0x1.75feb564267c9p0,
                                                0x1.7a11473eb0187p0,
                                                0x1.7e2f336cf4e62p0,
                                                0x1.82589994cce13p0,
                                                0x1.868d99b4492edp0,
                                                0x1.8ace5422aa0dbp0,
                                                0x1.8f1ae99157736p0,
                                                0x1.93737b0cdc5e5p0,
                                                0x1.97d829fde4e50p0,
                                                0x1.9c49182a3f090p0,
                                                0x1.a0c667b5de565p0,
                                                0x1.a5503b23e255dp0,
                                                0x1.a9e6b5579fdbfp0,
                                                0x1.ae89f995ad3adp0,
                                                0x1.b33a2b84f15fbp0,
                                                0x1.b7f76f2fb5e47p0,
                                                0x1.bcc1e904bc1d2p0,
                                                0x1.c199bdd85529cp0,
                                                0x1.c67f12e57d14bp0,
                                                0x1.cb720dcef9069p0,
                                                0x1.d072d4a07897cp0,
                                                0x1.d5818dcfba487p0,
                                                0x1.da9e603db3285p0,
                                                0x1.dfc97337b9b5fp0,
                                                0x1.e502ee78b3ff6p0,
                                                0x1.ea4afa2a490dap0,
                                                0x1.efa1bee615a27p0,
                                                0x1.f50765b6e4540p0,
                                                0x1.fa7c1819e90d8p0};

// Fills `table`, POWERS * COPIES shared doubles; there must be a barrier before it is used.
template <int THREADS> GPUVGM_FN void fill_powers(double* table) {
    static_assert(POWERS * COPIES % THREADS == 0, "every thread fills as many");
#pragma unroll 1
    for (int turn = 0; turn < POWERS * COPIES / THREADS; ++turn) {
        const int i = turn * THREADS + (int)threadIdx.x;
        table[i] = powers_of_two[i / COPIES];
    }
}

// Bytes from a power to the thread's own copy of it. The compiler must not know them, or it makes two additions of one.
GPUVGM_FN u32 own_copy() {
    u32 bytes = threadIdx.x % COPIES * (u32)sizeof(double);
    GPUVGM_OPAQUE(bytes);
    return bytes;
}

// A double from its upper and lower half.
GPUVGM_FN double from_halves(u32 high, u32 low) { return from_bits((i64)((u64)high << 32 | low)); }

// The upper half of a double t <= 0, of -1020 where t is below that. Read as floats, upper halves have the order of
// their doubles, or are NaN below -2^1016; a comparison of floats is one instruction.
GPUVGM_FN u32 kept_half(u32 high) {
#if defined(__CUDACC__)
    return __float_as_uint(fmaxf(__uint_as_float(high), __uint_as_float(0xC08FE000u)));
#else
    const u32 least = 0xC08FE000u;
    return high < least ? high : least;
#endif
}

// 2^t for t <= 0 to 2.6e-15 of itself, exact where t is a multiple of 1/64. Below -1020 the result is near 2^-1020. The
// polynomial goes through 2^r - 1 at the nodes of Chebyshev's polynomial of degree 5. table: the powers; copy:
// own_copy().
GPUVGM_FN double exp2_by_table(double t, const double* table, u32 copy) {
    const double shift = 105553116266496.0;  // 1.5 * 2^46: adding it rounds to a multiple of 1/64
    const u64 bits = (u64)as_bits(t);
    t = from_halves(kept_half((u32)(bits >> 32)), (u32)bits);
    const double shifted = t + shift;
    const u32 steps = (u32)as_bits(shifted);  // 64 k + j
    const double r = t - (shifted - shift);
    const double* at = (const double*)((const char*)table + (steps % POWERS * (COPIES * sizeof(double)) + copy));
    const u64 power_bits = (u64)as_bits(*at);
    const u32 raised = (u32)(power_bits >> 32) + steps / POWERS * POWERS * 16384;  // k added to the exponent
    const double power = from_halves(raised, (u32)power_bits);
    double p = fused(0.009618140859595685, r, 0.05550421039186821);
    p = fused(p, r, 0.2402265069589214);
    p = fused(p, r, 0.6931471805583931);
    return fused(power, p * r, power);
}

}  // namespace
}  // namespace gpuvgm
