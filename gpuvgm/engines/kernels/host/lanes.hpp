// Eight doubles that move together: one AVX-512 register, two AVX2 registers or as many scalars, with the same bits.
#pragma once
#include "../vgm_math.cuh"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace gpuvgm {
namespace {

// Lanes in flight in the row loops: enough independent chains to hide the latency of fma, few enough for the registers
// (a cell has more numbers than a row).
// A block of moments is MOMENT_BLOCK features by as many, with one Lanes a pair.
#if defined(__AVX512F__)
constexpr int E_STEP_TILE = 8, CELL_TILE = 4, DRAW_TILE = 4, PANEL_TILE = 4, MOMENT_BLOCK = 4;
#elif defined(__AVX2__)
constexpr int E_STEP_TILE = 4, CELL_TILE = 3, DRAW_TILE = 4, PANEL_TILE = 1, MOMENT_BLOCK = 3;
#else
constexpr int E_STEP_TILE = 1, CELL_TILE = 1, DRAW_TILE = 1, PANEL_TILE = 1, MOMENT_BLOCK = 1;
#endif

// ---- one register --------------------------------------------------------------------------------------------------

// Registers have + - * / of their own; without an instruction set that is known here, a register is one number.
#if defined(__AVX512F__)

struct Register {
    typedef __m512d type;
    static GPUVGM_FN type load(const double* p) { return _mm512_loadu_pd(p); }
    static GPUVGM_FN type load(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
    static GPUVGM_FN type splat(double a) { return _mm512_set1_pd(a); }
    static GPUVGM_FN void store(double* p, type a) { _mm512_storeu_pd(p, a); }
};
GPUVGM_FN __m512d fused(__m512d a, __m512d b, __m512d c) { return _mm512_fmadd_pd(a, b, c); }
GPUVGM_FN __m512d fused_minus(__m512d a, __m512d b, __m512d c) { return _mm512_fnmadd_pd(a, b, c); }
GPUVGM_FN __m512d maximum(__m512d a, __m512d b) { return _mm512_max_pd(a, b); }
GPUVGM_FN __m512d minimum(__m512d a, __m512d b) { return _mm512_min_pd(a, b); }
GPUVGM_FN __m512d magnitude(__m512d a) { return _mm512_abs_pd(a); }
GPUVGM_FN __m512d select_le(__m512d a, __m512d b, __m512d yes, __m512d no) {
    return _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, b, _CMP_LE_OQ), no, yes);
}
GPUVGM_FN __m512d count_le(__m512d a, __m512d b, __m512d count) {
    return _mm512_mask_add_pd(count, _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ), count, _mm512_set1_pd(1.0));
}
GPUVGM_FN __m512d round_even(__m512d a) { return _mm512_roundscale_pd(a, 0); }
GPUVGM_FN __m512d scale_by_power(__m512d a, __m512d k) { return _mm512_scalef_pd(a, k); }
GPUVGM_FN __m512d exponent_of(__m512d a) { return _mm512_getexp_pd(a); }
GPUVGM_FN __m512d mantissa_of(__m512d a) { return _mm512_getmant_pd(a, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_zero); }

#elif defined(__AVX2__)

