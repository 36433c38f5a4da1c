// What every instruction of PTX does, one line each: the name with its modifiers, and the effect. D is the result, A,
// B, C and E are the operands. Floating-point arithmetic is the host's, which is IEEE's: rounded once to the nearest,
// in the type of the instruction, and fused only where it says fma. With .ftz, subnormal operands and results are 0.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "machine.hpp"

namespace {

template <class To, class From> To bits_of(From a) {
    static_assert(sizeof(To) == sizeof(From), "");
    To bits;
    std::memcpy(&bits, &a, sizeof bits);
    return bits;
}

float flushed(float a) { return std::fabs(a) < 1.17549435e-38f ? std::copysign(0.0f, a) : a; }
// What float32 instructions give: their NaN has always the same bits.
float canonical(float a) { return a != a ? bits_of<float>(0x7FFFFFFFu) : a; }

template <class T> bool ordered(T a, T b) { return a == a && b == b; }
template <class T> T lesser(T a, T b) {
    return a != a ? b : b != b ? a : a == b ? (std::signbit(a) ? a : b) : std::min(a, b);
}
template <class T> T greater(T a, T b) {
    return a != a ? b : b != b ? a : a == b ? (std::signbit(a) ? b : a) : std::max(a, b);
}

// A whole number towards zero, as near as the type comes to it. NaN gives 0 from float32, the highest bit from float64.
template <class To, class From> To whole(Thread& thread, From a) {
    if (a != a) {
        thread.fault(NAN_TO_INTEGER);
        return sizeof(From) == 8 ? (To)((uint32_t)1 << 31) : 0;
    }
    const double low = (double)std::numeric_limits<To>::min(), high = (double)std::numeric_limits<To>::max();
    return (To)std::trunc(std::min(std::max((double)a, low), high));
}

// The lowest number over -1 is itself, since the result has no room for one more bit.
template <class T> T quotient(Thread& thread, T a, T b) {
    if (b == 0) {
        thread.fail(DIVISION_BY_ZERO);
        return 0;
    }
    return b == (T)-1 && std::numeric_limits<T>::is_signed ? (T)(0 - (uint64_t)a) : (T)(a / b);
}
template <class T> T remainder(Thread& thread, T a, T b) {
    return (T)((uint64_t)a - (uint64_t)quotient(thread, a, b) * (uint64_t)b);
}

uint64_t inserted(uint64_t a, uint64_t into, uint32_t at, uint32_t count, uint32_t width) {
    if (at >= width || count == 0) {
        return into;
    }
    count = std::min(count, width - at);
    const uint64_t mask = (count == 64 ? ~(uint64_t)0 : ((uint64_t)1 << count) - 1) << at;
    return (into & ~mask) | ((a << at) & mask);
}

// A field of bits, extended by its highest one that the number has if it is signed.
template <class T> T extracted(T a, uint32_t at, uint32_t count) {
    const uint32_t width = 8 * sizeof(T), end = std::min(at + count, width);
    if (count == 0) {
        return 0;
    }
    if (at >= width) {
        return a < 0 ? (T)-1 : 0;
    }
    const uint32_t unused = width - (end - at);
    return (T)((T)((uint64_t)a << (width - end)) >> unused);
}

uint32_t permuted(uint32_t a, uint32_t b, uint32_t selector) {
    const uint64_t both = (uint64_t)b << 32 | a;
    uint32_t result = 0;
    for (uint32_t n = 0; n < 4; ++n) {
        const uint32_t choice = selector >> 4 * n & 15, byte = both >> 8 * (choice & 7) & 255;
        result |= ((choice & 8) == 0 ? byte : byte & 128 ? 255u : 0u) << 8 * n;
    }
    return result;
}

uint64_t pair(uint32_t low, uint32_t high) { return (uint64_t)high << 32 | low; }

// Which way an approximate result departs from the nearest one: for one input always the same, as on a device.
int direction(const Thread& thread, uint64_t bits) {
    return thread.approximation == ANY ? (int)((bits * 0x9E3779B97F4A7C15u >> 33) % 3) - 1 : thread.approximation;
}

// From and to the upper word alone, one unit of it away at most; what is subnormal is 0.
double about_reciprocal(const Thread& thread, double a) {
    const uint64_t upper = 0xFFFFFFFF00000000u, sign = 0x8000000000000000u, exponent = 0x7FF0000000000000u;
    const auto cut = [=](uint64_t bits) { return bits & ((bits & exponent) == 0 ? sign : upper); };
    const double result = 1.0 / bits_of<double>(cut(bits_of<uint64_t>(a)));
    uint64_t bits = bits_of<uint64_t>(result) & upper;
    if (std::isnormal(result)) {
        bits += (uint64_t)(int64_t)direction(thread, bits) << 32;
    }
    return bits_of<double>(cut(bits));
}

struct Rule {
    const char* name;
    void (*run)(Thread& thread, Instruction& i);
};

#define D r[i.results[0]]
#define A r[i.a]
#define B r[i.b]
#define C r[i.c]
#define E r[i.e]
#define RULE(name, ...)                              \
    {name, [](Thread& thread, Instruction& i) {      \
         Word* const r = thread.registers;           \
         (void)r, (void)i, (void)thread;             \
         __VA_ARGS__;                                \
     }},

#define FLOAT(result) D.f32 = canonical(flushed(result))
#define FA flushed(A.f32)
#define FB flushed(B.f32)
#define FC flushed(C.f32)

#define COMPARISONS(type, a, b)                                                                      \
    RULE("setp.eq." type, D.p = a == b)                                                              \
    RULE("setp.ne." type, D.p = a != b && ordered(a, b))                                             \
    RULE("setp.lt." type, D.p = a < b)                                                               \
    RULE("setp.le." type, D.p = a <= b)                                                              \
    RULE("setp.gt." type, D.p = a > b)                                                               \
    RULE("setp.ge." type, D.p = a >= b)
#define COMPARISONS_WITH_NAN(type, a, b)                                                             \
    RULE("setp.equ." type, D.p = a == b || !ordered(a, b))                                           \
    RULE("setp.neu." type, D.p = a != b)                                                             \
    RULE("setp.ltu." type, D.p = !(a >= b))                                                          \
    RULE("setp.leu." type, D.p = !(a > b))                                                           \
    RULE("setp.gtu." type, D.p = !(a <= b))                                                          \
    RULE("setp.geu." type, D.p = !(a < b))                                                           \
    RULE("setp.num." type, D.p = ordered(a, b))                                                      \
    RULE("setp.nan." type, D.p = !ordered(a, b))

// Sums and products of signed numbers have the bits of unsigned ones.
#define INTEGERS(n)                                                                                  \
    RULE("add.s" #n, D.u##n = (uint##n##_t)(A.u##n + B.u##n))                                        \
    RULE("add.u" #n, D.u##n = (uint##n##_t)(A.u##n + B.u##n))                                        \
    RULE("sub.s" #n, D.u##n = (uint##n##_t)(A.u##n - B.u##n))                                        \
    RULE("sub.u" #n, D.u##n = (uint##n##_t)(A.u##n - B.u##n))                                        \
    RULE("mul.lo.s" #n, D.u##n = (uint##n##_t)((uint64_t)A.u##n * B.u##n))                           \
    RULE("mul.lo.u" #n, D.u##n = (uint##n##_t)((uint64_t)A.u##n * B.u##n))                           \
    RULE("mad.lo.s" #n, D.u##n = (uint##n##_t)((uint64_t)A.u##n * B.u##n + C.u##n))                  \
    RULE("mad.lo.u" #n, D.u##n = (uint##n##_t)((uint64_t)A.u##n * B.u##n + C.u##n))                  \
    RULE("neg.s" #n, D.u##n = (uint##n##_t)(0 - A.u##n))                                             \
    RULE("and.b" #n, D.u##n = A.u##n & B.u##n)                                                       \
    RULE("or.b" #n, D.u##n = A.u##n | B.u##n)                                                        \
    RULE("xor.b" #n, D.u##n = A.u##n ^ B.u##n)                                                       \
    RULE("not.b" #n, D.u##n = (uint##n##_t)~A.u##n)                                                  \
    RULE("min.s" #n, D.s##n = std::min(A.s##n, B.s##n))                                              \
    RULE("max.s" #n, D.s##n = std::max(A.s##n, B.s##n))                                              \
    RULE("min.u" #n, D.u##n = std::min(A.u##n, B.u##n))                                              \
    RULE("max.u" #n, D.u##n = std::max(A.u##n, B.u##n))                                              \
    RULE("shl.b" #n, D.u##n = B.u32 < n ? (uint##n##_t)(A.u##n << B.u32) : 0)                        \
    RULE("shr.u" #n, D.u##n = B.u32 < n ? (uint##n##_t)(A.u##n >> B.u32) : 0)                        \
    RULE("shr.s" #n, D.s##n = (int##n##_t)(A.s##n >> std::min(B.u32, n - 1u)))                       \
    RULE("selp.b" #n, D.u##n = C.p & 1 ? A.u##n : B.u##n)                                            \
    RULE("selp.u" #n, D.u##n = C.p & 1 ? A.u##n : B.u##n)                                            \
    RULE("selp.s" #n, D.u##n = C.p & 1 ? A.u##n : B.u##n)                                            \
    RULE("mov.b" #n, D.u##n = A.u##n)                                                                \
    RULE("mov.u" #n, D.u##n = A.u##n)                                                                \
    RULE("mov.s" #n, D.u##n = A.u##n)                                                                \
    RULE("setp.eq.b" #n, D.p = A.u##n == B.u##n)                                                     \
    RULE("setp.ne.b" #n, D.p = A.u##n != B.u##n)                                                     \
    COMPARISONS("s" #n, A.s##n, B.s##n)                                                              \
    COMPARISONS("u" #n, A.u##n, B.u##n)
#define QUOTIENTS(type)                                                                              \
    RULE("div." #type, D.type = quotient(thread, A.type, B.type))                                    \
    RULE("rem." #type, D.type = remainder(thread, A.type, B.type))

const Rule RULES[] = {
    // clang-format off
    INTEGERS(16)
    INTEGERS(32)
    INTEGERS(64)
    QUOTIENTS(s32)
    QUOTIENTS(u32)
    QUOTIENTS(s64)
    QUOTIENTS(u64)
    RULE("mul.wide.s16", D.s32 = (int32_t)A.s16 * B.s16)
    RULE("mul.wide.u16", D.u32 = (uint32_t)A.u16 * B.u16)
    RULE("mul.wide.s32", D.s64 = (int64_t)A.s32 * B.s32)
    RULE("mul.wide.u32", D.u64 = (uint64_t)A.u32 * B.u32)
    RULE("mad.wide.s32", D.u64 = (uint64_t)((int64_t)A.s32 * B.s32) + C.u64)
    RULE("mad.wide.u32", D.u64 = (uint64_t)A.u32 * B.u32 + C.u64)
    RULE("mul.hi.s16", D.s16 = (int16_t)((int32_t)A.s16 * B.s16 >> 16))
    RULE("mul.hi.u16", D.u16 = (uint16_t)((uint32_t)A.u16 * B.u16 >> 16))
    RULE("mul.hi.s32", D.s32 = (int32_t)((int64_t)A.s32 * B.s32 >> 32))
    RULE("mul.hi.u32", D.u32 = (uint32_t)((uint64_t)A.u32 * B.u32 >> 32))
    RULE("abs.s64", D.u64 = A.s64 < 0 ? 0 - A.u64 : A.u64)
    RULE("mul.hi.s64", D.s64 = (int64_t)((__int128)A.s64 * B.s64 >> 64))
    RULE("mul.hi.u64", D.u64 = (uint64_t)((unsigned __int128)A.u64 * B.u64 >> 64))
    RULE("bfe.u32", D.u32 = extracted(A.u32, B.u32 & 255, C.u32 & 255))
    RULE("bfe.s32", D.s32 = extracted(A.s32, B.u32 & 255, C.u32 & 255))
    RULE("bfe.u64", D.u64 = extracted(A.u64, B.u32 & 255, C.u32 & 255))
    RULE("bfe.s64", D.s64 = extracted(A.s64, B.u32 & 255, C.u32 & 255))
    RULE("bfi.b32", D.u32 = (uint32_t)inserted(A.u32, B.u32, C.u32 & 255, E.u32 & 255, 32))
    RULE("bfi.b64", D.u64 = inserted(A.u64, B.u64, C.u32 & 255, E.u32 & 255, 64))
    RULE("prmt.b32", D.u32 = permuted(A.u32, B.u32, C.u32))
    RULE("shf.l.wrap.b32", D.u32 = (uint32_t)(pair(A.u32, B.u32) << (C.u32 & 31) >> 32))
    RULE("shf.r.wrap.b32", D.u32 = (uint32_t)(pair(A.u32, B.u32) >> (C.u32 & 31)))
    RULE("mov.b64 pack", D.u64 = pair(A.u32, B.u32))
    RULE("mov.b64 unpack", const uint64_t both = A.u64; D.u32 = (uint32_t)both; r[i.results[1]].u32 = both >> 32)

    RULE("and.pred", D.p = A.p & B.p & 1)
    RULE("or.pred", D.p = (A.p | B.p) & 1)
    RULE("xor.pred", D.p = (A.p ^ B.p) & 1)
    RULE("not.pred", D.p = ~A.p & 1)
    RULE("mov.pred", D.p = A.p & 1)

    RULE("add.f64", D.f64 = A.f64 + B.f64)
    RULE("sub.f64", D.f64 = A.f64 - B.f64)
    RULE("mul.f64", D.f64 = A.f64 * B.f64)
    RULE("add.rn.f64", D.f64 = A.f64 + B.f64)
    RULE("sub.rn.f64", D.f64 = A.f64 - B.f64)
    RULE("mul.rn.f64", D.f64 = A.f64 * B.f64)
    RULE("div.rn.f64", D.f64 = A.f64 / B.f64)
    RULE("fma.rn.f64", D.f64 = std::fma(A.f64, B.f64, C.f64))
    RULE("rcp.rn.f64", D.f64 = 1.0 / A.f64)
    RULE("sqrt.rn.f64", D.f64 = std::sqrt(A.f64))
    RULE("neg.f64", D.u64 = A.u64 ^ (uint64_t)1 << 63)
    RULE("abs.f64", D.u64 = A.u64 & ~((uint64_t)1 << 63))
    RULE("copysign.f64", D.u64 = (A.u64 & (uint64_t)1 << 63) | (B.u64 & ~((uint64_t)1 << 63)))
    RULE("min.f64", D.f64 = lesser(A.f64, B.f64))
    RULE("max.f64", D.f64 = greater(A.f64, B.f64))
    RULE("selp.f64", D.u64 = C.p & 1 ? A.u64 : B.u64)
    RULE("mov.f64", D.u64 = A.u64)
    COMPARISONS("f64", A.f64, B.f64)
    COMPARISONS_WITH_NAN("f64", A.f64, B.f64)

    RULE("add.ftz.f32", FLOAT(FA + FB))
    RULE("sub.ftz.f32", FLOAT(FA - FB))
    RULE("mul.ftz.f32", FLOAT(FA * FB))
    RULE("add.rn.ftz.f32", FLOAT(FA + FB))
    RULE("sub.rn.ftz.f32", FLOAT(FA - FB))
    RULE("mul.rn.ftz.f32", FLOAT(FA * FB))
    RULE("div.rn.ftz.f32", FLOAT(FA / FB))
    RULE("fma.rn.ftz.f32", FLOAT(std::fma(FA, FB, FC)))
    RULE("rcp.rn.ftz.f32", FLOAT(1.0f / FA))
    RULE("sqrt.rn.ftz.f32", FLOAT(std::sqrt(FA)))
    RULE("neg.ftz.f32", FLOAT(-FA))
    RULE("abs.ftz.f32", FLOAT(std::fabs(FA)))
    RULE("min.ftz.f32", FLOAT(lesser(FA, FB)))
    RULE("max.ftz.f32", FLOAT(greater(FA, FB)))
    RULE("selp.f32", D.u32 = C.p & 1 ? A.u32 : B.u32)
    RULE("mov.f32", D.u32 = A.u32)
    COMPARISONS("f32", A.f32, B.f32)
    COMPARISONS_WITH_NAN("f32", A.f32, B.f32)
    COMPARISONS("ftz.f32", FA, FB)
    COMPARISONS_WITH_NAN("ftz.f32", FA, FB)

    RULE("rcp.approx.ftz.f64", D.f64 = about_reciprocal(thread, A.f64))

    RULE("cvt.f64.f32", D.f64 = A.f32)
    RULE("cvt.ftz.f64.f32", D.f64 = FA)
    RULE("cvt.rn.f32.f64", D.f32 = canonical((float)A.f64))
    RULE("cvt.rn.ftz.f32.f64", FLOAT((float)A.f64))
    RULE("cvt.rni.f64.f64", D.f64 = std::nearbyint(A.f64))
    RULE("cvt.rmi.f64.f64", D.f64 = std::floor(A.f64))
    RULE("cvt.rn.f32.s32", D.f32 = (float)A.s32)
    RULE("cvt.rn.f32.u32", D.f32 = (float)A.u32)
    RULE("cvt.rn.f64.s32", D.f64 = A.s32)
    RULE("cvt.rn.f64.u32", D.f64 = A.u32)
    RULE("cvt.rn.f64.s64", D.f64 = (double)A.s64)
    RULE("cvt.rn.f64.u64", D.f64 = (double)A.u64)
    RULE("cvt.rzi.s32.f64", D.s32 = whole<int32_t>(thread, A.f64))
    RULE("cvt.rzi.u32.f64", D.u32 = whole<uint32_t>(thread, A.f64))
    RULE("cvt.rzi.s64.f64", D.s64 = whole<int64_t>(thread, A.f64))
    RULE("cvt.rzi.ftz.s32.f32", D.s32 = whole<int32_t>(thread, FA))
    RULE("cvt.rzi.ftz.u32.f32", D.u32 = whole<uint32_t>(thread, FA))
    RULE("cvt.s64.s8", D.s64 = (int8_t)A.u16)
    RULE("cvt.s64.s16", D.s64 = A.s16)
    RULE("cvt.s64.s32", D.s64 = A.s32)
    RULE("cvt.u64.u32", D.u64 = A.u32)
    RULE("cvt.u32.u64", D.u32 = (uint32_t)A.u64)
    RULE("cvt.s32.s64", D.s32 = (int32_t)A.s64)
    RULE("cvt.u16.u32", D.u16 = (uint16_t)A.u32)
    RULE("cvt.u32.u16", D.u32 = A.u16)
    RULE("cvt.s32.s16", D.s32 = A.s16)
    RULE("cvt.u16.u64", D.u16 = (uint16_t)A.u64)
    RULE("cvt.u64.u16", D.u64 = A.u16)
    RULE("cvt.u16.u8", D.u16 = (uint8_t)A.u16)
    RULE("cvt.s16.s8", D.s16 = (int8_t)A.u16)
    RULE("cvt.rn.f64.s16", D.f64 = A.s16)
    RULE("cvt.rn.f64.u16", D.f64 = A.u16)
    RULE("cvt.u32.u8", D.u32 = (uint8_t)A.u32)
    RULE("cvta.to.global.u64", D.u64 = A.u64)
    RULE("cvta.global.u64", D.u64 = A.u64)
    RULE("cvta.shared.u64", D.u64 = A.u64 + SHARED_WINDOW)

    RULE("ld", thread.load(i))
    RULE("st", thread.store(i))
    RULE("atom", thread.update(i))
    RULE("ret", thread.state = ENDED)
    RULE("bar.sync", thread.state = WAITING)
    RULE("bra", thread.pc = (int32_t)i.offset - 1)
    // clang-format on
};
constexpr uint32_t RULE_COUNT = sizeof RULES / sizeof RULES[0];
constexpr uint32_t BRANCH = RULE_COUNT - 1;  // the last one: the others leave a thread where it is

#undef D
#undef A
#undef B
#undef C
#undef E

}  // namespace
