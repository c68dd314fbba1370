#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include <hawser/coro/task.hpp>
#include <hawser/coro/when_all.hpp>

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
task<int> wait_for(gate& g, std::string& log) {
    auto r = co_await as_result(g.wait());
    log += r ? "opened;" : r.error().code().message() + ";";
    co_return std::move(r).value();
}
task<tracked> give(int turns, tracked t) {
    for (int i = 0; i < turns; ++i) co_await manual::turn{};
    co_return t;
}

}  // namespace

TEST_SUITE("when_all") {
    TEST_CASE("all values, in the order of the arguments") {
        manual::loop loop;
        auto body = []() -> task<std::string> {
            auto text = []() -> task<std::string> {
                co_await manual::turn{};
                co_return "text";
            };
            auto all = co_await when_all(value_after(3, 1), text(), value_after(0, 2), nothing_after(1));
            static_assert(std::is_same_v<decltype(all), std::tuple<int, std::string, int, nothing>>);
            co_return std::to_string(std::get<0>(all)) + std::get<1>(all) + std::to_string(std::get<2>(all));
        };
        CHECK(loop.run(body()).get() == "1text2");
        CHECK(loop.turns <= 6);  // at once, not one after the other
    }

    TEST_CASE("only void gives void") {
        manual::loop loop;
        auto body = []() -> task<> {
            static_assert(std::is_void_v<await_result_t<decltype(when_all(nothing_after(1), nothing_after(2)))>>);
            co_await when_all(nothing_after(1), nothing_after(2));
            co_await when_all(nothing_after(0), nothing_after(0));
        };
        CHECK_NOTHROW(loop.run(body()).get());
    }

    TEST_CASE("all ready at once: no turn of the loop") {
        manual::loop loop;
        auto body = []() -> task<int> {
            auto [a, b] = co_await when_all(value_after(0, 1), value_after(0, 2));
            co_return a * 10 + b;
        };
        CHECK(loop.run(body()).get() == 12);
        CHECK(loop.turns == 0);
    }

    TEST_CASE("a range") {
        manual::loop loop;
        auto body = []() -> task<> {
            std::vector<task<int>> many;
            for (int i = 0; i < 100; ++i) many.push_back(value_after(i % 7, i));
            const std::vector<int> values = co_await when_all(std::move(many));
            REQUIRE(values.size() == 100);
            for (int i = 0; i < 100; ++i) CHECK(values[static_cast<std::size_t>(i)] == i);
            std::vector<task<>> voids;
            voids.push_back(nothing_after(2));
            voids.push_back(nothing_after(0));
            co_await when_all(std::move(voids));
            CHECK((co_await when_all(std::vector<task<int>>{})).empty());
            co_await when_all(std::vector<task<>>{});
        };
        loop.run(body()).get();
    }

    TEST_CASE("the first failure stops the others, all are joined, and it is rethrown") {
        for (const bool range : {false, true}) {
            CAPTURE(range);
            manual::loop loop;
            gate never;
            std::string log;
            auto body = [&]() -> task<> {
                if (range) {
                    std::vector<task<int>> many;
                    many.push_back(wait_for(never, log));
                    many.push_back(throw_after(2, "first"));
                    many.push_back(throw_after(3, "second"));
                    co_await when_all(std::move(many));
                } else {
                    co_await when_all(wait_for(never, log), throw_after(2, "first"), throw_after(3, "second"));
                }
            };
            CHECK_THROWS_WITH_AS(loop.run(body()).get(), "first", std::runtime_error);
            CHECK(log == "cancelled;");
        }
    }

    TEST_CASE("a failure before the others have started: they see the stop at once") {
        manual::loop loop;
        gate never;
        std::string log;
        auto body = [&]() -> task<> { co_await when_all(throw_after(0, "early"), wait_for(never, log)); };
        CHECK_THROWS_WITH_AS(loop.run(body()).get(), "early", std::runtime_error);
        CHECK(log == "cancelled;");
        CHECK(loop.turns == 0);
    }

    TEST_CASE("a stop of the parent stops all; what was to be lost is the values only") {
        manual::loop loop;
        gate never, other;
        std::string log;
        stop_source source;
        auto stop = [&]() -> task<> {
            co_await manual::turn{};
            source.request_stop();
        };
        auto body = [&]() -> task<> { co_await when_all(wait_for(never, log), wait_for(other, log), stop()); };
        CHECK_THROWS_AS(loop.run(body(), source.get_token()).get(), cancelled);
        CHECK(log == "cancelled;cancelled;");
    }

    TEST_CASE("an error of hawser keeps its context; as_result takes it") {
        manual::loop loop;
        gate g;
        auto body = [&]() -> task<> {
            auto fail = [&]() -> task<> {
                co_await manual::turn{};
                g.fail();
            };
            auto r = co_await as_result(when_all(g.wait(), fail()));
            CHECK(r.error() == errc::closed);
        };
        loop.run(body()).get();
    }

    TEST_CASE("move-only values, and groups of groups") {
        manual::loop loop;
        auto body = []() -> task<> {
            auto make = [](int v) -> task<std::unique_ptr<int>> {
                co_await manual::turn{};
                co_return std::make_unique<int>(v);
            };
            auto both = co_await when_all(make(1), make(2));
            CHECK(*std::get<0>(both) + *std::get<1>(both) == 3);
            auto nested = co_await when_all(when_all(value_after(1, 1), value_after(2, 2)), value_after(0, 3));
            CHECK(nested == std::tuple{std::tuple{1, 2}, 3});
        };
        loop.run(body()).get();
    }

    TEST_CASE("temporaries are constructed and destroyed once each") {
        tracked::wrong = 0;
        manual::loop loop;
        auto body = []() -> task<> {
            auto both = co_await when_all(give(1, tracked{1}), give(0, tracked{2}));
            CHECK(std::get<0>(both).value == 1);
            CHECK(std::get<1>(both).value == 2);
            CHECK(tracked::alive == 2);
            tracked named{3};
            auto again = co_await when_all(give(0, named), give(2, std::move(named)));
            CHECK(std::get<1>(again).value == 3);
        };
        loop.run(body()).get();
        CHECK(tracked::alive == 0);
        CHECK(tracked::wrong == 0);
    }
}
