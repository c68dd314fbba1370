#pragma once
// The clock of every deadline: CLOCK_MONOTONIC, in nanoseconds; a deterministic reactor replaces it by a virtual one.

#if __has_include(<bits/chrono.h>)
#include <bits/chrono.h>  // libstdc++: durations and clocks without calendars and text, at a fifth of the cost of <chrono>
#else
#include <chrono>
#endif

namespace hawser {

using clock = std::chrono::steady_clock;
using duration = std::chrono::nanoseconds;
using time_point = std::chrono::time_point<clock, duration>;

/// now + d without overflow: a duration too long to add means "never".
constexpr time_point deadline_after(time_point now, duration d) noexcept {
    if (d <= duration::zero()) return now;
    return d >= time_point::max() - now ? time_point::max() : now + d;
}

/// Any std::chrono duration as nanoseconds, saturated: `hours::max()` is a long time, not a negative one.
template <class Rep, class Period> constexpr duration to_duration(std::chrono::duration<Rep, Period> d) noexcept {
    using wide = std::chrono::duration<long double, Period>;
    if (wide{d} >= wide{duration::max()}) return duration::max();
    if (wide{d} <= wide{duration::min()}) return duration::min();
    return std::chrono::ceil<duration>(d);
}

}  // namespace hawser
