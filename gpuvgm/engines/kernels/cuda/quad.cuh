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

// Four elements as one word of the memory; doubles take two of them.
template <class T> struct FourOf;
template <> struct FourOf<float> {
    typedef float4 type;
};
template <> struct FourOf<unsigned char> {
    typedef uchar4 type;
};
template <> struct FourOf<unsigned short> {
    typedef ushort4 type;
};

template <class From, class To> GPUVGM_FN void load_four(const From* from, To* to) {
    typedef typename FourOf<From>::type Four;
    GPUVGM_ON_BORDER(from, sizeof(Four));
    const Four four = *(const Four*)from;
    to[0] = converted<To>(four.x);
    to[1] = converted<To>(four.y);
    to[2] = converted<To>(four.z);
    to[3] = converted<To>(four.w);
}
GPUVGM_FN void load_four(const double* from, double* to) {
    GPUVGM_ON_BORDER(from, 16);
    const double2 low = *(const double2*)from, high = *(const double2*)(from + 2);
    to[0] = low.x;
    to[1] = low.y;
    to[2] = high.x;
    to[3] = high.y;
}

template <class From, class To> GPUVGM_FN void store_four(const From* from, To* to) {
    typename FourOf<To>::type four;
    four.x = converted<To>(from[0]);
    four.y = converted<To>(from[1]);
    four.z = converted<To>(from[2]);
    four.w = converted<To>(from[3]);
    *(typename FourOf<To>::type*)to = four;
}
template <class From> GPUVGM_FN void store_four(const From* from, double* to) {
    double2 low, high;
    low.x = converted<double>(from[0]);
    low.y = converted<double>(from[1]);
    high.x = converted<double>(from[2]);
    high.y = converted<double>(from[3]);
    *(double2*)to = low;
    *(double2*)(to + 2) = high;
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
