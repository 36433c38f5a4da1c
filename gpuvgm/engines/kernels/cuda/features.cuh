// E-step of mixtures over several features, one block a chunk of 4,096 rows.
//
//     density_k = log2 of weight times density at d_k = (x - centre) - mean_k
//               = coefficient_k - |d_k P_k|^2, P_k being upper triangular, or coefficient_k - sum_i half_ki d_ki^2
//     r_k       = 2^(density_k - top) / sum_j 2^(density_j - top)
//     sums of n r_k, of n r_k d_k, of the upper triangle of n r_k d_k d_k^T (of its diagonal), of n ln sum_k
//     2^density_k
//
// A chunk is worked on a tile of rows at a time. First a thread takes a row and leaves its responsibilities in shared
// memory. Then it takes a task: one component and a block of at most four features, or two such blocks; it keeps the
// sums of their products in registers. Threads that share a task take its rows in turn, and are added up at the end of
// the chunk. If there are more tasks than threads, the chunk is gone through again for the others. The order of the
// additions depends on nothing but the numbers of components and features.
//
// Constants: GPUVGM_VALUE (type of a row), GPUVGM_FEATURES, GPUVGM_DIAGONAL and GPUVGM_WEIGHTED (0 or 1).
#pragma once
#include "../vgm_math.cuh"
#include "block.cuh"

namespace gpuvgm {
namespace {

constexpr int CHUNK_ROWS = 4096, THREADS = 128, TILE = THREADS;
constexpr int FEATURES = GPUVGM_FEATURES;
constexpr bool DIAGONAL = GPUVGM_DIAGONAL, WEIGHTED = GPUVGM_WEIGHTED;
constexpr int MOMENTS = DIAGONAL ? FEATURES : FEATURES * (FEATURES + 1) / 2;
constexpr int GROUPS = (FEATURES + 3) / 4;              // blocks of features
constexpr int SIDE = (FEATURES + GROUPS - 1) / GROUPS;  // features of a block; those that the last one lacks are 0
constexpr int TASKS = DIAGONAL ? GROUPS : GROUPS * (GROUPS + 1) / 2;  // of a component
constexpr bool PAIRED = TASKS > GROUPS;
constexpr int OWN_SUMS = 1 + SIDE + (DIAGONAL ? SIDE : SIDE * (SIDE + 1) / 2);
constexpr int SUMS = DIAGONAL || OWN_SUMS > SIDE* SIDE ? OWN_SUMS : SIDE * SIDE;  // of a task
constexpr int STRIDE = TILE + (15 + FEATURES) / FEATURES;  // of features in a tile, so that they lie in different banks
constexpr int ROOM = 6144;                                 // shared doubles, as the launcher knows
constexpr int BLOCKS = FEATURES <= 6 ? 4 : DIAGONAL || FEATURES <= 8 ? 3 : 2;  // at a time
constexpr int UNROLLED = BLOCKS == 2 ? 1 : 2;                                  // rows of a task
constexpr double LN_2 = 0.6931471805599453;

static_assert((SUMS + 1) * THREADS <= ROOM, "the sums of a chunk need more room than a tile");

constexpr int WIDTH = (1 + FEATURES + MOMENTS + 1) / 2 * 2;  // numbers of a component, which begins at 16 bytes

// Where the mean of a feature is among a component's numbers: the coefficient, then by feature the mean and the row of
// the upper triangle of P, or the mean and half the precision.
GPUVGM_FN int mean_place(int i) { return 1 + (DIAGONAL ? 2 * i : i * (2 * FEATURES + 3 - i) / 2); }

// A component's numbers one after the other, loaded two at a time.
struct Numbers {
    const double* component;
    double2 pair;

    GPUVGM_FN explicit Numbers(const double* component) : component(component) {}
    GPUVGM_FN double at(int i) {
        if (i % 2 == 0) {
            pair = *(const double2*)(component + i);
            return pair.x;
        }
        return pair.y;
    }
};

GPUVGM_FN double density_of(const double* component, const double (&row)[FEATURES]) {
    Numbers numbers(component);
    double density = numbers.at(0), z[FEATURES];
    int next = 1;
#pragma unroll
    for (int i = 0; i < FEATURES; ++i) {
        const double d = row[i] - numbers.at(next++);
        if constexpr (DIAGONAL) {
            density = log_density(d, numbers.at(next++), density);
        } else {
#pragma unroll
            for (int j = i; j < FEATURES; ++j) {
                const double factor = numbers.at(next++);
                z[j] = i == 0 ? d * factor : fused(d, factor, z[j]);
            }
            density = fused_minus(z[i], z[i], density);
        }
    }
    return maximum(density, -1e300);  // a far row still has a component of share 1
}

// Responsibilities of a row times its weight, `stride` apart; returns the logarithm of its density times its weight.
// y: the row's features, STRIDE apart.
GPUVGM_FN double weigh(const double* y, double counted, const double* mixture, int components, double* share,
                       int stride) {
    double row[FEATURES];
#pragma unroll
    for (int i = 0; i < FEATURES; ++i) {
        row[i] = y[i * STRIDE];
    }
    double top = -1e300, total = 0.0;
#pragma unroll 1  // or registers are spent on the next component
    for (int k = 0; k < components; ++k) {
        const double density = density_of(mixture + k * WIDTH, row);
        share[k * stride] = density;
        top = maximum(density, top);
    }
    for (int k = 0; k < components; ++k) {
        const double e = exp2_nonpositive(share[k * stride] - top);
        share[k * stride] = e;
        total = total + e;
    }
    const double part = counted / total;
#pragma unroll 4
    for (int k = 0; k < components; ++k) {
        share[k * stride] = share[k * stride] * part;
    }
    return counted * (top + log2_positive(total));
}

// What a thread adds up: products of the features of block `first` with those of block `second`, which may be the same.
struct Task {
    int component, first, second;

