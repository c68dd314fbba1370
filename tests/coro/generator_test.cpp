#include <memory>
#include <stdexcept>
#include <vector>

#include <hawser/coro/event.hpp>
#include <hawser/coro/generator.hpp>
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
using manual::gate;
using manual::tracked;

namespace {

generator<int> count_to(int n) {
    for (int i = 1; i <= n; ++i) co_yield i;
}
/// Waits a turn before each value and, if n is odd, before its end.
generator<int> slowly_to(int n) {
    for (int i = 1; i <= n; ++i) {
        co_await manual::turn{};
        co_yield i;
    }
    if (n % 2) co_await manual::turn{};
}
generator<int> from_gate(gate& g) { co_yield co_await g.wait(); }
generator<std::string> words(std::string first) {
    co_yield first;
    co_yield "second";
    co_yield std::string{"third"};
    first += " again";
    co_yield std::move(first);
}
generator<int> holding(tracked held, std::string& log) {
    struct says {
        std::string& log;
        ~says() { log += "gone;"; }
    } at_end{log};
    log += "begun;";
    co_yield held.value;
    co_await manual::turn{};
    co_yield 2;
}
generator<int> throws_after(int n, bool waits) {
    for (int i = 1; i <= n; ++i) co_yield i;
    if (waits) co_await manual::turn{};
    throw std::runtime_error{"broke"};
}
/// Gives what a stop left it with, and goes on.
generator<int> catches(gate& g) {
    for (int i = 0;; ++i) {
        auto r = co_await as_result(g.wait());
        co_yield r ? *r : -i;
    }
}
template <class T> task<std::vector<T>> all_of(generator<T> g) {
    std::vector<T> values;
    while (auto value = co_await g.next()) values.push_back(std::move(*value));
    for (int i = 0; i < 3; ++i) CHECK_FALSE(co_await g.next());
    co_return values;
}
/// Awaits next() under `stop` and notes the value, "end" or what went wrong.
task<> note_next(generator<int>& g, std::string& into, stop_source& stop) {
    auto r = co_await as_result(detail::under{stop, g.next()});
    into = !r ? ending(r) : *r ? std::to_string(**r) : "end";
}

}  // namespace

