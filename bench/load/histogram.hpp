#pragma once
// A histogram of latencies whose buckets grow with what they count: each is at most 1/64 of its value wide.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace load {

class histogram {
public:
    void add(std::uint64_t value) { ++counts_[index_of(value)]; }

    /// [[greatest value of the bucket, count], ...] of those that are not empty.
    std::string json() const {
        std::string text = "[";
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            if (counts_[i] == 0) continue;
            if (text.size() > 1) text += ',';
            text += '[' + std::to_string(greatest_in(i)) + ',' + std::to_string(counts_[i]) + ']';
        }
        return text + ']';
    }

private:
    static constexpr std::size_t steps = 64;  // for each power of two
    static constexpr unsigned step_bits = 6;

    static std::size_t index_of(std::uint64_t value) {
        if (value < 2 * steps) return value;
        const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - step_bits - 1;
        return shift * steps + (value >> shift);
    }
    static std::uint64_t greatest_in(std::size_t index) {
        if (index < 2 * steps) return index;
        const std::size_t shift = index / steps - 1;
        const std::uint64_t after = index - shift * steps + 1;
        return (after << shift) - 1;
    }

    std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>((64 - step_bits) * steps + steps);
};

}  // namespace load
