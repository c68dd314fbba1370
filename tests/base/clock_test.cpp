#include <doctest/doctest.h>

#include <hawser/base/clock.hpp>

using namespace hawser;
using namespace std::chrono_literals;

TEST_SUITE("clock") {
    TEST_CASE("a deadline never overflows") {
        const time_point now{1000s};
        CHECK(deadline_after(now, 5s) == time_point{1005s});
        CHECK(deadline_after(now, 0s) == now);
        CHECK(deadline_after(now, -5s) == now);
        CHECK(deadline_after(now, duration::min()) == now);
        CHECK(deadline_after(now, duration::max()) == time_point::max());
        CHECK(deadline_after(now, duration::max() - now.time_since_epoch()) == time_point::max());
        CHECK(deadline_after(now, duration::max() - now.time_since_epoch() - 1ns) == time_point::max() - 1ns);
        CHECK(deadline_after(time_point::max(), 1ns) == time_point::max());
    }

    TEST_CASE("durations of any unit are converted, rounded up, and saturate") {
        CHECK(to_duration(3ms) == 3000000ns);
        CHECK(to_duration(std::chrono::duration<double>{0.5}) == 500ms);
        CHECK(to_duration(std::chrono::duration<double, std::nano>{0.25}) == 1ns);
        CHECK(to_duration(-3ms) == -3000000ns);
        CHECK(to_duration(std::chrono::hours::max()) == duration::max());
        CHECK(to_duration(std::chrono::hours::min()) == duration::min());
        CHECK(to_duration(std::chrono::duration<double>{1e300}) == duration::max());
        CHECK(to_duration(duration::max()) == duration::max());
        CHECK(to_duration(duration::max() - 1s) == duration::max() - 1s);
    }
}