struct Register {
    typedef __m256d type;
    static GPUVGM_FN type load(const double* p) { return _mm256_loadu_pd(p); }
    static GPUVGM_FN type load(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
    static GPUVGM_FN type splat(double a) { return _mm256_set1_pd(a); }
    static GPUVGM_FN void store(double* p, type a) { _mm256_storeu_pd(p, a); }
};
GPUVGM_FN __m256d fused(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }
GPUVGM_FN __m256d fused_minus(__m256d a, __m256d b, __m256d c) { return _mm256_fnmadd_pd(a, b, c); }
GPUVGM_FN __m256d maximum(__m256d a, __m256d b) { return _mm256_max_pd(a, b); }
GPUVGM_FN __m256d minimum(__m256d a, __m256d b) { return _mm256_min_pd(a, b); }
GPUVGM_FN __m256d magnitude(__m256d a) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a); }
GPUVGM_FN __m256d select_le(__m256d a, __m256d b, __m256d yes, __m256d no) {
    return _mm256_blendv_pd(no, yes, _mm256_cmp_pd(a, b, _CMP_LE_OQ));
}
GPUVGM_FN __m256d count_le(__m256d a, __m256d b, __m256d count) {
    return _mm256_add_pd(count, _mm256_and_pd(_mm256_cmp_pd(a, b, _CMP_LE_OQ), _mm256_set1_pd(1.0)));
}
GPUVGM_FN __m256d round_even(__m256d a) { return _mm256_round_pd(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
GPUVGM_FN __m256d scale_by_power(__m256d a, __m256d k) {
    const __m256i power = _mm256_castpd_si256(_mm256_add_pd(k, _mm256_set1_pd(6755399441055744.0)));
    return _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(a), _mm256_slli_epi64(power, 52)));
}
GPUVGM_FN __m256d exponent_of(__m256d a) {
    const __m256i magic = _mm256_set1_epi64x(0x4330000000000000ll);
    const __m256d raw = _mm256_castsi256_pd(_mm256_or_si256(_mm256_srli_epi64(_mm256_castpd_si256(a), 52), magic));
    return _mm256_sub_pd(raw, _mm256_set1_pd(4503599627370496.0 + 1023.0));
}
GPUVGM_FN __m256d mantissa_of(__m256d a) {
    const __m256d kept = _mm256_and_pd(a, _mm256_castsi256_pd(_mm256_set1_epi64x(0x000FFFFFFFFFFFFFll)));
    return _mm256_or_pd(kept, _mm256_set1_pd(1.0));
}

#else

struct Register {
    typedef double type;
    template <class From> static GPUVGM_FN double load(const From* p) { return *p; }
    static GPUVGM_FN double splat(double a) { return a; }
    static GPUVGM_FN void store(double* p, double a) { *p = a; }
};
GPUVGM_FN double count_le(double a, double b, double count) { return count + (a <= b); }

#endif

// ---- lanes ---------------------------------------------------------------------------------------------------------

struct Lanes {
    typedef Register::type Part;
    static constexpr int SIZE = 8, PARTS = 64 / sizeof(Part), STEP = SIZE / PARTS;

    Part part[PARTS];
};
constexpr int LANES = Lanes::SIZE;

// Lanes of what a function gives for each part; what a loop over one or two works on would lie in memory.
template <class Function> GPUVGM_FN Lanes by_part(Function part) {
    if constexpr (Lanes::PARTS == 1) {
        return {{part(0)}};
    } else if constexpr (Lanes::PARTS == 2) {
        return {{part(0), part(1)}};
    } else {
        Lanes out;
        for (int i = 0; i < out.PARTS; ++i) {
            out.part[i] = part(i);
        }
        return out;
    }
}
// Lanes of what a function of registers gives for those of others.
template <class Function, class... Others> GPUVGM_FN Lanes each(Function function, Lanes a, Others... others) {
    return by_part([&](int i) { return function(a.part[i], others.part[i]...); });
}

template <class From> GPUVGM_FN Lanes load(const From* p) {
    return by_part([&](int i) { return Register::load(p + i * Lanes::STEP); });
}
GPUVGM_FN void store(double* p, Lanes a) {
    if constexpr (a.PARTS == 2) {
        Register::store(p, a.part[0]);
        Register::store(p + a.STEP, a.part[1]);
    } else {
        for (int i = 0; i < a.PARTS; ++i) {
            Register::store(p + i * a.STEP, a.part[i]);
        }
    }
}
GPUVGM_FN Lanes splat(double a) {
    return by_part([&](int) { return Register::splat(a); });
}
template <> struct Splat<Lanes> {
    static GPUVGM_FN Lanes of(double a) { return splat(a); }
};