    GPUVGM_FN Task(int number, int components) : component(number % components), first(number / components) {
        second = first;
        if (PAIRED && first >= GROUPS) {  // pairs come after all single blocks
            second = first - GROUPS + 1;
            for (first = 0; second >= GROUPS - first; ++first) {
                second -= GROUPS - 1 - first;
            }
            second += first;
        }
    }

    GPUVGM_FN bool is_own() const { return !PAIRED || first == second; }

    // Where sum `s` of the task lies among the sums of the chunk, -1 if nowhere.
    GPUVGM_FN int place(int s, int components) const {
        int i = 0, j = s;
        if (is_own()) {
            if (s == 0) {
                return first == 0 ? component : -1;
            }
            if (s <= SIDE) {
                const int feature = first * SIDE + s - 1;
                return feature < FEATURES ? components + component * FEATURES + feature : -1;
            }
            j -= 1 + SIDE;
            if constexpr (DIAGONAL) {
                i = j;
            } else {
#pragma unroll 1
                for (; j >= SIDE; ++i) {
                    j -= SIDE - 1 - i;
                }
            }
        } else {
            i = s / SIDE;
            j = s % SIDE;
        }
        const int row = first * SIDE + i, column = second * SIDE + j;
        if (i >= SIDE || row >= FEATURES || column >= FEATURES) {
            return -1;
        }
        const int moment = DIAGONAL ? row : row * (2 * FEATURES - 1 - row) / 2 + column;
        return components * (1 + FEATURES) + component * MOMENTS + moment;
    }
};

// Features of a block about the component's mean.
struct Deviations {
    const double* y;
    double mean[SIDE];

    GPUVGM_FN Deviations(const double* tile, const double* component, int group) : y(tile + group * SIDE * STRIDE) {
#pragma unroll
        for (int i = 0; i < SIDE; ++i) {
            const int feature = group * SIDE + i;
            mean[i] = feature < FEATURES ? component[mean_place(feature)] : 0.0;
        }
    }
    GPUVGM_FN double at(int i, int row) const { return y[i * STRIDE + row] - mean[i]; }
};

// Adds rows `lane`, `lane` + `lanes` ... of a tile to the sums of a block: count, first, second.
GPUVGM_FN void add_own(const Deviations& deviations, const double* share, int lane, int lanes, double (&sums)[SUMS]) {
#pragma unroll UNROLLED
    for (int row = lane; row < TILE; row += lanes) {
        const double r = share[row];
        double d[SIDE];
        int s = 1 + SIDE;
        sums[0] = sums[0] + r;
#pragma unroll
        for (int i = 0; i < SIDE; ++i) {
            d[i] = deviations.at(i, row);
        }
#pragma unroll
        for (int i = 0; i < SIDE; ++i) {
            const double rd = r * d[i];
            sums[1 + i] = sums[1 + i] + rd;
#pragma unroll
            for (int j = i; j < (DIAGONAL ? i + 1 : SIDE); ++j, ++s) {
                sums[s] = fused(rd, d[j], sums[s]);
            }
        }
    }
}

// The same for two blocks: all products of the features of one with those of the other.
GPUVGM_FN void add_pair(const Deviations& left, const Deviations& right, const double* share, int lane, int lanes,
                        double (&sums)[SUMS]) {
#pragma unroll UNROLLED
    for (int row = lane; row < TILE; row += lanes) {
        const double r = share[row];
        double d[SIDE];
#pragma unroll
        for (int j = 0; j < SIDE; ++j) {
            d[j] = right.at(j, row);
        }
#pragma unroll
        for (int i = 0; i < SIDE; ++i) {
            const double rd = r * left.at(i, row);
#pragma unroll
            for (int j = 0; j < SIDE; ++j) {
                sums[i * SIDE + j] = fused(rd, d[j], sums[i * SIDE + j]);
            }
        }
    }
}

// Rows of a tile about the centre, by feature; rows beyond the end lie in the centre.
GPUVGM_FN void load_tile(const GPUVGM_VALUE* x, int rows, const double* centre, double* tile) {
    const int t = (int)threadIdx.x;
#pragma unroll 4  // or registers are spent on the places of a thread's numbers
    for (int turn = 0; turn < FEATURES; ++turn) {
        const int i = turn * THREADS + t, row = i / FEATURES, feature = i % FEATURES;
        tile[feature * STRIDE + row] = row < rows ? widened(x[i]) - centre[mean_place(feature)] : 0.0;
    }
#pragma unroll
    for (int feature = FEATURES; feature < GROUPS * SIDE; ++feature) {
        tile[feature * STRIDE + t] = 0.0;
    }
}

GPUVGM_FN double sum_of(const double* values, int count) {
    double sum = values[0];
#pragma unroll 8
    for (int i = 1; i < count; ++i) {
        sum = sum + values[i];
    }
    return sum;
}

}  // namespace
}  // namespace gpuvgm

