// Each fault of a test::stream as its peer sees it: exact bytes, exact times.

#include <set>

#include "support.hpp"

using namespace kit_test;

namespace {

constexpr std::uint64_t some_seeds = 25;

}  // namespace

TEST_CASE("a delay is latency of what this end sends") {
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
        CAPTURE(seed);
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        near.delay(3s);
        auto ask = [&]() -> hw::task<> {
            char into[10];
            co_await near.write("ping");
            CHECK(co_await hw::read_exactly(near, hw::mutable_buffer{into, 4}) == 4);
            CHECK(r.elapsed() == 3s);
        };
        auto answer = [&]() -> hw::task<> {
            char into[10];
            CHECK(co_await hw::read_exactly(far, hw::mutable_buffer{into, 4}) == 4);
            CHECK(r.elapsed() == 3s);
            co_await far.write("pong");
        };
        r.run(hw::when_all(ask(), answer()));
        CHECK(r.elapsed() == 3s);
    }
}

TEST_CASE("a shorter delay does not let later bytes overtake") {
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        auto send = [&]() -> hw::task<> {
            near.delay(3s);
            co_await near.write("first ");
            co_await near.flush();
            near.delay(0s);
            co_await hw::sleep_for(1s);
            co_await write_and_end(near, "second");
        };
        const auto got = std::get<1>(r.run(hw::when_all(send(), read_to_end(far))));
        CHECK(got.text == "first second");
        CHECK(got.pieces.front().first == 3s);
        CHECK(got.ended == 3s);
    }
}

TEST_CASE("jitter varies the latency and keeps the order") {
    std::set<hw::duration> times;
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        near.delay(1s);
        near.jitter(500ms);
        auto send = [&]() -> hw::task<> {
            for (char c = 'a'; c <= 'z'; ++c) {
                co_await near.write(std::string_view{&c, 1});
                co_await hw::sleep_for(10ms);
            }
            co_await near.shutdown_send();
        };
        const auto got = std::get<1>(r.run(hw::when_all(send(), read_to_end(far))));
        CHECK(got.text == "abcdefghijklmnopqrstuvwxyz");
        CHECK(got.pieces.front().first >= 1s);
        CHECK(got.pieces.front().first <= 1500ms);
        times.insert(got.pieces.front().first);
    }
    CHECK(times.size() > some_seeds / 2);
}

TEST_CASE("cut: the peer reads pieces of one to so many bytes") {
    std::set<std::size_t> sizes;
    const std::string text = text_of(300);
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
        hw::test::reactor r{{.seed = seed, .reorder = seed % 2 == 0, .vary = seed % 3 == 0}};
        auto [near, far] = hw::test::stream_pair(r);
        near.cut(3);
        near.delay(1s);
        const auto got = std::get<1>(r.run(hw::when_all(write_and_end(near, text), read_to_end(far))));
        CHECK(got.text == text);
        for (auto [when, size] : got.pieces) {
            CHECK(when == 1s);
            sizes.insert(size);
        }
    }
    CHECK(sizes == std::set<std::size_t>{1, 2, 3});
}

TEST_CASE("truncate_after so many bytes: those, the end, and nothing more") {
    const std::string text = text_of(5000);
    for (const std::size_t n : {0u, 1u, 17u, 4999u, 5000u, 6000u}) {
        for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
            CAPTURE(n);
            CAPTURE(seed);
            hw::test::reactor r{seed};
            auto [near, far] = hw::test::stream_pair(r);
            near.truncate_after(n);
            auto send = [&]() -> hw::task<> {
                co_await near.write(text);
                co_await near.flush();  // what vanishes counts as sent
                char into[10];
                CHECK(co_await hw::read_exactly(near, hw::mutable_buffer{into, 2}) == 2);
                co_await near.close();
            };
            auto receive = [&]() -> hw::task<reading> {
                auto got = co_await read_to_end(far);
                co_await far.write("ok");  // the other direction works
                co_await far.close();
                co_return got;
            };
            if (n > text.size()) {
                // Nothing was cut, so the end comes from near itself.
                const auto got = std::get<1>(r.run(hw::when_all(write_and_close(near, text), receive())));
                CHECK((got.text == text));
            } else {
                const auto got = std::get<1>(r.run(hw::when_all(send(), receive())));
                CHECK((got.text == text.substr(0, n)));
                CHECK(!got.failure);
            }
        }
    }
}

