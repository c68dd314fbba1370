#include <doctest/doctest.h>

#include <functional>
#include <string>

#include <hawser/coro/when_all.hpp>
#include <hawser/coro/when_any.hpp>
#include <hawser/coro/with_scope.hpp>
#include <hawser/reactor/sleep.hpp>

#include "virtual_time.hpp"

namespace hw = hawser;
using namespace std::chrono_literals;

namespace {

hw::task<> note_after(hw::duration d, std::string& log, std::string what) {
    co_await hw::sleep_for(d);
    log += what;
}

}  // namespace

TEST_SUITE("sleep") {
    TEST_CASE("sleepers wake in the order of their deadlines, at their deadlines") {
        std::string log;
        auto body = [&]() -> hw::task<> {
            const hw::time_point start = virtual_time::now();
            co_await hw::with_scope([&](hw::scope& s) {
                s.spawn(note_after, 30ms, std::ref(log), "c");
                s.spawn(note_after, 10ms, std::ref(log), "a");
                s.spawn(note_after, 20ms, std::ref(log), "b");
                s.spawn(note_after, 30ms, std::ref(log), "d");
                s.spawn(note_after, 0ms, std::ref(log), "0");
            });
            CHECK(virtual_time::now() - start == 30ms);
        };
        virtual_time::run(body());
        CHECK(log == "0abcd");
    }

    TEST_CASE("any unit; the past and nothing are one turn of the loop; until a point in time") {
        auto body = []() -> hw::task<> {
            const hw::time_point start = virtual_time::now();
            const auto turns = hw::reactor::current()->turns();
            co_await hw::sleep_for(0s);
            co_await hw::sleep_for(-5h);
            co_await hw::sleep_until(start - 1s);
            co_await hw::yield();
            CHECK(hw::reactor::current()->turns() - turns == 4);
            CHECK(virtual_time::now() == start);
            co_await hw::sleep_for(std::chrono::duration<double>{0.25});
            CHECK(virtual_time::now() - start == 250ms);
            co_await hw::sleep_until(start + 1s);
            CHECK(virtual_time::now() - start == 1s);
            co_await hw::sleep_until(std::chrono::time_point_cast<std::chrono::seconds>(start) + 5s);
        };
        virtual_time::run(body());
    }

    TEST_CASE("yield lets every other ready task run first") {
        std::string log;
        auto body = [&]() -> hw::task<> {
            co_await hw::with_scope([&](hw::scope& s) {
                for (const char* name : {"a", "b", "c"}) {
                    s.spawn([](std::string n, std::string& to) -> hw::task<> {
                        for (int i = 0; i < 3; ++i) {
                            to += n;
                            co_await hw::yield();
                        }
                    }, name, std::ref(log));
                }
            });
        };
        virtual_time::run(body());
        CHECK(log == "abcabcabc");
    }

    TEST_CASE("a stop wakes at once; the timer is gone") {
        auto body = []() -> hw::task<> {
            const hw::time_point start = virtual_time::now();
            std::string how;
            auto children = [&](hw::scope& s) -> hw::task<> {
                for (const hw::duration d : {hw::duration{1h}, hw::duration::max()}) {
                    s.spawn([](hw::duration limit, std::string& into) -> hw::task<> {
                        auto r = co_await hw::as_result(hw::sleep_for(limit));
                        into += r ? "slept;" : r.error().code().message() + ";";
                    }, d, std::ref(how));
                }
                co_await hw::sleep_for(1ms);
                s.request_stop();
            };
            co_await hw::with_scope(children);
            CHECK(how == "cancelled;cancelled;");
            CHECK(virtual_time::now() - start == 1ms);
            co_await hw::sleep_for(2h);
            CHECK(virtual_time::now() - start == 2h + 1ms);
        };
        virtual_time::run(body());
    }

    TEST_CASE("a task that swallows its stop does not hang the others") {
        std::string log;
        auto body = [&]() -> hw::task<> {
            bool done = false;
            int refusals = 0;
            auto children = [&](hw::scope& s) -> hw::task<> {
                auto stubborn = [&]() -> hw::task<> {
                    while (!done) {
                        auto r = co_await hw::as_result(hw::sleep_for(1h));
                        refusals += !r;
                    }
                };
                auto other = [&]() -> hw::task<> {
                    // Needs turns of the loop after the stop, as a close does that is being flushed.
                    for (int i = 0; i < 10; ++i) {
                        auto r = co_await hw::as_result(hw::sleep_for(1h));
                        for (int refused = 0; !r && refused < 40; ++refused) r = co_await hw::as_result(hw::yield());
                    }
                    done = true;
                };
                s.spawn(stubborn);
                s.spawn(other);
                co_await hw::yield();
                s.request_stop();
            };
            co_await hw::with_scope(children);
            CHECK(done);
            CHECK(refusals > 0);
        };
        virtual_time::run(body());
    }

    TEST_CASE("real time passes") {
        auto body = []() -> hw::task<> {
            const auto start = hw::clock::now();
            co_await hw::when_all(hw::sleep_for(2ms), hw::sleep_for(1ms));
            CHECK(hw::clock::now() - start >= 2ms);
            co_await hw::sleep_until(hw::clock::now() + 1ms);
        };
        hw::run(body());
    }
}
