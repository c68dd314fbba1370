#pragma once
// How a deterministic reactor chooses, and when it gives up.

#include <chrono>
#include <cstdint>

#include <hawser/base/clock.hpp>

namespace hawser::test {

/// How a test::reactor behaves.
struct reactor_options {
    std::uint64_t seed = 1;  ///< what every choice is drawn from
    bool reorder = true;     ///< completions of different operations come in any order, and some of them turns later
    bool vary = true;        ///< sends end short, received bytes come in pieces, a cancel meets data or not
    duration time_limit = std::chrono::hours{24};  ///< virtual time that one run() may take
    std::uint64_t turn_limit = 10'000'000;         ///< turns of the loop that one run() may take
    duration patience = std::chrono::seconds{2};   ///< real time to wait for posts of other threads before a deadlock is reported
    bool trace = false;                            ///< keep a line for each completion, for reactor::trace()
};

}  // namespace hawser::test