TEST_CASE("truncate_after a time: what was sent before still arrives") {
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        near.delay(1s);
        near.truncate_after(3500ms);
        auto send = [&]() -> hw::task<> {
            for (int i = 0; i < 10; ++i) {
                co_await near.write("x");
                co_await hw::sleep_for(1s);
            }
        };
        const auto got = std::get<1>(r.run(hw::when_all(send(), read_to_end(far))));
        CHECK(got.text == "xxxx");
        CHECK(got.pieces.back().first == 4s);
        CHECK(got.ended == 4500ms);
        CHECK(!got.failure);
    }
}

TEST_CASE("reset_after so many bytes: those, then ECONNRESET, and this end fails at once") {
    const std::string text = text_of(5000);
    for (const std::size_t n : {0u, 1u, 17u, 5000u}) {
        for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
            CAPTURE(n);
            hw::test::reactor r{seed};
            auto [near, far] = hw::test::stream_pair(r);
            near.delay(2s);
            near.reset_after(n);
            auto send = [&]() -> hw::task<> {
                const auto first = co_await error_of_sending(near, text);
                const auto later = co_await error_of_sending(near, "more");
                CHECK((is_errno(first, ECONNRESET) || (n == text.size() && !first)));
                CHECK(is_errno(later, ECONNRESET));
                char into[10];
                auto read = co_await hw::as_result(near.read_some(into));
                CHECK(is_errno(read.error(), ECONNRESET));
                CHECK(r.elapsed() == 0s);
            };
            const auto got = std::get<1>(r.run(hw::when_all(send(), read_to_end(far))));
            CHECK((got.text == text.substr(0, n)));
            CHECK(is_errno(got.failure, ECONNRESET));
            CHECK(got.ended == 2s);
        }
    }
}

TEST_CASE("reset_after a time: both ends, at that time; what was on its way is lost, what had come is not") {
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
        CAPTURE(seed);
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        near.reset_after(2s);
        auto send = [&]() -> hw::task<> {
            co_await near.write("come");
            co_await near.flush();
            near.delay(10s);
            co_await near.write("lost");
            char into[10];
            auto read = co_await hw::as_result(near.read_some(into));
            CHECK(is_errno(read.error(), ECONNRESET));
            CHECK(r.elapsed() == 2s);
        };
        auto receive = [&]() -> hw::task<> {
            co_await hw::sleep_for(5s);
            const auto got = co_await read_to_end(far);
            CHECK(got.text == "come");
            CHECK(is_errno(got.failure, ECONNRESET));
        };
        r.run(hw::when_all(send(), receive()));
    }
}

TEST_CASE("stall: what is sent afterwards does not arrive before resume") {
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        near.delay(1s);
        auto send = [&]() -> hw::task<> {
            co_await near.write("before ");
            co_await near.flush();
            near.stall();
            co_await write_and_end(near, "after");
            co_await hw::sleep_for(1min);
            near.resume();
        };
        const auto got = std::get<1>(r.run(hw::when_all(send(), read_to_end(far))));
        CHECK(got.text == "before after");
        CHECK(got.pieces.front().first == 1s);
        CHECK(got.ended == 61s);
    }
}

TEST_CASE("stall_after so many bytes") {
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        near.stall_after(5);
        auto receive = [&]() -> hw::task<> {
            char into[10];
            CHECK(co_await hw::read_exactly(far, hw::mutable_buffer{into, 5}) == 5);
            auto more = co_await hw::as_result(hw::with_timeout(1h, far.read_some(into)));
            CHECK(more.error() == errc::timed_out);
            near.resume();
            CHECK((co_await read_to_end(far)).text == "67890");
            CHECK(r.elapsed() == 1h);
        };
        r.run(hw::when_all(write_and_end(near, "1234567890"), receive()));
    }
}