GPUVGM_FN Lanes operator+(Lanes a, Lanes b) {
    return each([](auto x, auto y) { return x + y; }, a, b);
}
GPUVGM_FN Lanes operator-(Lanes a, Lanes b) {
    return each([](auto x, auto y) { return x - y; }, a, b);
}
GPUVGM_FN Lanes operator*(Lanes a, Lanes b) {
    return each([](auto x, auto y) { return x * y; }, a, b);
}
GPUVGM_FN Lanes operator/(Lanes a, Lanes b) {
    return each([](auto x, auto y) { return x / y; }, a, b);
}
GPUVGM_FN Lanes operator-(Lanes a) {
    return each([](auto x) { return -x; }, a);
}
GPUVGM_FN Lanes fused(Lanes a, Lanes b, Lanes c) {
    return each([](auto... x) { return fused(x...); }, a, b, c);
}
GPUVGM_FN Lanes fused_minus(Lanes a, Lanes b, Lanes c) {
    return each([](auto... x) { return fused_minus(x...); }, a, b, c);
}
GPUVGM_FN Lanes maximum(Lanes a, Lanes b) {
    return each([](auto... x) { return maximum(x...); }, a, b);
}
GPUVGM_FN Lanes minimum(Lanes a, Lanes b) {
    return each([](auto... x) { return minimum(x...); }, a, b);
}
GPUVGM_FN Lanes magnitude(Lanes a) {
    return each([](auto x) { return magnitude(x); }, a);
}
GPUVGM_FN Lanes select_le(Lanes a, Lanes b, Lanes yes, Lanes no) {
    return each([](auto... x) { return select_le(x...); }, a, b, yes, no);
}
// One more where a <= b.
GPUVGM_FN Lanes count_le(Lanes a, Lanes b, Lanes count) {
    return each([](auto... x) { return count_le(x...); }, a, b, count);
}
GPUVGM_FN Lanes select_finite(Lanes a, Lanes yes, Lanes no) {
    return select_le(a - a, splat(0.0), yes, no);  // the difference is 0 or NaN
}
GPUVGM_FN Lanes round_even(Lanes a) {
    return each([](auto x) { return round_even(x); }, a);
}
GPUVGM_FN Lanes scale_by_power(Lanes a, Lanes k) {
    return each([](auto... x) { return scale_by_power(x...); }, a, k);
}
GPUVGM_FN Lanes exponent_of(Lanes a) {
    return each([](auto x) { return exponent_of(x); }, a);
}
GPUVGM_FN Lanes mantissa_of(Lanes a) {
    return each([](auto x) { return mantissa_of(x); }, a);
}

// ---- across lanes --------------------------------------------------------------------------------------------------

#if defined(__AVX512F__)

GPUVGM_FN bool any_above(Lanes a, double limit) {
    return _mm512_cmp_pd_mask(a.part[0], _mm512_set1_pd(limit), _CMP_GT_OQ) != 0;
}
// Columns 0, 2, 4, 6 of eight rows, of which each pair was interleaved.
GPUVGM_FN void interleave(__m512d a, __m512d b, __m512d c, __m512d d, Lanes* out) {
    const __m512d even0 = _mm512_shuffle_f64x2(a, b, 0x88), odd0 = _mm512_shuffle_f64x2(a, b, 0xDD);
    const __m512d even1 = _mm512_shuffle_f64x2(c, d, 0x88), odd1 = _mm512_shuffle_f64x2(c, d, 0xDD);
    out[0].part[0] = _mm512_shuffle_f64x2(even0, even1, 0x88);
    out[2].part[0] = _mm512_shuffle_f64x2(odd0, odd1, 0x88);
    out[4].part[0] = _mm512_shuffle_f64x2(even0, even1, 0xDD);
    out[6].part[0] = _mm512_shuffle_f64x2(odd0, odd1, 0xDD);
}
GPUVGM_FN void transpose(Lanes* a) {
    __m512d low[4], high[4];
    for (int p = 0; p < 4; ++p) {
        low[p] = _mm512_unpacklo_pd(a[2 * p].part[0], a[2 * p + 1].part[0]);
        high[p] = _mm512_unpackhi_pd(a[2 * p].part[0], a[2 * p + 1].part[0]);
    }
    interleave(low[0], low[1], low[2], low[3], a);
    interleave(high[0], high[1], high[2], high[3], a + 1);
}

#elif defined(__AVX2__)

