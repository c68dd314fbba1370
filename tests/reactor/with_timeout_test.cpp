#include <doctest/doctest.h>

#include <cerrno>
#include <ostream>
#include <stdexcept>
#include <string>

#include <hawser/coro/when_all.hpp>
#include <hawser/coro/with_scope.hpp>
#include <hawser/reactor/sleep.hpp>
#include <hawser/reactor/with_timeout.hpp>

#include "../coro/manual_loop.hpp"
#include "virtual_time.hpp"

namespace hw = hawser;
using namespace std::chrono_literals;
using manual::gate;
using manual::tracked;

namespace {

hw::task<int> value_after(hw::duration d, int v) {
    co_await hw::sleep_for(d);
    co_return v;
}
hw::task<> kernel_timeout() {
    co_await hw::sleep_for(1ms);
    throw hw::error{hw::error_info::from_errno(ETIMEDOUT, hw::phase::read, "a.test")};
}
hw::task<> foreign_after(hw::duration d) {
    co_await hw::sleep_for(d);
    throw std::runtime_error{"foreign"};
}
/// Finishes what it does although it is stopped.
hw::task<int> finishes_anyway(gate& g) {
    auto r = co_await hw::as_result(g.wait());
    co_return r ? *r : 99;
}

}  // namespace

TEST_SUITE("with_timeout") {
    TEST_CASE("in time") {
        auto body = []() -> hw::task<> {
            CHECK(co_await hw::with_timeout(10ms, value_after(5ms, 7)) == 7);
            co_await hw::with_timeout(1s, hw::sleep_for(1ms));
            CHECK(co_await hw::with_timeout(hw::duration::max(), value_after(5h, 8)) == 8);
            CHECK(co_await hw::with_timeout(std::chrono::hours::max(), value_after(5h, 9)) == 9);
            // The timers of those are gone: nothing wakes this one early.
            const hw::time_point start = virtual_time::now();
            co_await hw::sleep_for(1h);
            CHECK(virtual_time::now() - start == 1h);
        };
        virtual_time::run(body());
    }

    TEST_CASE("too late: errc::timed_out at the limit, and it says how far the operation came") {
        auto body = []() -> hw::task<> {
            const hw::time_point start = virtual_time::now();
            gate g;
            g.set_transferred(17);
            auto r = co_await hw::as_result(hw::with_timeout(5ms, g.wait()));
            REQUIRE(!r);
            CHECK(r.error() == hw::errc::timed_out);
            CHECK(r.error().transferred() == 17);
            CHECK(virtual_time::now() - start == 5ms);
            CHECK_FALSE(g.has_waiter());
            bool thrown = false;
            try {
                co_await hw::with_timeout(5ms, hw::sleep_for(1h));
            } catch (const hw::error& e) {
                thrown = e.code() == hw::errc::timed_out;
            }
            CHECK(thrown);
        };
        virtual_time::run(body());
    }

    TEST_CASE("no time at all") {
        auto body = []() -> hw::task<> {
            gate g;
            for (const hw::duration d : {0ns, -1ns, hw::duration::min()}) {
                auto r = co_await hw::as_result(hw::with_timeout(d, g.wait()));
                CHECK(r.error() == hw::errc::timed_out);
            }
            auto past = co_await hw::as_result(hw::with_deadline(virtual_time::now() - 1s, g.wait()));
            CHECK(past.error() == hw::errc::timed_out);
        };
        virtual_time::run(body());
    }

    TEST_CASE("with_deadline") {
        auto body = []() -> hw::task<> {
            const hw::time_point start = virtual_time::now();
            CHECK(co_await hw::with_deadline(start + 10ms, value_after(9ms, 1)) == 1);
            auto r = co_await hw::as_result(hw::with_deadline(start + 10ms, value_after(9ms, 1)));
            CHECK(r.error() == hw::errc::timed_out);
            CHECK(virtual_time::now() - start == 10ms);
            CHECK(co_await hw::with_deadline(hw::time_point::max(), value_after(1h, 2)) == 2);
        };
        virtual_time::run(body());
    }

    TEST_CASE("an operation that finished all the same gives its value") {
        auto body = []() -> hw::task<> {
            gate g;
            CHECK(co_await hw::with_timeout(5ms, finishes_anyway(g)) == 99);
        };
        virtual_time::run(body());
    }

    TEST_CASE("the value and the limit at the same time: the value is not lost") {
        auto body = []() -> hw::task<> {
            gate g;
            auto open = [&]() -> hw::task<> {
                co_await hw::sleep_for(5ms);
                g.open(3);
            };
            // The opener's timer is set first, so it fires first; the limit fires in the same turn.
            auto both = co_await hw::when_all(open(), hw::with_timeout(5ms, finishes_anyway(g)));
            const bool one_or_other = std::get<1>(both) == 3 || std::get<1>(both) == 99;
            CHECK(one_or_other);
        };
        virtual_time::run(body());
    }

    TEST_CASE("the kernel's ETIMEDOUT is not ours, and other errors pass unchanged") {
        auto body = []() -> hw::task<> {
            auto kernel = co_await hw::as_result(hw::with_timeout(1s, kernel_timeout()));
            CHECK(kernel.error() == std::error_code{ETIMEDOUT, std::system_category()});
            CHECK_FALSE(kernel.error() == hw::errc::timed_out);
            CHECK(kernel.error().peer() == "a.test");
            bool foreign = false;
            try {
                co_await hw::with_timeout(1s, foreign_after(1ms));
            } catch (const std::runtime_error&) {
                foreign = true;
            }
            CHECK(foreign);
        };
        virtual_time::run(body());
    }

    TEST_CASE("nested: only the one whose timer fired says timed_out") {
        auto body = []() -> hw::task<> {
            std::string log;
            auto inner = [&](hw::duration limit) -> hw::task<> {
                auto r = co_await hw::as_result(hw::with_timeout(limit, hw::sleep_for(1h)));
                log += r.error().code().message() + ";";
                if (!r) hw::throw_error(r.error());
            };
            auto outer_first = co_await hw::as_result(hw::with_timeout(5ms, inner(10ms)));
            CHECK(outer_first.error() == hw::errc::timed_out);
            CHECK(log == "cancelled;");
            log.clear();
            auto inner_first = co_await hw::as_result(hw::with_timeout(10ms, inner(5ms)));
            CHECK(inner_first.error() == hw::errc::timed_out);
            CHECK(log == "timed out;");
        };
        virtual_time::run(body());
    }

    TEST_CASE("a stop of the task is a cancellation, not a timeout") {
        auto body = []() -> hw::task<> {
            std::string log;
            auto children = [&](hw::scope& s) -> hw::task<> {
                auto child = [&]() -> hw::task<> {
                    auto r = co_await hw::as_result(hw::with_timeout(1h, hw::sleep_for(2h)));
                    log += r.error().code().message();
                };
                s.spawn(child);
                co_await hw::sleep_for(1ms);
                s.request_stop();
            };
            co_await hw::with_scope(children);
            CHECK(log == "cancelled");
        };
        virtual_time::run(body());
    }

    TEST_CASE("a stop of the task stays a cancellation when the limit passes while the operation cleans up") {
        auto body = []() -> hw::task<> {
            std::string log;
            auto cleans_up = []() -> hw::task<> {
                auto cut = co_await hw::as_result(hw::sleep_for(1h));
                co_await hw::shield(hw::sleep_for(20ms), 1s);
                hw::throw_error(cut.error());
            };
            auto children = [&](hw::scope& s) -> hw::task<> {
                s.spawn([&]() -> hw::task<> {
                    auto r = co_await hw::as_result(hw::with_timeout(5ms, cleans_up()));
                    log += r.error().code().message();
                });
                co_await hw::sleep_for(1ms);
                s.request_stop();
            };
            co_await hw::with_scope(children);
            CHECK(log == "cancelled");
        };
        virtual_time::run(body());
    }

    TEST_CASE("a cancellation that the operation made itself is not a timeout") {
        auto body = []() -> hw::task<> {
            auto self = []() -> hw::task<> {
                co_await hw::sleep_for(1ms);
                throw hw::cancelled{};
            };
            auto r = co_await hw::as_result(hw::with_timeout(1s, self()));
            CHECK(r.error() == hw::errc::cancelled);
        };
        virtual_time::run(body());
    }

    TEST_CASE("shield runs although the task was stopped, for so long at most") {
        auto body = []() -> hw::task<> {
            std::string log;
            auto children = [&](hw::scope& s) -> hw::task<> {
                auto child = [&]() -> hw::task<> {
                    auto cut = co_await hw::as_result(hw::sleep_for(1h));
                    log += cut.error().code().message() + ";";
                    const hw::time_point start = virtual_time::now();
                    log += std::to_string(co_await hw::shield(value_after(5ms, 7), 1s)) + ";";
                    auto late = co_await hw::as_result(hw::shield(hw::sleep_for(1h), 10ms));
                    log += late.error().code().message() + ";";
                    CHECK(virtual_time::now() - start == 15ms);
                    auto still = co_await hw::as_result(hw::sleep_for(1h));
                    log += still.error().code().message();
                };
                s.spawn(child);
                co_await hw::sleep_for(1ms);
                s.request_stop();
            };
            co_await hw::with_scope(children);
            CHECK(log == "cancelled;7;timed out;cancelled");
        };
        virtual_time::run(body());
    }

    TEST_CASE("a stop in the middle of a shield does not reach it") {
        auto body = []() -> hw::task<> {
            std::string log;
            auto children = [&](hw::scope& s) -> hw::task<> {
                auto child = [&]() -> hw::task<> {
                    auto r = co_await hw::as_result(hw::shield(value_after(5ms, 7), 1s));
                    log += r ? std::to_string(*r) : r.error().code().message();
                };
                s.spawn(child);
                co_await hw::sleep_for(1ms);
                s.request_stop();
            };
            co_await hw::with_scope(children);
            CHECK(log == "7");
        };
        virtual_time::run(body());
    }

    TEST_CASE("temporaries are constructed and destroyed once each") {
        tracked::wrong = 0;
        auto body = []() -> hw::task<> {
            auto give = [](hw::duration d, tracked t) -> hw::task<tracked> {
                co_await hw::sleep_for(d);
                co_return t;
            };
            tracked got = co_await hw::with_timeout(1s, give(1ms, tracked{5}));
            CHECK(got.value == 5);
            tracked kept = co_await hw::shield(give(1ms, tracked{6}), 1s);
            CHECK(kept.value == 6);
            auto late = co_await hw::as_result(hw::with_timeout(1ms, give(1s, tracked{7})));
            CHECK(!late);
            CHECK(tracked::alive == 2);
        };
        virtual_time::run(body());
        CHECK(tracked::alive == 0);
        CHECK(tracked::wrong == 0);
    }

    TEST_CASE("real time") {
        auto body = []() -> hw::task<> {
            auto r = co_await hw::as_result(hw::with_timeout(1ms, hw::sleep_for(1h)));
            CHECK(r.error() == hw::errc::timed_out);
        };
        hw::run(body());
    }
}
