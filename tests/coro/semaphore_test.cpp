#include <set>
#include <stdexcept>
#include <vector>

#include <hawser/coro/semaphore.hpp>
#include <hawser/coro/when_any.hpp>
#include <hawser/reactor/sleep.hpp>
#include <hawser/reactor/with_timeout.hpp>
#include <hawser/test/fake_backend.hpp>
#include <hawser/test/random.hpp>

#include "support/in_child.hpp"
#include "waiting_support.hpp"

using namespace hawser;
using namespace std::chrono_literals;
using namespace waiting_support;
using hawser_test::words_of_abort;

namespace {

task<> take(semaphore& s, std::size_t k, std::vector<int>& order, int name) {
    co_await s.acquire(k);
    order.push_back(name);
}

/// Tasks that take and give back at random, stopped at random.
struct crowd {
    semaphore s;
    const std::size_t total;
    test::random random;
    manual::loop loop{};
    std::size_t out = 0;           // permits that tasks have
    std::set<int> in_line{};       // those that wait, by the order in which they came
    int came = 0, waited = 0, cancelled = 0, working = 0;
    std::vector<stop_source*> stops{};

    crowd(std::size_t permits, std::uint64_t seed) : s{permits}, total{permits}, random{seed} {}

    void check() {
        CHECK(s.available() + out <= total);  // some may be with tasks that have not run yet
    }
    task<> linger() { return turns(static_cast<int>(random.below(4))); }

    /// Notes a task that has what it wanted; true if it may go on.
    bool arrived(const result<void>& end, int ticket, int turn) {
        if (!end) {
            CHECK(end.error() == errc::cancelled);
            ++cancelled;
        } else if (loop.turns != turn) {
            ++waited;
            CHECK(ticket == *in_line.begin());  // first come, first served
        }
        in_line.erase(ticket);
        return end.has_value();
    }
    task<> worker(std::size_t index) {
        for (int i = 0; i < 100; ++i) {
            stop_source stop;
            stops[index] = &stop;
            const std::size_t k = random.between(1, total);
            if (random.one_in(8)) {
                if (s.try_acquire(k)) {
                    out += k;
                    co_await linger();
                    out -= k;
                    s.release(k);
                }
            } else if (random.one_in(2)) {
                const int ticket = came++, turn = loop.turns;
                in_line.insert(ticket);
                auto end = co_await as_result(detail::under{stop, s.acquire(k)});
                if (arrived(end, ticket, turn)) {
                    out += k;
                    check();
                    co_await linger();
                    out -= k;
                    s.release(k);
                }
            } else {
                const int ticket = came++, turn = loop.turns;
                in_line.insert(ticket);
                auto end = co_await as_result(detail::under{stop, s.hold(k)});
                if (arrived(end ? result<void>{} : result<void>{end.error()}, ticket, turn)) {
                    CHECK((*end).count() == k);
                    out += k;
                    check();
                    co_await linger();
                    out -= k;
                }
            }
            stops[index] = nullptr;
            co_await linger();
        }
        --working;
    }
    task<> stopper() {
        while (working != 0) {
            stop_source* victim = stops[random.below(stops.size())];
            if (victim && random.one_in(2)) victim->request_stop();
            co_await manual::turn{};
        }
    }
    void run(std::size_t workers) {
        stops.resize(workers);
        working = static_cast<int>(workers);
        const auto all = [&](scope& around) {
            for (std::size_t i = 0; i < workers; ++i) around.spawn([this, i] { return worker(i); });
            around.spawn([this] { return stopper(); });
        };
        const auto program = [&]() -> task<> { co_await with_scope(all); };
        loop.run(program()).get();
        CHECK(out == 0);
        CHECK(s.available() == total);
    }
};

}  // namespace

