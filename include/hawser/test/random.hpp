#pragma once
// Random numbers that are the same on every machine.

#include <cstdint>

namespace hawser::test {

/// Numbers that follow from a seed: xoshiro256** (Blackman, Vigna 2018), seeded by splitmix64. For tests that draw their
/// own choices; unlike the distributions of <random>, it gives the same numbers with every standard library.
class random {
public:
    explicit random(std::uint64_t seed) noexcept {
        for (std::uint64_t& word : state_) word = mix(seed += 0x9e3779b97f4a7c15u);
    }
    std::uint64_t next() noexcept {
        const std::uint64_t result = rotate(state_[1] * 5, 7) * 9, shifted = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = rotate(state_[3], 45);
        return result;
    }
    /// 0 to n - 1; 0 for n = 0.
    std::uint64_t below(std::uint64_t n) noexcept { return n ? next() % n : 0; }
    /// first to last, both included.
    std::uint64_t between(std::uint64_t first, std::uint64_t last) noexcept { return first + below(last - first + 1); }
    /// True once in n times.
    bool one_in(std::uint64_t n) noexcept { return below(n) == 0; }

    /// A good hash of one number.
    static std::uint64_t mix(std::uint64_t z) noexcept {
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }

private:
    static std::uint64_t rotate(std::uint64_t x, int by) noexcept { return (x << by) | (x >> (64 - by)); }
    std::uint64_t state_[4];
};

}  // namespace hawser::test
