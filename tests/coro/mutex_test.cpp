#include <memory>
#include <stdexcept>
#include <vector>

#include <hawser/coro/event.hpp>
#include <hawser/coro/mutex.hpp>
#include <hawser/coro/when_any.hpp>
#include <hawser/reactor/sleep.hpp>
#include <hawser/reactor/with_timeout.hpp>
#include <hawser/test/fake_backend.hpp>

#include "support/in_child.hpp"
#include "waiting_support.hpp"

using namespace hawser;
using namespace std::chrono_literals;
using namespace waiting_support;
using hawser_test::words_of_abort;

namespace {

/// Holds the mutex for so many turns and notes when it has it.
task<> hold_for(mutex& m, int n, std::vector<int>& order, int name) {
    auto guard = co_await m.lock();
    order.push_back(name);
    co_await turns(n);
}

}  // namespace

TEST_SUITE("mutex") {
    TEST_CASE("free, it is locked at once; its guard unlocks") {
        mutex m;
        manual::loop loop;
        auto body = [&]() -> task<> {
            auto guard = co_await m.lock();
            CHECK(loop.turns == 0);
            CHECK(guard.owns_lock());
            CHECK(m.is_locked());
            CHECK_FALSE(m.try_lock());
            guard.unlock();
            CHECK_FALSE(guard);
            CHECK_FALSE(m.is_locked());
            guard.unlock();  // does nothing
            guard = m.try_lock();
            CHECK(guard);
            mutex::guard moved = std::move(guard);
            CHECK_FALSE(guard);  // NOLINT
            mutex::guard& alias = moved;
            moved = std::move(alias);
            CHECK(m.is_locked());
            moved = mutex::guard{};
            CHECK_FALSE(m.is_locked());
            co_await m.lock();  // nobody keeps the guard
            CHECK_FALSE(m.is_locked());
        };
        loop.run(body()).get();
        static_assert(!std::is_copy_constructible_v<mutex::guard> && !std::is_aggregate_v<mutex::guard>);
    }

    TEST_CASE("many waiters have it one after another, in the order in which they came") {
        mutex m;
        std::vector<int> order;
        in_scope([&](scope& s) -> task<> {
            for (int i = 0; i < 200; ++i) s.spawn(hold_for, std::ref(m), i % 3, std::ref(order), i);
            co_return;
        });
        REQUIRE(order.size() == 200);
        for (int i = 0; i < 200; ++i) CHECK(order[static_cast<std::size_t>(i)] == i);
        CHECK_FALSE(m.is_locked());
    }

    TEST_CASE("nobody gets it between the unlock and the turn of the one who waits") {
        mutex m;
        std::vector<int> order;
        in_scope([&](scope& s) -> task<> {
            auto guard = co_await m.lock();
            s.spawn(hold_for, std::ref(m), 0, std::ref(order), 1);
            co_await manual::turn{};
            guard.unlock();
            CHECK(m.is_locked());
            CHECK_FALSE(m.try_lock());
            co_await hold_for(m, 0, order, 2);
        });
        CHECK(order == std::vector{1, 2});
    }

    TEST_CASE("stopped before: cancelled, and the mutex stays as it is") {
        mutex m;
        std::string end;
        in_scope([&](scope&) -> task<> {
            stop_source stop;
            stop.request_stop();
            co_await note(m.lock(), end, stop);
            CHECK(end == "cancelled");
            CHECK_FALSE(m.is_locked());
            auto guard = co_await m.lock();
            co_await note(m.lock(), end, stop);
            CHECK(end == "cancelled");
        });
        check_that_retries_starve_nobody([&] { return m.lock(); });
    }

    TEST_CASE("stopped while it waits: it leaves the line, the others stay in it") {
        mutex m;
        std::string first, second, third;
        in_scope([&](scope& s) -> task<> {
            stop_source stop, none;
            auto guard = co_await m.lock();
            s.spawn([&] { return note(m.lock(), first, none); });
            s.spawn([&] { return note(m.lock(), second, stop); });
            s.spawn([&] { return note(m.lock(), third, none); });
            co_await manual::turn{};
            stop.request_stop();
            co_await manual::turn{};
            CHECK(second == "cancelled");
            guard.unlock();
            co_await turns(4);
            CHECK(first == "done");
            CHECK(third == "done");
        });
        CHECK_FALSE(m.is_locked());
    }

    TEST_CASE("granted and stopped in the same turn, in both orders: the lock is passed on") {
        for (const bool grant_first : {true, false}) {
            CAPTURE(grant_first);
            mutex m;
            std::string first, second;
            stop_source stop, none;
            in_scope([&](scope& s) -> task<> {
                auto guard = co_await m.lock();
                s.spawn([&] { return note(m.lock(), first, stop); });
                s.spawn([&] { return note(m.lock(), second, none); });
                co_await manual::turn{};
                if (grant_first) guard.unlock();
                stop.request_stop();
                guard.unlock();
            });
            CHECK(first == (grant_first ? "done" : "cancelled"));
            CHECK(second == "done");
            CHECK_FALSE(m.is_locked());
        }
    }

    TEST_CASE("an error in the scope: those who wait leave, who has it unlocks") {
        mutex m;
        std::vector<int> order;
        auto body = [&](scope& s) -> task<> {
            for (int i = 0; i < 5; ++i) {
                s.spawn([&, i]() -> task<> {
                    auto guard = co_await m.lock();
                    order.push_back(i);
                    stop_token stopped = co_await manual::get_stop_token{};
                    while (!stopped.stop_requested()) co_await manual::turn{};
                });
            }
            co_await turns(2);
            throw std::runtime_error{"enough"};
        };
        CHECK_THROWS_WITH_AS(in_scope(body), "enough", std::runtime_error);
        CHECK(order == std::vector{0});
        CHECK_FALSE(m.is_locked());
    }

    TEST_CASE("in when_any and with_timeout: a lock that came is handed over, one that did not is not taken") {
        mutex m, other;
        test::fake_backend io;
        auto program = [&]() -> task<> {
            auto guard = co_await m.lock();
            CHECK((co_await as_result(with_timeout(1ms, m.lock()))).error() == errc::timed_out);
            {
                auto both = co_await when_any(m.lock(), other.lock());
                CHECK(both.index == 1);
                CHECK_FALSE(std::get<0>(both.results));
                CHECK(other.is_locked());
            }
            CHECK_FALSE(other.is_locked());
            auto unlocks = [&](scope& s) -> task<> {
                s.spawn([&]() -> task<> {
                    co_await sleep_for(1ms);
                    guard.unlock();
                    other.try_lock().unlock();
                });
                auto both = co_await when_any(m.lock(), sleep_for(1ms));  // in the same turn
                CHECK(std::get<0>(both.results).has_value() == m.is_locked());
            };
            co_await with_scope(unlocks);
            CHECK_FALSE(m.is_locked());
            CHECK((co_await with_timeout(1ms, m.lock())).owns_lock());
            CHECK_FALSE(m.is_locked());
        };
        test::run_on(io, program());
    }

    TEST_CASE("a lock operation whose end nobody looks at does not keep the lock") {
        mutex m;
        manual::loop loop;
        detail::waiter w;
        {
            auto op = m.lock();
            CHECK_FALSE(op.start({&loop, {}}, w));
            CHECK(m.is_locked());
        }
        CHECK_FALSE(m.is_locked());
    }

    TEST_CASE("100,000 times: no stack, no allocation; free, and in turns with another task") {
        mutex m;
        in_scope([&](scope&) -> task<> { co_await many_times([&] { return m.lock(); }); });
        bool over = false;
        int mine = 0;
        in_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                while (!over) {
                    auto guard = co_await m.lock();
                    ++mine;
                    co_await manual::turn{};
                }
            });
            auto guard = std::make_unique<mutex::guard>();
            co_await manual::turn{};
            const unsigned long allocated = allocations;
            for (int i = 0; i < 100'000; ++i) {
                *guard = co_await m.lock();
                co_await manual::turn{};
                guard->unlock();
            }
            CHECK(allocations == allocated);
            CHECK(mine >= 99'999);
            over = true;
        });
    }

    TEST_CASE("destroyed after its waiters it is silent, before it says what to do instead") {
        in_scope([](scope&) -> task<> {
            mutex m;
            co_await with_scope([&](scope& s) {
                for (int i = 0; i < 3; ++i) {
                    s.spawn([&m]() -> task<> {
                        auto guard = co_await m.lock();
                        co_await manual::turn{};
                    });
                }
            });
        });
        const auto has = [](const std::string& text, const char* part) { return text.find(part) != text.npos; };
        const std::string locked = words_of_abort([] {
            mutex::guard guard;
            mutex m;
            guard = m.try_lock();
        });
        CHECK(has(locked, "a mutex was destroyed while a task holds it"));
        CHECK(has(locked, "before the with_scope"));
        const std::string awaited = words_of_abort([] {
            in_scope([](scope& s) -> task<> {
                event e;
                s.spawn([&]() -> task<> { co_await e.wait(); });
                co_await manual::turn{};
            });
        });
        CHECK(has(awaited, "an event was destroyed while tasks wait for it"));
    }
}