TEST_CASE("bandwidth: so many bytes each second, in packets") {
    const std::string text = text_of(200'000);
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        near.bandwidth(10'000);
        const auto got = std::get<1>(r.run(hw::when_all(write_and_end(near, text), read_to_end(far))));
        CHECK((got.text == text));
        CHECK(got.ended == 20s);
        CHECK(got.pieces.front().first == 146ms);
    }
}

TEST_CASE("bandwidth: a pause is not made up for, and a change counts from then on") {
    hw::test::reactor r{1};
    auto [near, far] = hw::test::stream_pair(r);
    near.bandwidth(1000);
    auto send = [&]() -> hw::task<> {
        co_await hw::sleep_for(10s);
        co_await near.write(text_of(1000));
        co_await near.flush();
        near.bandwidth(500);
        co_await write_and_end(near, text_of(1000));
        co_await hw::sleep_for(20s);
        near.bandwidth(hw::test::unlimited);
    };
    const auto got = std::get<1>(r.run(hw::when_all(send(), read_to_end(far))));
    CHECK(got.pieces.front().first == 11s);
    CHECK(got.ended == 13s);
}

TEST_CASE("window: no more is on its way, or waits to be received") {
    const std::string text = text_of(3000);
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        near.window(1000);
        near.delay(1s);
        const auto got = std::get<1>(r.run(hw::when_all(write_and_end(near, text), read_to_end(far))));
        CHECK((got.text == text));
        CHECK(got.ended == 3s);
    }
}

TEST_CASE("a writer waits for a peer that does not read, and loses nothing when it gives up") {
    const std::string text = text_of(2'000'000);
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        auto send = [&]() -> hw::task<std::size_t> {
            auto wrote = co_await hw::as_result(hw::with_timeout(5s, near.write(text)));
            CHECK(wrote.error() == errc::timed_out);
            CHECK(r.elapsed() == 5s);
            co_await near.shutdown_send();
            co_return wrote.error().transferred();
        };
        auto receive = [&]() -> hw::task<reading> {
            co_await hw::sleep_for(10s);
            co_return co_await read_to_end(far);
        };
        const auto [sent, got] = r.run(hw::when_all(send(), receive()));
        CHECK(sent >= 262'144);
        CHECK(sent < 700'000);
        CHECK((got.text == text.substr(0, sent)));
    }
}

TEST_CASE("a copy of the faults controls an end whose stream has gone elsewhere") {
    hw::test::reactor r{1};
    auto [near, far] = hw::test::stream_pair(r);
    hw::test::faults line = near;
    hw::any_stream moved = std::move(near);
    line.truncate_after(4);
    const auto got = std::get<1>(r.run(hw::when_all(write_and_end(moved, "more than that"), read_to_end(far))));
    CHECK(got.text == "more");
}

TEST_CASE("a fault that makes no sense is refused in words") {
    hw::test::reactor r{1};
    auto [near, far] = hw::test::stream_pair(r);
    const auto expect = [](const char* words, auto f) {
        const hw::error_info e = error_of(f);
        CHECK(e == errc::invalid_argument);
        CHECK_MESSAGE(contains(e.message(), words), e.message());
    };
    expect("delay: a negative time", [&] { near.delay(-1s); });
    expect("jitter: a negative time", [&] { near.jitter(-1ns); });
    expect("cut: a piece has at least one byte", [&] { near.cut(0); });
    expect("bandwidth: at 0 bytes per second", [&] { near.bandwidth(0); });
    expect("more than 8,000,000,000", [&] { near.bandwidth(std::uint64_t{1} << 40); });
    expect("window: nothing could be sent", [&] { near.window(0); });
    expect("truncate_after: a negative number", [&] { near.truncate_after(-1); });
    expect("truncate_after: a negative time", [&] { near.truncate_after(-1s); });
    expect("reset_after: a negative number", [&] { near.reset_after(-5); });
    expect("reset_after: a negative time", [&] { near.reset_after(-5s); });
    expect("stall_after: a negative number", [&] { near.stall_after(-5); });
    hw::test::stream none;
    expect("stall: this stream is not connected", [&] { none.stall(); });
    // and none of them had an effect
    const auto got = std::get<1>(r.run(hw::when_all(write_and_end(near, "whole"), read_to_end(far))));
    CHECK(got.text == "whole");
    CHECK(r.elapsed() == 0s);
}
