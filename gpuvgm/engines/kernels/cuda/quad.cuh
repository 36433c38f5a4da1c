// Four consecutive rows of an array as one thread takes them: in one access of 16 bytes (or 4, 8, 32) where the address
// allows it and all four exist, else one by one.
#pragma once
#include "../vgm_math.cuh"
#include "block.cuh"

namespace gpuvgm {
namespace {

constexpr int QUAD = 4;

template <class To, class From> GPUVGM_FN To converted(From a) { return (To)a; }
template <> GPUVGM_FN double converted<double, float>(float a) { return widened(a); }
template <> GPUVGM_FN float converted<float, double>(double a) { return narrowed(a); }

GPUVGM_FN bool on_border(const void* address, unsigned bytes) { return ((size_t)address & (bytes - 1)) == 0; }

// Four elements as one word of the memory; those of 64 bits take two of them.
template <class T> struct FourOf;
template <> struct FourOf<float> {
    typedef float4 type;
};
template <> struct FourOf<signed char> {
    typedef char4 type;
};
template <> struct FourOf<unsigned char> {
    typedef uchar4 type;
};
template <> struct FourOf<short> {
    typedef short4 type;
};
template <> struct FourOf<unsigned short> {
    typedef ushort4 type;
};
template <> struct FourOf<int> {
    typedef int4 type;
};
template <> struct FourOf<unsigned int> {
    typedef uint4 type;
};

// Two elements of 64 bits as one word of the memory.
template <class T> struct TwoOf;
template <> struct TwoOf<double> {
    typedef double2 type;
};
template <> struct TwoOf<i64> {
    typedef longlong2 type;
};
template <> struct TwoOf<u64> {
    typedef ulonglong2 type;
};

template <class From, class To> GPUVGM_FN void load_four(const From* from, To* to) {
    if constexpr (sizeof(From) == 8) {
        typedef typename TwoOf<From>::type Two;
        GPUVGM_ON_BORDER(from, sizeof(Two));
        const Two low = *(const Two*)from, high = *(const Two*)(from + 2);
        to[0] = converted<To>(low.x);
        to[1] = converted<To>(low.y);
        to[2] = converted<To>(high.x);
        to[3] = converted<To>(high.y);
    } else {
        typedef typename FourOf<From>::type Four;
        GPUVGM_ON_BORDER(from, sizeof(Four));
        const Four four = *(const Four*)from;
        to[0] = converted<To>(four.x);
        to[1] = converted<To>(four.y);
        to[2] = converted<To>(four.z);
        to[3] = converted<To>(four.w);
    }
}

template <class From, class To> GPUVGM_FN void store_four(const From* from, To* to) {
    if constexpr (sizeof(To) == 8) {
        typedef typename TwoOf<To>::type Two;
        Two low, high;
        low.x = converted<To>(from[0]);
        low.y = converted<To>(from[1]);
        high.x = converted<To>(from[2]);
        high.y = converted<To>(from[3]);
        *(Two*)to = low;
        *(Two*)(to + 2) = high;
    } else {
        typename FourOf<To>::type four;
        four.x = converted<To>(from[0]);
        four.y = converted<To>(from[1]);
        four.z = converted<To>(from[2]);
        four.w = converted<To>(from[3]);
        *(typename FourOf<To>::type*)to = four;
    }
}

// Border that four elements of a type are accessed on.
template <class T> GPUVGM_FN constexpr unsigned border_of() { return sizeof(T) * QUAD < 16 ? sizeof(T) * QUAD : 16; }

// Rows first ... first + 3 of `from`, as far as they lie within [0, rows); `filler` for the others.
template <class From, class To> GPUVGM_FN void read_quad(const From* from, i64 first, i64 rows, To filler, To* to) {
    if (first >= 0 && first + QUAD <= rows && on_border(from + first, border_of<From>())) {
        load_four(from + first, to);
        return;
    }
#pragma unroll
    for (int j = 0; j < QUAD; ++j) {
        const i64 row = first + j;
        to[j] = row >= 0 && row < rows ? converted<To>(from[row]) : filler;
    }
}

template <class From, class To> GPUVGM_FN void write_quad(const From* from, i64 first, i64 rows, To* to) {
    if (first >= 0 && first + QUAD <= rows && on_border(to + first, border_of<To>())) {
        store_four(from, to + first);
        return;
    }
#pragma unroll
    for (int j = 0; j < QUAD; ++j) {
        const i64 row = first + j;
        if (row >= 0 && row < rows) {
            to[row] = converted<To>(from[j]);
        }
    }
}

}  // namespace
}  // namespace gpuvgm
