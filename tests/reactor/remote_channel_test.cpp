#include "support/doctest.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <hawser/coro/when_all.hpp>
#include <hawser/coro/when_any.hpp>
#include <hawser/coro/with_scope.hpp>
#include <hawser/reactor/remote_channel.hpp>
#include <hawser/reactor/run_on_threads.hpp>
#include <hawser/reactor/sleep.hpp>
#include <hawser/reactor/with_timeout.hpp>

namespace hw = hawser;
using namespace std::chrono_literals;

namespace {

/// Leaves what it is moved from as it was.
struct copied {
    explicit copied(std::shared_ptr<int> p) noexcept : owned{std::move(p)} {}
    copied(const copied& other) noexcept : owned{other.owned} {}
    std::shared_ptr<int> owned;
};

hw::task<> receive_into(hw::remote_channel<int> ch, std::vector<int>& got) {
    while (auto v = co_await ch.receive()) got.push_back(*v);
}
hw::task<> send_all(hw::remote_channel<int> ch, int first, int last) {
    for (int i = first; i <= last; ++i) co_await ch.send(i);
}

/// Keeps the loop from looking for a while: what another thread does meanwhile, the stop that follows comes too late for.
hw::task<> busy(unsigned long rounds) {
    co_await hw::yield();
    static std::atomic<unsigned long> work;
    for (; rounds; --rounds) ++work;
}

}  // namespace

