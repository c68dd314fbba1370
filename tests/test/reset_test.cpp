// Proper ends and resets between test::streams: as between real sockets, and also where that takes time.

#include "support.hpp"

using namespace kit_test;

namespace {

constexpr std::uint64_t some_seeds = 25;

/// What the peer of `near` reads in the end, after `use(near, far)` and some more time.
template <class F> reading seen_by_peer(std::uint64_t seed, F use) {
    hw::test::reactor r{seed};
    auto [near, far] = hw::test::stream_pair(r);
    auto program = [&]() -> hw::task<reading> {
        co_await use(near, far);
        { hw::test::stream gone{std::move(near)}; }
        co_await hw::sleep_for(10s);
        co_return co_await read_to_end(far);
    };
    return r.run(program());
}
const std::string text = text_of(1000);

}  // namespace

TEST_CASE("what was accepted and could not be sent in the time of a close ends in a reset, not in a FIN") {
    enum { closed, closed_in_time, destroyed, aborted_late };
    for (const auto way : {closed, closed_in_time, destroyed, aborted_late}) {
        for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
            CAPTURE(static_cast<int>(way));
            CAPTURE(seed);
            auto use = [&](hw::test::stream& near, hw::test::stream& far) -> hw::task<> {
                near.window(100);
                co_await near.write(text);
                // The one whose peer receives in time gets everything, and then a FIN.
                if (way == closed_in_time) near.window(10'000);
                if (way == aborted_late) {
                    near.set_write_timeout(1s);
                    CHECK((co_await hw::as_result(near.flush())).error() == errc::timed_out);
                }
                if (way == destroyed) co_return;
                co_await far.write("unread, which resets nothing");
                const auto ended = co_await hw::as_result(near.close());
                CHECK((way == closed_in_time ? ended.has_value() : ended.error() == errc::timed_out));
            };
            const reading got = seen_by_peer(seed, use);
            if (way == closed_in_time) {
                CHECK((got.text == text));
                CHECK(!got.failure);
            } else {
                CHECK((got.text == text.substr(0, 100)));
                CHECK(is_errno(got.failure, ECONNRESET));
            }
        }
    }
}

TEST_CASE("where all was sent the peer sees a FIN, however the stream went") {
    enum { closed, destroyed, destroyed_at_once, half_closed, stopped };
    for (const auto way : {closed, destroyed, destroyed_at_once, half_closed, stopped}) {
        for (const std::size_t size : {0u, 1000u}) {
            for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
                CAPTURE(static_cast<int>(way));
                CAPTURE(size);
                CAPTURE(seed);
                auto use = [&](hw::test::stream& near, hw::test::stream&) -> hw::task<> {
                    near.delay(5s);  // what the system has taken is on its way for longer than a close waits
                    if (size) co_await near.write(text);
                    if (way == destroyed) co_await near.flush();
                    if (way == closed) co_await near.close();
                    if (way == half_closed) co_await near.shutdown_send();
                    if (way == stopped) {
                        auto none = co_await hw::as_result(hw::with_timeout(0s, near.close()));
                        CHECK((none || none.error() == errc::timed_out));
                    }
                };
                const reading got = seen_by_peer(seed, use);
                CHECK((got.text == text.substr(0, size)));
                CHECK(!got.failure);
            }
        }
    }
}

TEST_CASE("a reset that sending has met is no proper end for the read after it; EPIPE after a proper end changes nothing") {
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
        for (const bool proper : {false, true}) {
            CAPTURE(seed);
            CAPTURE(proper);
            hw::test::reactor r{seed};
            auto [near, far] = hw::test::stream_pair(r);
            auto program = [&]() -> hw::task<> {
                co_await far.write("an answer");
                if (proper) {
                    { hw::test::stream gone{std::move(far)}; }
                    co_await hw::sleep_for(10s);
                } else {
                    co_await far.flush();
                    far.reset_after(0);
                }
                std::error_code failed;
                while (!failed) failed = co_await error_of_sending(near, "more");
                CHECK(is_errno(failed, proper ? EPIPE : ECONNRESET));
                const reading got = co_await read_to_end(near);
                CHECK(got.text == "an answer");
                if (proper) CHECK(!got.failure);
                else CHECK(is_errno(got.failure, ECONNRESET));
            };
            r.run(program());
        }
    }
}