GPUVGM_FN bool any_above(Lanes a, double limit) {
    const __m256d limits = _mm256_set1_pd(limit);
    const __m256d low = _mm256_cmp_pd(a.part[0], limits, _CMP_GT_OQ);
    return _mm256_movemask_pd(_mm256_or_pd(low, _mm256_cmp_pd(a.part[1], limits, _CMP_GT_OQ))) != 0;
}
GPUVGM_FN void transpose(__m256d& a, __m256d& b, __m256d& c, __m256d& d) {
    const __m256d low0 = _mm256_unpacklo_pd(a, b), high0 = _mm256_unpackhi_pd(a, b);
    const __m256d low1 = _mm256_unpacklo_pd(c, d), high1 = _mm256_unpackhi_pd(c, d);
    a = _mm256_permute2f128_pd(low0, low1, 0x20);
    b = _mm256_permute2f128_pd(high0, high1, 0x20);
    c = _mm256_permute2f128_pd(low0, low1, 0x31);
    d = _mm256_permute2f128_pd(high0, high1, 0x31);
}
GPUVGM_FN void transpose(Lanes* a) {
    for (int i = 0; i < LANES; i += 4) {
        transpose(a[i].part[0], a[i + 1].part[0], a[i + 2].part[0], a[i + 3].part[0]);
        transpose(a[i].part[1], a[i + 1].part[1], a[i + 2].part[1], a[i + 3].part[1]);
    }
    for (int i = 0; i < 4; ++i) {
        const __m256d corner = a[i].part[1];
        a[i].part[1] = a[i + 4].part[0];
        a[i + 4].part[0] = corner;
    }
}

#else

GPUVGM_FN bool any_above(Lanes a, double limit) {
    bool any = false;
    for (int l = 0; l < LANES; ++l) {
        any |= a.part[l] > limit;
    }
    return any;
}
GPUVGM_FN void transpose(Lanes* a) {
    for (int i = 0; i < LANES; ++i) {
        for (int l = i + 1; l < LANES; ++l) {
            const double corner = a[i].part[l];
            a[i].part[l] = a[l].part[i];
            a[l].part[i] = corner;
        }
    }
}

#endif

// Entries of a table by whole numbers below its size. Gathers take longer than loads one by one.
struct LookUp {
    const double* table;
#if defined(__AVX512F__)
    static constexpr int AT_ONCE = 2 * LANES;  // entries in registers
    bool is_short;
    __m512d first, second;

    LookUp(const double* entries, int size) : table(entries), is_short(size <= AT_ONCE) {
        const unsigned present = size < AT_ONCE ? (1u << size) - 1 : ~0u;
        first = _mm512_maskz_loadu_pd((__mmask8)present, entries);
        second = _mm512_maskz_loadu_pd((__mmask8)(present >> LANES), entries + LANES);
    }
    GPUVGM_FN Lanes at(__m512i index) const {
        return {{is_short ? _mm512_permutex2var_pd(first, index, second) : _mm512_i64gather_pd(index, table, 8)}};
    }
    GPUVGM_FN Lanes at(Lanes index) const { return at(_mm512_cvtpd_epi64(index.part[0])); }
    GPUVGM_FN Lanes at(const uint8_t* index) const {
        return at(_mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i*)index)));
    }
    GPUVGM_FN Lanes at(const uint16_t* index) const {
        return at(_mm512_cvtepu16_epi64(_mm_loadu_si128((const __m128i*)index)));
    }
#else
    LookUp(const double* entries, int) : table(entries) {}
    GPUVGM_FN Lanes at(Lanes index) const {
        double place[LANES];
        store(place, index);
        return at(place);
    }
    template <class Index> GPUVGM_FN Lanes at(const Index* index) const {
#if defined(__AVX2__)
        return by_part([&](int i) {
            const Index* four = index + i * Lanes::STEP;
            return _mm256_setr_pd(table[(int)four[0]], table[(int)four[1]], table[(int)four[2]], table[(int)four[3]]);
        });
#else
        return by_part([&](int i) { return table[(int)index[i]]; });
#endif
    }
#endif
};

// Sum over the lanes in one fixed tree.
GPUVGM_FN double sum_of(Lanes a) {
    double v[LANES];
    store(v, a);
    return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]));
}

// sum_of each of eight, in the same tree; `a` is used up.
GPUVGM_FN Lanes sums_of(Lanes* a) {
    transpose(a);
    return ((a[0] + a[1]) + (a[2] + a[3])) + ((a[4] + a[5]) + (a[6] + a[7]));
}

}  // namespace
}  // namespace gpuvgm