TEST_SUITE("remote_channel") {
    TEST_CASE("without any reactor: bounded, first in first out, closable") {
        const hw::remote_channel<std::string> ch{2};
        const auto copy = ch;
        CHECK_FALSE(ch.try_receive().has_value());
        CHECK(ch.try_send("one"));
        CHECK(copy.try_send("two"));
        std::string third = "three, which is too long to be kept in place";
        CHECK_FALSE(ch.try_send(std::move(third)));
        CHECK(third.size() == 44);  // as it was
        CHECK(copy.try_receive() == "one");
        CHECK(ch.try_send(std::move(third)));
        CHECK_FALSE(copy.is_closed());
        ch.close();
        ch.close();
        CHECK(copy.is_closed());
        CHECK_FALSE(copy.try_send("four"));
        CHECK_THROWS_AS(copy.send_blocking("five"), hw::error);
        CHECK(ch.try_receive() == "two");
        CHECK(ch.receive_blocking() == "three, which is too long to be kept in place");
        CHECK_FALSE(ch.receive_blocking().has_value());
        CHECK_FALSE(ch.try_receive().has_value());
    }

    TEST_CASE("no room at all is refused, and blocking inside run() too") {
        CHECK_THROWS_WITH_AS(hw::remote_channel<int>{0}, doctest::Contains("room for one value"), hw::error);
        auto body = []() -> hw::task<> {
            const hw::remote_channel<int> ch{1};
            CHECK_THROWS_WITH_AS(ch.send_blocking(1), doctest::Contains("co_await send()"), hw::error);
            CHECK_THROWS_WITH_AS((void)ch.receive_blocking(), doctest::Contains("co_await receive()"), hw::error);
            CHECK_FALSE(ch.try_receive().has_value());
            co_return;
        };
        hw::run(body());
    }

    TEST_CASE("values that nobody received are destroyed, and move-only ones pass") {
        auto owned = std::make_shared<int>(1);
        {
            const hw::remote_channel<std::unique_ptr<std::shared_ptr<int>>> ch{3};
            for (int i = 0; i < 3; ++i) CHECK(ch.try_send(std::make_unique<std::shared_ptr<int>>(owned)));
            CHECK(owned.use_count() == 4);
            CHECK(ch.try_receive());
            CHECK(owned.use_count() == 3);
        }
        CHECK(owned.use_count() == 1);
        const hw::remote_channel<copied> ch{1};
        CHECK(ch.try_send(copied{owned}));
        CHECK(ch.try_receive().has_value());
        CHECK(owned.use_count() == 1);  // nothing stays in the place where it was
    }

    TEST_CASE("one thread: senders and receivers wait and are served first come, first served") {
        std::vector<int> got;
        auto body = [&]() -> hw::task<> {
            const hw::remote_channel<int> ch{1};
            auto senders = [&](hw::scope& s) -> hw::task<> {
                for (int i = 0; i < 5; ++i) s.spawn(send_all, ch, 10 * i, 10 * i);
                co_await hw::yield();
                CHECK_FALSE(ch.try_send(99));  // four wait
                for (int i = 0; i < 5; ++i) got.push_back((co_await ch.receive()).value());
            };
            co_await hw::with_scope(senders);
            CHECK(got == std::vector{0, 10, 20, 30, 40});
            got.clear();
            std::vector<int> first, second;
            auto receivers = [&](hw::scope& s) -> hw::task<> {
                s.spawn(receive_into, ch, std::ref(first));
                s.spawn(receive_into, ch, std::ref(second));
                co_await hw::yield();
                CHECK(ch.try_send(1));
                CHECK(ch.try_send(2));
                CHECK(ch.try_send(3));  // both were given theirs: this one is stored
                CHECK_FALSE(ch.try_send(4));
                ch.close();
            };
            co_await hw::with_scope(receivers);
            CHECK(first == std::vector{1, 3});
            CHECK(second == std::vector{2});
        };
        hw::run(body());
    }

    TEST_CASE("cancelled and timed out: the value was not taken, and nothing of the waiter stays") {
        auto body = []() -> hw::task<> {
            const hw::remote_channel<int> ch{1};
            auto none = co_await hw::as_result(hw::with_timeout(1ms, ch.receive()));
            CHECK(none.error() == hw::errc::timed_out);
            CHECK(ch.try_send(1));  // stored, not given to whoever left
            auto full = co_await hw::as_result(hw::with_timeout(1ms, ch.send(2)));
            CHECK(full.error() == hw::errc::timed_out);
            CHECK(ch.try_receive() == 1);
            CHECK_FALSE(ch.try_receive().has_value());
            const auto any = co_await hw::when_any(ch.receive(), hw::sleep_for(1ms));
            CHECK(any.index == 1);
            CHECK_FALSE(std::get<0>(any.results).has_value());
            CHECK(ch.try_send(3));
            auto stopped = [&](hw::scope& s) -> hw::task<> {
                s.request_stop();
                CHECK((co_await hw::as_result(ch.receive())).error() == hw::errc::cancelled);  // although there is one
            };
            co_await hw::with_scope(stopped);
            CHECK(ch.try_receive() == 3);
        };
        hw::run(body());
    }

    TEST_CASE("a value given at the moment of the stop is the result") {
        auto body = []() -> hw::task<> {
            const hw::remote_channel<int> ch{1};
            std::optional<int> got;
            bool sent = false;
            auto given_then_stopped = [&](hw::scope& s) -> hw::task<> {
                auto receive = [&]() -> hw::task<> { got = co_await ch.receive(); };
                s.spawn(receive);
                co_await hw::yield();
                CHECK(ch.try_send(7));
                s.request_stop();
            };
            co_await hw::with_scope(given_then_stopped);
            CHECK(got == 7);
            CHECK(ch.try_send(8));
            auto taken_then_stopped = [&](hw::scope& s) -> hw::task<> {
                auto send = [&]() -> hw::task<> {
                    co_await ch.send(9);
                    sent = true;
                };
                s.spawn(send);
                co_await hw::yield();
                CHECK(ch.try_receive() == 8);
                s.request_stop();
            };
            co_await hw::with_scope(taken_then_stopped);
            CHECK(sent);
            CHECK(ch.try_receive() == 9);
        };
        hw::run(body());
    }

    TEST_CASE("a value given by another thread at the moment of the stop is the result, although its post is under way") {
        auto body = []() -> hw::task<> {
            const hw::remote_channel<int> ch{1};
            std::optional<int> got;
            auto children = [&](hw::scope& s) -> hw::task<> {
                auto receive = [&]() -> hw::task<> { got = co_await ch.receive(); };
                s.spawn(receive);
                co_await hw::yield();
                std::thread{[&] { ch.send_blocking(7); }}.join();  // given; this thread has not run the post yet
                s.request_stop();
            };
            co_await hw::with_scope(children);
            CHECK(got == 7);
        };
        hw::run(body());
    }

    TEST_CASE("closing wakes who waits: senders are told, receivers get nothing") {
        auto body = []() -> hw::task<> {
            const hw::remote_channel<int> ch{1}, empty{1};
            CHECK(ch.try_send(1));
            auto close = [&]() -> hw::task<> {
                co_await hw::yield();
                std::thread{[&] {
                    ch.close();
                    empty.close();
                }}.join();
            };
            auto [sent, got, closed] = co_await hw::when_all(hw::as_result(ch.send(2)), empty.receive(), hw::as_result(close()));
            CHECK(sent.error() == hw::errc::closed);
            CHECK_FALSE(got.has_value());
            CHECK(co_await ch.receive() == 1);
            CHECK_FALSE((co_await ch.receive()).has_value());
            CHECK((co_await hw::as_result(ch.send(3))).error() == hw::errc::closed);
        };
        hw::run(body());
    }

    TEST_CASE("a task that never has to wait lets the others run") {
        auto body = []() -> hw::task<> {
            const hw::remote_channel<int> ch{1};
            bool other_ran = false;
            auto busy = [&]() -> hw::task<> {
                for (int i = 0; i < 1000 && !other_ran; ++i) {
                    co_await ch.send(i);
                    CHECK(co_await ch.receive() == i);
                }
                CHECK(other_ran);
            };
            auto other = [&]() -> hw::task<> {
                other_ran = true;
                co_return;
            };
            auto children = [&](hw::scope& s) {
                s.spawn(busy);
                s.spawn(other);
            };
            co_await hw::with_scope(children);
        };
        hw::run(body());
    }

    TEST_CASE("plain threads and tasks: every value once, in order, both ways") {
        constexpr int count = 20000;
        const hw::remote_channel<int> to{3}, back{2};
        std::thread plain{[=] {
            for (int i = 0; i < count; ++i) to.send_blocking(i);
            to.close();
        }};
        std::atomic<int> wrong = 0;
        std::thread sink{[=, &wrong] {
            int expected = 0;
            while (auto v = back.receive_blocking()) if (*v != 2 * expected++) ++wrong;
            if (expected != count) ++wrong;
        }};
        auto body = [&]() -> hw::task<> {
            while (auto v = co_await to.receive()) co_await back.send(2 * *v);
            back.close();
        };
        hw::run(body());
        plain.join();
        sink.join();
        CHECK(wrong == 0);
    }

    TEST_CASE("a plain thread that waits is told of the end") {
        const hw::remote_channel<int> full{1}, empty{1};
        CHECK(full.try_send(1));
        std::atomic<int> told = 0;
        std::thread sender{[&] {
            try {
                full.send_blocking(2);
            } catch (const hw::error& e) {
                if (e.code() == hw::errc::closed) ++told;
            }
        }};
        std::thread receiver{[&] { if (!empty.receive_blocking()) ++told; }};
        auto body = [&]() -> hw::task<> {
            co_await hw::yield();
            full.close();
            empty.close();
        };
        hw::run(body());
        sender.join();
        receiver.join();
        CHECK(told == 2);
        CHECK(full.try_receive() == 1);
    }

    TEST_CASE("a reactor ends while others send to it") {
        for (int round = 0; round < 20; ++round) {
            const hw::remote_channel<int> ch{2};
            std::atomic<int> sent = 0, received = 0, closed = 0, number = 0;
            auto body = [&]() -> hw::task<> {
                if (number++ == 0) {
                    for (int i = 0; i < 10; ++i) if (co_await ch.receive()) ++received;
                    ch.close();
                    co_return;
                }
                for (;;) {
                    auto r = co_await hw::as_result(ch.send(1));
                    if (r) ++sent;
                    else if (r.error() == hw::errc::closed) break;
                }
                ++closed;
            };
            hw::run_on_threads(3, body);
            int left = 0;
            while (ch.try_receive()) ++left;
            CHECK(closed == 2);
            CHECK(received == 10);
            CHECK(sent == received + left);
        }
    }

    // Four kinds of parties at once, each of which gives up now and then: what was said to be taken arrives once.
    TEST_CASE("random cancellations and timeouts lose and double nothing") {
        for (const unsigned threads : {2u, 4u}) {
            constexpr int each = 3000;
            const hw::remote_channel<int> ch{3};
            std::vector<std::atomic<int>> arrived(threads * each);
            std::atomic<unsigned> number = 0, senders = threads / 2;
            std::atomic<int> taken = 0, refused = 0, received = 0, gave_up = 0;
            auto send = [&](unsigned me, std::minstd_rand& random) -> hw::task<> {
                for (int i = 0; i < each; ++i) {
                    const int value = static_cast<int>(me) * each + i;
                    if (i % 1000 < 700) co_await busy(random() % 10000);  // receivers wait most of the time; else senders do
                    const auto limit = std::chrono::microseconds{random() % 4 ? random() % 400 : 0};
                    bool sent;
                    if (random() % 2) {
                        sent = (co_await hw::as_result(hw::with_timeout(limit, ch.send(value)))).has_value();
                    } else {
                        auto any = co_await hw::when_any(ch.send(value), busy(random() % 20000));
                        const auto& r = std::get<0>(any.results);
                        sent = r && r->has_value();
                    }
                    ++(sent ? taken : refused);
                    if (!sent) arrived[static_cast<std::size_t>(value)] += 1'000;
                }
                if (--senders == 0) ch.close();
            };
            auto receive = [&](std::minstd_rand& random) -> hw::task<> {
                for (;;) {
                    std::optional<int> got;
                    if (random() % 2) {
                        const auto limit = std::chrono::microseconds{random() % 4 ? random() % 400 : 0};
                        auto r = co_await hw::as_result(hw::with_timeout(limit, ch.receive()));
                        if (!r) {
                            ++gave_up;
                            continue;
                        }
                        if (!*r) break;
                        got = *r;
                    } else {
                        auto any = co_await hw::when_any(ch.receive(), busy(random() % 20000));
                        auto& r = std::get<0>(any.results);
                        if (!r) {
                            ++gave_up;
                            continue;
                        }
                        if (!r->value()) break;
                        got = r->value();
                    }
                    ++received;
                    ++arrived[static_cast<std::size_t>(*got)];
                }
            };
            auto body = [&]() -> hw::task<> {
                const unsigned me = number++;
                std::minstd_rand random{me + 1};
                if (me < threads / 2) co_await send(me, random);
                else co_await receive(random);
            };
            hw::run_on_threads(threads, body);
            CHECK(taken == received);
            CHECK(taken + refused == static_cast<int>(threads / 2) * each);
            CHECK(taken > 0);
            CHECK(refused > 0);
            CHECK(gave_up > 0);
            int wrong = 0;
            for (std::size_t i = 0; i < threads / 2 * each; ++i) if (arrived[i] != 1 && arrived[i] != 1'000) ++wrong;
            CHECK(wrong == 0);
        }
    }
}