TEST_SUITE("semaphore") {
    TEST_CASE("what is there is taken at once, and given back") {
        semaphore s{3};
        manual::loop loop;
        auto body = [&]() -> task<> {
            co_await s.acquire();
            co_await s.acquire(2);
            CHECK(s.available() == 0);
            CHECK_FALSE(s.try_acquire());
            CHECK(s.try_acquire(0));
            s.release(3);
            CHECK(s.try_acquire(3));
            s.release(3);
            {
                auto permit = co_await s.hold(2);
                CHECK(permit.count() == 2);
                CHECK(s.available() == 1);
                auto moved = std::move(permit);
                CHECK_FALSE(permit);  // NOLINT
                CHECK(moved);
                permit = co_await s.hold();
                CHECK(s.available() == 0);
                moved.release();
                moved.release();  // does nothing
                CHECK(s.available() == 2);
                moved = std::move(permit);
                CHECK(s.available() == 2);
            }
            CHECK(s.available() == 3);
            co_await s.hold(3);  // nobody keeps the permit
            CHECK(s.available() == 3);
            CHECK(loop.turns == 0);
        };
        loop.run(body()).get();
        s.release(2);
        CHECK(s.available() == 5);
        static_assert(!std::is_copy_constructible_v<semaphore::permit> && !std::is_aggregate_v<semaphore::permit>);
    }

    TEST_CASE("first come, first served: a large request is not overtaken by small ones") {
        semaphore s{0};
        std::vector<int> order;
        in_scope([&](scope& all) -> task<> {
            all.spawn(take, std::ref(s), 3u, std::ref(order), 1);
            for (int i = 2; i < 100; ++i) all.spawn(take, std::ref(s), 1u, std::ref(order), i);
            co_await manual::turn{};
            s.release(2);
            CHECK_FALSE(s.try_acquire());
            co_await manual::turn{};
            CHECK(order.empty());
            CHECK(s.available() == 2);
            s.release();
            co_await manual::turn{};
            CHECK(order == std::vector{1});
            s.release(98);
        });
        REQUIRE(order.size() == 99);
        for (int i = 0; i < 99; ++i) CHECK(order[static_cast<std::size_t>(i)] == i + 1);
        CHECK(s.available() == 0);
    }

    TEST_CASE("stopped before: cancelled, and nothing is taken") {
        semaphore s{1};
        std::string end;
        in_scope([&](scope&) -> task<> {
            stop_source stop;
            stop.request_stop();
            co_await note(s.acquire(), end, stop);
            CHECK(end == "cancelled");
            co_await note(s.hold(), end, stop);
            CHECK(end == "cancelled");
        });
        CHECK(s.available() == 1);
        check_that_retries_starve_nobody([&] { return s.acquire(); });
        check_that_retries_starve_nobody([&] { return s.hold(2); });
        CHECK(s.available() == 1);
    }

    TEST_CASE("when the first in line is stopped, those behind it go on at once") {
        semaphore s{2};
        std::string large, small, other, last;
        in_scope([&](scope& all) -> task<> {
            stop_source stop, none;
            all.spawn([&] { return note(s.acquire(3), large, stop); });
            all.spawn([&] { return note(s.acquire(1), small, none); });
            all.spawn([&] { return note(s.acquire(1), other, none); });
            all.spawn([&] { return note(s.acquire(1), last, none); });
            co_await manual::turn{};
            stop.request_stop();
            CHECK(s.available() == 0);
            co_await manual::turn{};
            CHECK(large == "cancelled");
            CHECK(small == "done");
            CHECK(other == "done");
            CHECK(last.empty());
            s.release();
        });
        CHECK(last == "done");
        CHECK(s.available() == 0);
    }

    TEST_CASE("granted and stopped in the same turn, in both orders: permits are conserved") {
        for (const bool grant_first : {true, false}) {
            CAPTURE(grant_first);
            semaphore s{0};
            std::string takes, holds;
            in_scope([&](scope& all) -> task<> {
                stop_source stop;
                all.spawn([&] { return note(s.acquire(), takes, stop); });
                all.spawn([&] { return note(s.hold(), holds, stop); });
                co_await manual::turn{};
                if (grant_first) s.release(2);
                stop.request_stop();
                if (!grant_first) s.release(2);
                CHECK(s.available() == (grant_first ? 0 : 2));
            });
            CHECK(takes == (grant_first ? "done" : "cancelled"));
            CHECK(holds == takes);
            CHECK(s.available() == (grant_first ? 1 : 2));  // hold() has given back what it had
        }
    }

    TEST_CASE("a stop of all who wait") {
        semaphore s{1};
        int cancelled = 0;
        in_scope([&](scope& all) -> task<> {
            for (int i = 0; i < 50; ++i) {
                all.spawn([&]() -> task<> {
                    auto r = co_await as_result(s.hold(2));
                    if (!r) ++cancelled;
                });
            }
            co_await manual::turn{};
            all.request_stop();
        });
        CHECK(cancelled == 50);
        CHECK(s.available() == 1);
    }

    TEST_CASE("an error in the scope: those who wait leave, permits come back") {
        semaphore s{2};
        auto body = [&](scope& all) -> task<> {
            for (int i = 0; i < 5; ++i) {
                all.spawn([&]() -> task<> {
                    auto permit = co_await s.hold();
                    co_await s.acquire(5);
                });
            }
            co_await turns(2);
            CHECK(s.available() == 1);  // the others stand behind a request for more
            throw std::runtime_error{"enough"};
        };
        CHECK_THROWS_WITH_AS(in_scope(body), "enough", std::runtime_error);
        CHECK(s.available() == 2);
    }

    TEST_CASE("in when_any and with_timeout") {
        semaphore s{1}, other{1};
        test::fake_backend io;
        auto program = [&]() -> task<> {
            CHECK((co_await as_result(with_timeout(1ms, s.acquire(2)))).error() == errc::timed_out);
            CHECK((co_await as_result(with_timeout(1ms, s.hold(2)))).error() == errc::timed_out);
            CHECK(s.available() == 1);
            {
                auto both = co_await when_any(s.hold(2), other.hold());
                CHECK(both.index == 1);
                CHECK_FALSE(std::get<0>(both.results));
                CHECK(other.available() == 0);
            }
            CHECK(other.available() == 1);
            {
                auto both = co_await when_any(s.hold(), other.hold());  // both at once: both are handed over
                CHECK(std::get<0>(both.results).has_value() != (s.available() == 1));
                CHECK(std::get<1>(both.results).has_value() != (other.available() == 1));
            }
            co_await with_timeout(1ms, s.acquire());
            CHECK(s.available() == 0);
        };
        test::run_on(io, program());
    }

    TEST_CASE("100,000 times: no stack, no allocation") {
        semaphore s{100'001};
        in_scope([&](scope&) -> task<> { co_await many_times([&] { return s.acquire(); }); });
        CHECK(s.available() == 0);
        s.release(1);
        in_scope([&](scope&) -> task<> { co_await many_times([&] { return s.hold(); }); });
        CHECK(s.available() == 1);
        semaphore ping{0}, pong{0};
        in_scope([&](scope& all) -> task<> {
            all.spawn([&]() -> task<> {
                for (int i = 0; i <= 100'000; ++i) {
                    co_await ping.acquire();
                    pong.release();
                }
            });
            co_await many_times([&] {
                ping.release();
                return pong.acquire();
            });
        });
    }

    TEST_CASE("a random crowd: nobody is overtaken and permits are conserved") {
        int waited = 0, cancelled = 0;
        for (std::uint64_t seed = 1; seed <= 20; ++seed) {
            CAPTURE(seed);
            crowd c{1 + seed % 4, seed};
            c.run(2 + seed % 7);
            waited += c.waited;
            cancelled += c.cancelled;
        }
        CHECK(waited > 1000);
        CHECK(cancelled > 1000);
    }

    TEST_CASE("destroyed after its waiters it is silent, before it says what to do instead") {
        in_scope([](scope&) -> task<> {
            semaphore s{1};
            co_await with_scope([&](scope& all) {
                for (int i = 0; i < 3; ++i) {
                    all.spawn([&s]() -> task<> {
                        auto permit = co_await s.hold();
                        co_await manual::turn{};
                    });
                }
            });
        });
        const auto has = [](const std::string& text, const char* part) { return text.find(part) != text.npos; };
        const std::string held = words_of_abort([] {
            in_scope([](scope&) -> task<> {
                semaphore::permit permit;
                semaphore s{1};
                permit = co_await s.hold();
            });
        });
        CHECK(has(held, "a semaphore was destroyed while tasks wait for it or hold its permits"));
        const std::string awaited = words_of_abort([] {
            in_scope([](scope& all) -> task<> {
                semaphore s{0};
                all.spawn([&]() -> task<> { co_await s.acquire(); });
                co_await manual::turn{};
            });
        });
        CHECK(has(awaited, "before the with_scope"));
    }
}