// x: (rows, FEATURES); weight: (rows,); mixture: (1 + components, WIDTH), the means in the first row being the
// centre. Chunks from `first_chunk` on. partials: (chunks, components * (1 + FEATURES + MOMENTS) + 1).
extern "C" GPUVGM_KERNEL_TOGETHER(gpuvgm::THREADS, gpuvgm::BLOCKS)
    GPUVGM_NAME(const GPUVGM_VALUE* x,
#if GPUVGM_WEIGHTED
                const double* weight,
#endif
                const double* mixture, int components, long long rows, long long first_chunk, double* partials) {
    using namespace gpuvgm;
    GPUVGM_SHARED double room[ROOM];
    GPUVGM_ON_BORDER(mixture, sizeof(double2));
    const int t = (int)threadIdx.x, tasks = components * TASKS;
    const int turns = (tasks + THREADS - 1) / THREADS, together = (tasks + turns - 1) / turns;
    const int lanes = THREADS / together, stride = TILE + lanes;  // stride: of components, in different banks
    double* shares = room + GROUPS * SIDE * STRIDE;
    for (i64 chunk = first_chunk + blockIdx.x; chunk * CHUNK_ROWS < rows; chunk += gridDim.x) {
        const i64 start = chunk * CHUNK_ROWS;
        const int size = rows - start < CHUNK_ROWS ? (int)(rows - start) : CHUNK_ROWS;
        double* out = partials + chunk * (components * (1 + FEATURES + MOMENTS) + 1);
        for (int turn = 0; turn < turns; ++turn) {
            const int begin = turn * together, own = begin + t / lanes, lane = t % lanes;
            const bool busy = t < together * lanes && own < tasks;
            const Task task(busy ? own : 0, components);
            double sums[SUMS], logs = 0.0;
#pragma unroll
            for (int s = 0; s < SUMS; ++s) {
                sums[s] = 0.0;
            }
            for (int tile = 0; tile < size; tile += TILE) {
                __syncthreads();
                load_tile(x + (start + tile) * FEATURES, size - tile, mixture, room);
                __syncthreads();
#if GPUVGM_WEIGHTED
                const double counted = tile + t < size ? weight[start + tile + t] : 0.0;
                if (!(counted > 0.0)) {  // whatever its values are
#pragma unroll
                    for (int i = 0; i < FEATURES; ++i) {
                        room[i * STRIDE + t] = 0.0;
                    }
                }
#else
                const double counted = tile + t < size ? 1.0 : 0.0;
#endif
                logs = logs + weigh(room + t, counted, mixture + WIDTH, components, shares + t, stride);
                __syncthreads();
                if (busy) {
                    const double* part = mixture + (1 + task.component) * WIDTH;
                    const double* share = shares + task.component * stride;
                    const Deviations left(room, part, task.first);
                    if (task.is_own()) {
                        add_own(left, share, lane, lanes, sums);
                    } else {
                        add_pair(left, Deviations(room, part, task.second), share, lane, lanes, sums);
                    }
                }
            }
            __syncthreads();
#pragma unroll
            for (int s = 0; s < SUMS; ++s) {
                room[s * THREADS + t] = sums[s];
            }
            room[SUMS * THREADS + t] = logs;
            __syncthreads();
#pragma unroll 1
            for (int i = t; i <= together * SUMS; i += THREADS) {
                const int number = begin + i % together, s = i / together;
                const bool is_logs = s == SUMS;
                int at = number < tasks ? Task(number, components).place(s, components) : -1;
                if (is_logs) {
                    at = turn == 0 ? components * (1 + FEATURES + MOMENTS) : -1;
                }
                if (at >= 0) {
                    const double sum = sum_of(room + s * THREADS + i % together * lanes, is_logs ? THREADS : lanes);
                    out[at] = is_logs ? LN_2 * sum : sum;
                }
            }
        }
    }
}
