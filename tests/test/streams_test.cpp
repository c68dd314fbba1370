// A test::stream behaves as TCP does: bytes in order, proper ends, resets, half-closes; whatever the seed.

#include <algorithm>
#include <optional>

#include "support.hpp"

using namespace kit_test;

namespace {

constexpr std::uint64_t some_seeds = 25;

hw::task<> write_in_parts(hw::any_stream& to, std::string_view text, hw::test::random choice) {
    while (!text.empty()) {
        const std::size_t n = choice.between(1, std::min<std::size_t>(text.size(), choice.one_in(8) ? 20'000 : 600));
        co_await to.write(text.substr(0, n));
        text.remove_prefix(n);
        if (choice.one_in(3)) co_await hw::yield();
        if (choice.one_in(10)) co_await hw::sleep_for(std::chrono::milliseconds{choice.below(50)});
        if (choice.one_in(10)) co_await to.flush();
    }
    co_await to.shutdown_send();
}

/// Reads to the end; every other read is under a timeout that is likely to strike, and loses nothing by that.
hw::task<std::string> read_under_timeouts(hw::any_stream& from, hw::test::random choice, std::size_t& struck) {
    std::string text;
    std::vector<char> room(10'000);
    for (;;) {
        const hw::mutable_buffer into{room.data(), choice.between(1, choice.one_in(4) ? room.size() : 200)};
        if (choice.one_in(2)) {
            const std::size_t n = co_await from.read_some(into);
            if (n == 0) co_return text;
            text.append(room.data(), n);
            continue;
        }
        auto n = co_await hw::as_result(hw::with_timeout(std::chrono::milliseconds{choice.below(4)}, from.read_some(into)));
        if (!n) {
            if (n.error() != errc::timed_out) hw::throw_error(n.error());
            ++struck;
            continue;
        }
        if (*n == 0) co_return text;
        text.append(room.data(), *n);
    }
}

void make_faulty(hw::test::faults line, hw::test::random& choice) {
    if (choice.one_in(2)) line.delay(std::chrono::milliseconds{choice.below(20)});
    if (choice.one_in(2)) line.jitter(std::chrono::milliseconds{choice.below(20)});
    if (choice.one_in(3)) line.cut(choice.between(1, choice.one_in(2) ? 40 : 2000));
    if (choice.one_in(3)) line.bandwidth(choice.between(20'000, 10'000'000));
    if (choice.one_in(2)) line.window(choice.between(1, choice.one_in(4) ? 50 : 30'000));
}

}  // namespace

TEST_CASE("bytes arrive whole and in order in both directions, over 500 seeds with everything varied") {
    std::size_t struck = 0;
    for (const std::uint64_t seed : hw::test::seeds(500)) {
        CAPTURE(seed);
        hw::test::random choice{seed};
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        make_faulty(near, choice);
        make_faulty(far, choice);
        const std::string there = text_of(choice.below(12'000), seed), back = text_of(choice.below(12'000), ~seed);
        const auto got = r.run(hw::when_all(read_under_timeouts(far, hw::test::random{seed * 4}, struck),
                                            read_under_timeouts(near, hw::test::random{seed * 4 + 1}, struck),
                                            write_in_parts(near, there, hw::test::random{seed * 4 + 2}),
                                            write_in_parts(far, back, hw::test::random{seed * 4 + 3})));
        CHECK((std::get<0>(got) == there));
        CHECK((std::get<1>(got) == back));
    }
    CHECK(struck > 500);
}

TEST_CASE("a reader that is slower than the line, so that receiving stops and starts again, gets every byte") {
    const std::string text = text_of(1'500'000);
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        hw::test::random choice{seed};
        auto read = [&]() -> hw::task<std::string> {
            std::string all;
            std::vector<char> room(500'000);
            while (const std::size_t n = co_await far.read_some({room.data(), choice.between(50'000, room.size())})) {
                all.append(room.data(), n);
                for (std::uint64_t turns = choice.below(30) * choice.below(2); turns; --turns) co_await hw::yield();
            }
            co_return all;
        };
        const auto got = r.run(hw::when_all(read(), write_and_end(near, text)));
        CHECK((std::get<0>(got) == text));
    }
}

TEST_CASE("either end may end first, and the other may still answer") {
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
        for (const bool near_first : {false, true}) {
            hw::test::reactor r{seed};
            auto [near, far] = hw::test::stream_pair(r);
            hw::any_stream& first = near_first ? near : far;
            hw::any_stream& second = near_first ? far : near;
            auto ask = [&]() -> hw::task<> {
                co_await write_and_end(first, "a question");
                CHECK((co_await read_to_end(first)).text == "an answer");
                auto late = co_await hw::as_result(first.write("x"));
                CHECK(late.error() == errc::closed);
                co_await first.close();
            };
            auto answer = [&]() -> hw::task<> {
                CHECK((co_await read_to_end(second)).text == "a question");
                co_await hw::sleep_for(1s);
                co_await write_and_close(second, "an answer");
            };
            r.run(hw::when_all(ask(), answer()));
            CHECK(r.elapsed() == 1s);
        }
    }
}

TEST_CASE("a stream that is dropped is a proper end for its peer, unless something was not received: then a reset") {
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
        for (const bool unread : {false, true}) {
            CAPTURE(seed);
            CAPTURE(unread);
            hw::test::reactor r{seed};
            auto [near, far] = hw::test::stream_pair(r);
            std::optional<hw::test::stream> owned{std::move(near)};
            auto drop = [&]() -> hw::task<> {
                co_await hw::sleep_for(1s);
                owned.reset();
            };
            auto other = [&]() -> hw::task<reading> {
                if (unread) co_await far.write("nobody reads this");
                co_return co_await read_to_end(far);
            };
            const auto got = std::get<1>(r.run(hw::when_all(drop(), other())));
            CHECK(got.ended == 1s);
            if (unread) CHECK(is_errno(got.failure, ECONNRESET));
            else CHECK(!got.failure);
        }
    }
}

TEST_CASE("what is sent to a dropped stream is answered with a reset") {
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        near.delay(100ms);
        far.delay(100ms);
        std::optional<hw::test::stream> owned{std::move(near)};
        auto other = [&]() -> hw::task<> {
            owned.reset();
            co_await far.write("first");
            co_await hw::sleep_for(150ms);
            co_await far.write("second");  // it has the end of near, and not yet the reset
            co_await far.flush();
            co_await hw::sleep_for(150ms);
            const auto third = co_await error_of_sending(far, "third");
            CHECK(is_errno(third, EPIPE));  // as Linux says it where the peer had ended before
            char into[10];
            CHECK(co_await far.read_some(into) == 0);
        };
        r.run(other());
    }
}

TEST_CASE("a reset that a send has met is not taken for a proper end by the read after it") {
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
        CAPTURE(seed);
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        auto task = [&]() -> hw::task<> {
            co_await near.write("half of the answ");
            co_await near.flush();
            near.reset_after(0);
            co_await hw::sleep_for(1s);
            co_await far.write("more questions");
            auto flushed = co_await hw::as_result(far.flush());
            CHECK(is_errno(flushed.error(), ECONNRESET));
            const auto got = co_await read_to_end(far);
            CHECK(got.text == "half of the answ");
            CHECK(is_errno(got.failure, ECONNRESET));
        };
        r.run(task());
    }
}

TEST_CASE("a stream that is destroyed sends what it had accepted, in its own time") {
    const std::string text = text_of(100'000);
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        near.bandwidth(100'000);
        auto send = [](hw::test::stream given, std::string_view all) -> hw::task<> {
            hw::test::stream line{std::move(given)};  // a parameter would live as long as the task's frame
            co_await line.write(all);
        };
        const auto got = std::get<1>(r.run(hw::when_all(send(std::move(near), text), read_to_end(far))));
        CHECK((got.text == text));
        CHECK(!got.failure);
        CHECK(got.ended == 1s);
    }
}

TEST_CASE("a destroyed stream gives up when its peer takes nothing for the time of a close") {
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed) {
        hw::test::reactor r{seed};
        auto [near, far] = hw::test::stream_pair(r);
        near.window(10);
        auto task = [&]() -> hw::task<> {
            {
                hw::test::stream gone{std::move(near)};
                co_await far.write("unread");
                co_await gone.write(text_of(1000));
            }
            co_await hw::sleep_for(10s);
            const auto got = co_await read_to_end(far);
            CHECK((got.text == text_of(1000).substr(0, 10)));
        };
        r.run(task());
    }
}

TEST_CASE("streams are named in messages") {
    hw::test::reactor r{1};
    auto [near, far] = hw::test::stream_pair(r);
    auto [near2, far2] = hw::test::stream_pair(r);
    CHECK(near.peer_name() == "far (192.0.2.2:1)");
    CHECK(far2.peer_name() == "near (192.0.2.1:2)");
    near.reset_after(0);
    const auto got = r.run(read_to_end(far));
    CHECK(got.failure.message() == "read from near (192.0.2.1:1): Connection reset by peer");
}

TEST_CASE("a stream outlives its reactor, its faults too") {
    std::optional<std::pair<hw::test::stream, hw::test::stream>> pair;
    {
        hw::test::reactor r{1};
        pair = hw::test::stream_pair(r);
        r.run(write_and_end(pair->first, "unread"));
        pair->first.stall();
    }
    pair->first.delay(1s);
    pair->first.truncate_after(0);
    pair->first.reset_after(1s);
    pair->first.bandwidth(5);
    pair->first.resume();
    auto task = [&]() -> hw::task<> {
        auto wrote = co_await hw::as_result(pair->second.write("x"));
        CHECK(wrote.error() == errc::no_reactor);
    };
    hw::test::reactor{2}.run(task());
    CHECK(hw::test::stream{}.peer_name().empty());
}
