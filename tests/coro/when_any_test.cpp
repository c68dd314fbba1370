#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

#include <hawser/coro/task.hpp>
#include <hawser/coro/when_all.hpp>
#include <hawser/coro/when_any.hpp>

#include "manual_loop.hpp"

using namespace hawser;
using manual::gate;
using manual::tracked;

namespace {

task<int> value_after(int turns, int value) {
    for (int i = 0; i < turns; ++i) co_await manual::turn{};
    co_return value;
}
task<> nothing_after(int turns) {
    for (int i = 0; i < turns; ++i) co_await manual::turn{};
}
task<int> throw_after(int turns, std::string what) {
    for (int i = 0; i < turns; ++i) co_await manual::turn{};
    throw std::runtime_error{what};
}
task<tracked> give(int turns, tracked t) {
    for (int i = 0; i < turns; ++i) co_await manual::turn{};
    co_return t;
}

}  // namespace

TEST_SUITE("when_any") {
    TEST_CASE("the first one wins, and the others are stopped and joined") {
        manual::loop loop;
        gate a, b;
        auto body = [&]() -> task<> {
            auto race = co_await when_any(a.wait(), value_after(2, 7), b.wait());
            CHECK(race.index == 1);
            CHECK_FALSE(std::get<0>(race.results));
            REQUIRE(std::get<1>(race.results));
            CHECK(**std::get<1>(race.results) == 7);
            CHECK_FALSE(std::get<2>(race.results));
            CHECK_FALSE(a.has_waiter());
            CHECK_FALSE(b.has_waiter());
        };
        loop.run(body()).get();
    }

    TEST_CASE("two that arrive in the same turn are both handed over") {
        manual::loop loop;
        gate a, b, c;
        auto body = [&]() -> task<> {
            auto open = [&]() -> task<> {
                co_await manual::turn{};
                b.open(2);
                a.open(1);
                co_await c.wait();
            };
            auto race = co_await when_any(a.wait(), b.wait(), open());
            CHECK(race.index == 1);  // opened first
            CHECK(**std::get<0>(race.results) == 1);
            CHECK(**std::get<1>(race.results) == 2);
            CHECK_FALSE(std::get<2>(race.results));
        };
        loop.run(body()).get();
    }

    TEST_CASE("a loser that cannot be stopped any more gives its value too") {
        manual::loop loop;
        auto body = []() -> task<> {
            auto race = co_await when_any(value_after(1, 1), value_after(5, 2));  // neither looks at the stop
            CHECK(race.index == 0);
            CHECK(**std::get<0>(race.results) == 1);
            CHECK(**std::get<1>(race.results) == 2);
        };
        loop.run(body()).get();
    }

    TEST_CASE("a loser that was cut short says how far it came") {
        manual::loop loop;
        gate a;
        a.set_transferred(17);
        auto body = [&]() -> task<> {
            auto race = co_await when_any(a.wait(), nothing_after(1));
            CHECK(race.index == 1);
            REQUIRE(std::get<0>(race.results));
            CHECK(std::get<0>(race.results)->error() == errc::cancelled);
            CHECK(std::get<0>(race.results)->error().transferred() == 17);
            CHECK(std::get<1>(race.results)->has_value());
        };
        loop.run(body()).get();
    }

    TEST_CASE("the first to end may end badly") {
        manual::loop loop;
        gate a, b;
        auto body = [&]() -> task<> {
            auto fail = [&]() -> task<> {
                co_await manual::turn{};
                a.fail();
                co_await b.wait();
            };
            auto race = co_await when_any(a.wait(), fail());
            CHECK(race.index == 0);
            CHECK(std::get<0>(race.results)->error() == errc::closed);
            CHECK_FALSE(std::get<1>(race.results));
        };
        loop.run(body()).get();
    }

    TEST_CASE("an exception that is not hawser's is rethrown when all have ended") {
        manual::loop loop;
        gate a;
        auto body = [&]() -> task<> { co_await when_any(a.wait(), throw_after(1, "foreign")); };
        CHECK_THROWS_WITH_AS(loop.run(body()).get(), "foreign", std::runtime_error);
        CHECK_FALSE(a.has_waiter());
    }

    TEST_CASE("one that is ready at once: the others start stopped") {
        manual::loop loop;
        gate a;
        auto body = [&]() -> task<> {
            auto race = co_await when_any(value_after(0, 3), a.wait());
            CHECK(race.index == 0);
            CHECK_FALSE(std::get<1>(race.results));
        };
        loop.run(body()).get();
        CHECK(loop.turns == 0);
    }

    TEST_CASE("a stop of the parent with nothing to show is a cancellation; a loop ends by it") {
        manual::loop loop;
        gate a, b;
        stop_source source;
        int rounds = 0;
        auto body = [&]() -> task<> {
            auto stop = [&]() -> task<> {
                co_await manual::turn{};
                source.request_stop();
            };
            auto forever = [&]() -> task<> {
                for (;; ++rounds) co_await when_any(a.wait(), b.wait());
            };
            co_await when_all(forever(), stop());
        };
        CHECK_THROWS_AS(loop.run(body(), source.get_token()).get(), cancelled);
        CHECK(rounds == 0);
    }

    TEST_CASE("a stop of the parent does not lose what has arrived") {
        manual::loop loop;
        gate a, b;
        stop_source source;
        auto body = [&]() -> task<> {
            auto stop = [&]() -> task<> {
                co_await manual::turn{};
                a.open(5);
                source.request_stop();
                co_await b.wait();
            };
            auto race = co_await when_any(a.wait(), b.wait(), stop());
            CHECK(**std::get<0>(race.results) == 5);
        };
        CHECK_NOTHROW(loop.run(body(), source.get_token()).get());
    }

    TEST_CASE("temporaries are constructed and destroyed once each") {
        tracked::wrong = 0;
        manual::loop loop;
        auto body = []() -> task<> {
            auto race = co_await when_any(give(1, tracked{1}), give(3, tracked{2}));
            CHECK((*std::get<0>(race.results))->value == 1);
            CHECK((*std::get<1>(race.results))->value == 2);
            CHECK(tracked::alive == 2);
        };
        loop.run(body()).get();
        CHECK(tracked::alive == 0);
        CHECK(tracked::wrong == 0);
    }
}