TEST_SUITE("generator") {
    TEST_CASE("values until the end, at once or after a wait, and the end again and again") {
        manual::loop loop;
        CHECK(loop.run(all_of(count_to(0))).get().empty());
        CHECK(loop.run(all_of(count_to(3))).get() == std::vector{1, 2, 3});
        CHECK(loop.turns == 0);
        CHECK(loop.run(all_of(slowly_to(3))).get() == std::vector{1, 2, 3});
        CHECK(loop.turns == 5);  // with that of the end
        CHECK(loop.run(all_of(slowly_to(2))).get() == std::vector{1, 2});
        loop.turns = 0;
        auto once = slowly_to(1);
        CHECK(loop.run(once.next()).get() == 1);
        CHECK(loop.turns == 2);  // who waits is made ready and not called out of the body, which it may destroy
        CHECK(loop.run(all_of(words("a first that is longer than small strings"))).get() ==
              std::vector<std::string>{"a first that is longer than small strings", "second", "third",
                                       "a first that is longer than small strings again"});
        static_assert(!std::is_copy_constructible_v<generator<int>>);
    }

    TEST_CASE("it is lazy, its locals go when it is destroyed at a co_yield, and it may be moved") {
        tracked::alive = tracked::wrong = 0;
        std::string log;
        {
            generator<int> never = holding(tracked{1}, log);
            CHECK(log.empty());
            CHECK(tracked::alive == 1);
        }
        CHECK(log.empty());
        CHECK(tracked::alive == 0);
        in_scope([&](scope&) -> task<> {
            {
                generator<int> g = holding(tracked{7}, log);
                CHECK(co_await g.next() == 7);
                generator<int> moved = std::move(g);
                CHECK_FALSE(co_await g.next());  // NOLINT: it has nothing any more
                CHECK(co_await moved.next() == 2);
                CHECK(log == "begun;");
                moved = holding(tracked{8}, log);
                CHECK(log == "begun;gone;");
                CHECK(tracked::alive == 1);
            }
            CHECK(log == "begun;gone;");
            CHECK((co_await holding(tracked{9}, log).next()) == 9);
            CHECK(log == "begun;gone;begun;gone;");
        });
        CHECK(tracked::alive == 0);
        CHECK(tracked::wrong == 0);
    }

    TEST_CASE("values that can only be moved, that have no default, and one generator in another") {
        auto numbers = [](int n) -> generator<std::unique_ptr<int>> {
            for (int i = 0; i < n; ++i) co_yield std::make_unique<int>(i);
        };
        auto doubled = [](generator<std::unique_ptr<int>> of) -> generator<tracked> {
            while (auto value = co_await of.next()) {
                co_await manual::turn{};
                co_yield tracked{**value * 2};
            }
        };
        tracked::alive = tracked::wrong = 0;
        in_scope([&](scope&) -> task<> {
            auto g = doubled(numbers(4));
            int sum = 0;
            while (auto value = co_await g.next()) sum += value->value;
            CHECK(sum == 12);
        });
        CHECK(tracked::alive == 0);
        CHECK(tracked::wrong == 0);
    }

    TEST_CASE("what the body throws comes out of next(), and then it has ended") {
        for (const bool waits : {false, true}) {
            in_scope([&](scope&) -> task<> {
                auto g = throws_after(1, waits);
                CHECK(co_await g.next() == 1);
                CHECK_THROWS_WITH_AS(co_await g.next(), "broke", std::runtime_error);
                CHECK_FALSE(co_await g.next());
                CHECK_FALSE(co_await g.next());
            });
        }
    }

    TEST_CASE("stopped before: cancelled, and the body is left as it is") {
        in_scope([&](scope&) -> task<> {
            stop_source stop;
            stop.request_stop();
            std::string end;
            auto g = count_to(2);
            co_await note_next(g, end, stop);
            CHECK(end == "cancelled");
            CHECK(co_await g.next() == 1);
            co_await note_next(g, end, stop);
            CHECK(end == "cancelled");
            CHECK(co_await g.next() == 2);
            CHECK_FALSE(co_await g.next());
        });
        auto g = count_to(2);
        check_that_retries_starve_nobody([&] { return g.next(); });
    }

    TEST_CASE("a stop reaches what the body awaits: uncaught it ends the body, caught it may give a value after all") {
        for (const bool in_body : {false, true}) {
            gate g;
            auto values = in_body ? catches(g) : from_gate(g);
            std::string end, later;
            in_scope([&](scope& s) -> task<> {
                stop_source stop, none;
                s.spawn([&] { return note_next(values, end, stop); });
                co_await manual::turn{};
                CHECK(g.has_waiter());
                stop.request_stop();
                co_await manual::turn{};
                CHECK(end == (in_body ? "0" : "cancelled"));
                s.spawn([&] { return note_next(values, later, none); });
                co_await manual::turn{};
                g.open(5);
            });
            CHECK(later == (in_body ? "5" : "end"));
        }
    }

    TEST_CASE("a value and a stop in the same turn: the value comes") {
        gate g;
        auto values = from_gate(g);
        std::string end;
        in_scope([&](scope& s) -> task<> {
            stop_source stop;
            s.spawn([&] { return note_next(values, end, stop); });
            co_await manual::turn{};
            g.open(5);
            stop.request_stop();
        });
        CHECK(end == "5");
    }

    TEST_CASE("each next() lends its own stop token to the body") {
        auto body = [](int turns_to_wait) -> generator<bool> {
            while (true) {
                stop_token token = co_await manual::get_stop_token{};
                co_await turns(turns_to_wait);
                co_yield token.stop_requested();
            }
        };
        in_scope([&](scope& s) -> task<> {
            auto g = body(2);
            std::optional<bool> saw;
            {
                stop_source stop;
                s.spawn([&]() -> task<> { saw = *co_await detail::under{stop, g.next()}; });
                co_await manual::turn{};
                stop.request_stop();
                co_await turns(3);
            }
            CHECK(saw == true);
            CHECK(co_await g.next() == false);
        });
    }

    TEST_CASE("a second next() meanwhile gets errc::busy, and the first is undisturbed") {
        gate g;
        auto values = from_gate(g);
        std::string first;
        in_scope([&](scope& s) -> task<> {
            stop_source none;
            s.spawn([&] { return note_next(values, first, none); });
            co_await manual::turn{};
            CHECK((co_await as_result(values.next())).error() == errc::busy);
            g.open(3);
            CHECK((co_await as_result(values.next())).error() == errc::busy);
            co_await turns(2);
            CHECK_FALSE(co_await values.next());
        });
        CHECK(first == "3");
        // Also while the value is on its way to a when_any.
        gate other;
        auto more = from_gate(other);
        std::optional<int> got;
        in_scope([&](scope& s) -> task<> {
            s.spawn([&]() -> task<> {
                auto any = co_await when_any(more.next());
                got = **std::get<0>(any.results);
            });
            co_await manual::turn{};
            other.open(4);
            co_await manual::turn{};
            CHECK((co_await as_result(more.next())).error() == errc::busy);
        });
        CHECK(got == 4);
    }

    TEST_CASE("an error in the scope ends the body that waits") {
        std::string log;
        auto body = [&](scope& s) -> task<> {
            gate g;
            auto waits = [](gate& on, std::string& to) -> generator<int> {
                struct says {
                    std::string& to;
                    ~says() { to += "gone;"; }
                } at_end{to};
                co_yield co_await on.wait();
            };
            auto values = waits(g, log);
            co_await with_scope([&](scope& inner) {
                inner.spawn([&]() -> task<> { (void)co_await values.next(); });
                inner.spawn([&]() -> task<> {
                    co_await manual::turn{};
                    throw std::runtime_error{"enough"};
                });
            });
            static_cast<void>(s);
        };
        CHECK_THROWS_WITH_AS(in_scope(body), "enough", std::runtime_error);
        CHECK(log == "gone;");
    }

    TEST_CASE("in when_any and with_timeout: the body runs on the reactor and no value is lost") {
        test::fake_backend io;
        auto ticks = [](duration every) -> generator<int> {
            for (int i = 1;; ++i) {
                bool late = false;
                try {
                    co_await sleep_for(every);
                } catch (const cancelled&) {
                    late = true;
                }
                co_yield late ? -i : i;
            }
        };
        auto once = [](duration after) -> generator<int> {
            co_await sleep_for(after);
            co_yield 1;
        };
        auto program = [&]() -> task<> {
            auto slow = ticks(10ms), fast = ticks(1ms);
            auto both = co_await when_any(slow.next(), fast.next());
            CHECK(both.index == 1);
            CHECK(**std::get<0>(both.results) == -1);
            CHECK(**std::get<1>(both.results) == 1);
            CHECK(co_await with_timeout(5ms, slow.next()) == -2);
            CHECK(co_await with_timeout(20ms, slow.next()) == 3);
            auto ends = once(10ms);
            CHECK((co_await as_result(with_timeout(5ms, ends.next()))).error() == errc::timed_out);
            CHECK_FALSE(co_await ends.next());
        };
        test::run_on(io, program());
    }

    TEST_CASE("100,000 times: no stack, no allocation; values at once, after a wait, and refused") {
        auto endless = [](bool waits) -> generator<int> {
            for (int i = 0;; ++i) {
                if (waits) co_await manual::turn{};
                co_yield i;
            }
        };
        for (const bool waits : {false, true}) {
            in_scope([&](scope&) -> task<> {
                auto g = endless(waits);
                co_await many_times([&] { return g.next(); });
                CHECK(co_await g.next() == 100'001);
                auto ended = count_to(0);
                co_await many_times([&] { return ended.next(); });
            });
        }
    }

    TEST_CASE("destroyed while a next() runs it says what to do instead") {
        const std::string said = words_of_abort([] {
            in_scope([](scope& s) -> task<> {
                event e;
                auto waits = [](event& on) -> generator<int> {
                    co_await on.wait();
                    co_yield 1;
                };
                auto g = waits(e);
                s.spawn([&]() -> task<> { (void)co_await g.next(); });
                co_await manual::turn{};
            });
        });
        CHECK(said.find("a generator was destroyed while a task waits for its next()") != said.npos);
        CHECK(said.find("before the with_scope") != said.npos);
    }
}
