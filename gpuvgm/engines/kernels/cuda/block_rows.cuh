// What blocks do with rows: tell what is a number, and add up what their threads have found in a fixed order.
#pragma once
#include "../vgm_math.cuh"
#include "block.cuh"

namespace gpuvgm {
namespace {

GPUVGM_FN bool is_finite(double a) { return ((u64)as_bits(a) & 0x7FF0000000000000ull) != 0x7FF0000000000000ull; }
GPUVGM_FN bool is_nan(double a) { return ((u64)as_bits(a) & 0x7FFFFFFFFFFFFFFFull) > 0x7FF0000000000000ull; }

constexpr int PARTS = 8;  // threads that share a column

// Shared doubles that `column_sum` needs; columns start in different banks.
constexpr int column_room(int threads, int columns) { return columns * (threads + PARTS); }

// Sums over the THREADS threads of a block of the COLUMNS <= THREADS values that each thread has. Thread j gets the sum
// of column j. The order of the additions depends on nothing but the two numbers. room: column_room doubles.
template <int THREADS, int COLUMNS> GPUVGM_FN double column_sum(const double (&value)[COLUMNS], double* room) {
    constexpr int STRIDE = THREADS + PARTS;
    const int t = (int)threadIdx.x;
    __syncthreads();
#pragma unroll
    for (int j = 0; j < COLUMNS; ++j) {
        room[j * STRIDE + t] = value[j];
    }
    __syncthreads();
    for (int item = t; item < COLUMNS * PARTS; item += THREADS) {
        double* part = room + item / PARTS * STRIDE + item % PARTS;
        double sum = part[0];
#pragma unroll 4
        for (int i = PARTS; i < THREADS; i += PARTS) {
            sum = sum + part[i];
        }
        part[0] = sum;  // no other thread looks at the values of this part
    }
    __syncthreads();
    double sum = 0.0;
    if (t < COLUMNS) {
        sum = room[t * STRIDE];
#pragma unroll
        for (int part = 1; part < PARTS; ++part) {
            sum = sum + room[t * STRIDE + part];
        }
    }
    return sum;
}

}  // namespace
}  // namespace gpuvgm
